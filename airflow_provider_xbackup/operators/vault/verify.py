"""Verifying the backups of a vault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_xbackup.exceptions import XBackupError, XBackupFailError, airflow_errors
from airflow_provider_xbackup.hooks.vault import VaultHook
from airflow_provider_xbackup.links import LINKS, Subject
from airflow_provider_xbackup.tasks import arguments, metrics, outcome
from airflow_provider_xbackup.tasks.chosen import Chosen, check_chosen
from airflow_provider_xbackup.tasks.metrics import Metric

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath, XComArg

    from airflow_provider_xbackup.vault.verify import Verified

#: How many findings an error repeats; the log has them all.
_MOST_TOLD = 5


class VerifyBackupOperator(BaseOperator):
    """Verify backups of a vault, and append a check record to each.

    Fails, without using retries, when one of them is not as it should be, when there was nothing to look at, and
    when no private key given fits, which speaks against no backup. Returns ``vault``, ``level``, ``backups`` (how
    many) and ``bytes`` (read).

    :param vault: the vault: ``file:///path``, ``s3://[conn_id@]bucket/prefix`` …
    :param backup_id: which: a backup id, ``latest``, ``latest-verified``, ``as-of INSTANT``, a list of these,
        or what a transfer returned; None for all that have not expired
    :param service: only this service
    :param account: only this account
    :param level: how deep: ``presence`` (objects and sizes), ``digest`` (SHA-256 as stored and plain),
        ``content`` (zips, JSON, counts, references), ``source`` (counts at the vendor, too; needs
        ``xray_conn_id``)
    :param subset: ``n/t``: the n-th of t parts, so that t runs look at everything
    :param identity_conn_id: a connection whose password is an age identity; None for
        ``XBACKUP_AGE_IDENTITY`` or ``XBACKUP_AGE_IDENTITY_FILE`` in the worker's environment. Without one,
        encrypted backups are verified as they are stored.
    :param xray_conn_id: the connection to count with, for ``source``. It is of one tenant: choose one account
        where the vault holds several.
    :param max_drop: the share, 0 to 1, by which a full may fall below its predecessor
    :param tolerance: for ``source``: the share, 0 to 1, by which the newest full may fall behind
    """

    template_fields: Sequence[str] = (
        "vault",
        "backup_id",
        "service",
        "account",
        "level",
        "subset",
        "identity_conn_id",
        "xray_conn_id",
    )
    ui_color = "#e8e0f3"
    operator_extra_links = LINKS
    subject: Subject | None = None

    def __init__(
        self,
        *,
        vault: str | ObjectStoragePath,
        backup_id: str | Sequence[str] | Mapping[str, Any] | XComArg | None = None,
        service: str | None = None,
        account: str | None = None,
        level: str = "digest",
        subset: str | None = None,
        identity_conn_id: str | None = None,
        xray_conn_id: str | None = None,
        max_drop: float = 0.5,
        tolerance: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vault = vault
        self.backup_id = backup_id
        self.service = service
        self.account = account
        self.level = level
        self.subset = subset
        self.identity_conn_id = identity_conn_id
        self.xray_conn_id = xray_conn_id
        self.max_drop = max_drop
        self.tolerance = tolerance
        arguments.check_literals(self, self._checks)

    def render_template(self, *args: Any, **kwargs: Any) -> Any:
        """Render a template, and refuse a secret that it became."""
        return arguments.without_secrets(self, super().render_template(*args, **kwargs))

    def execute(self, context: Context) -> dict[str, Any]:
        """Verify the backups.

        :return: what was looked at
        :raises XBackupFailError: when a backup is not as it should be
        :raises XBackupError: when the vault or the source does not answer
        """
        from airflow_provider_xbackup.hooks.identities import read_identities
        from airflow_provider_xbackup.vault.checks import Level
        from airflow_provider_xbackup.vault.examination import Wanted
        from airflow_provider_xbackup.vault.verify import Subset, Verification

        arguments.check_all(self, self._checks)
        with airflow_errors(f"Vault {self.vault}"):
            chosen = Chosen.of(self.backup_id, self.service, self.account)
            level = Level(self.level)
            wanted = Wanted(
                level,
                outcome.producer_of(context),
                identities=read_identities(self.identity_conn_id),
                max_drop=self.max_drop,
                tolerance=self.tolerance,
                count_live=self._count_live() if level is Level.SOURCE else None,
            )
            vault = VaultHook(self.vault).vault
            self.subject = Subject(vault.url, chosen.service, chosen.account)
            vault.require()
            verification = Verification(
                vault,
                wanted,
                service=chosen.service,
                account=chosen.account,
                selectors=chosen.selectors,
                subset=Subset.parse(self.subset),
            )
            found = []
            for verified in verification:
                self._tell(verified)
                found.append(verified)
            if len(found) == 1:
                self.subject = Subject.of(vault, found[0].backup.path)
        problems = [f"{finding.code}: {finding.text}" for finding in verification.findings]
        for problem in problems:
            self.log.error("%s", problem)
        return self._conclude(found, problems)

    def _count_live(self) -> Any:
        from airflow_provider_xbackup.errors import InvalidArgumentError
        from airflow_provider_xbackup.hooks.live_counts import count_live

        if self.xray_conn_id is None:
            raise InvalidArgumentError("level='source' needs xray_conn_id: whom to ask what Xray holds.")
        with airflow_errors(f"Connection {self.xray_conn_id!r}"):
            return count_live(self.xray_conn_id)

    def _tell(self, verified: Verified) -> None:
        check = verified.check
        where = verified.backup.location
        for finding in check.findings:
            log = self.log.error if finding.kind == "error" else self.log.warning
            log("%s: %s: %s", where, finding.code, finding)
        path = verified.backup.path
        result = "passed" if check.passed else "failed"
        metrics.count(Metric.CHECKS, service=path.service, account=path.account, result=result)
        word = "passed" if check.passed else "FAILED"
        self.log.info("%s %s, looked at as deep as %s: %d bytes.", where, word, check.reached, check.bytes_)

    def _conclude(self, found: Sequence[Verified], problems: list[str]) -> dict[str, Any]:
        failed = [verified for verified in found if not verified.check.passed]
        problems += [
            f"{verified.backup.backup_id}: {finding.code}: {finding}"
            for verified in failed
            for finding in verified.check.findings
            if finding.kind == "error"
        ]
        if problems:
            more = f" And {len(problems) - _MOST_TOLD} more." if len(problems) > _MOST_TOLD else ""
            raise XBackupFailError(
                f"{len(failed)} of {len(found)} backups in {self.vault} did not pass verification. "
                f"{' '.join(problems[:_MOST_TOLD])}{more}"
            )
        for verified in found:
            if verified.obstacle is not None:
                kind = XBackupError if verified.obstacle.error.retryable else XBackupFailError
                finding = verified.obstacle.finding
                raise kind(
                    f"What was looked at passed, but not all was. {finding.code}: {verified.backup.backup_id}: "
                    f"{finding.text}"
                )
        return {
            "vault": str(self.vault),
            "level": self.level,
            "backups": len(found),
            "bytes": sum(verified.check.bytes_ for verified in found),
        }

    @property
    def _checks(self) -> arguments.Checks:
        return {
            "vault": arguments.check_vault,
            "backup_id": check_chosen,
            "service": arguments.check_service,
            "account": arguments.check_account,
            "level": _check_level,
            "subset": _check_subset,
            "identity_conn_id": arguments.check_optional_conn_id,
            "xray_conn_id": arguments.check_optional_conn_id,
            "max_drop": _check_max_drop,
            "tolerance": _check_tolerance,
        }


def _check_level(value: object) -> None:
    from airflow_provider_xbackup.errors import InvalidArgumentError
    from airflow_provider_xbackup.vault.checks import Level

    if value not in tuple(Level):
        raise InvalidArgumentError(f"level must be one of {', '.join(Level)} and is {value!r}.")


def _check_subset(value: str | None) -> None:
    from airflow_provider_xbackup.vault.verify import Subset

    Subset.parse(value)


def _check_max_drop(value: object) -> None:
    from airflow_provider_xbackup.vault.drops import check_share

    check_share("max_drop", value)


def _check_tolerance(value: object) -> None:
    from airflow_provider_xbackup.vault.drops import check_share

    check_share("tolerance", value)
