"""Copying backups from one vault into another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_xbackup.exceptions import XBackupFailError, airflow_errors
from airflow_provider_xbackup.hooks.vault import VaultHook
from airflow_provider_xbackup.links import LINKS, Subject
from airflow_provider_xbackup.tasks import arguments, outcome

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath, XComArg

    from airflow_provider_xbackup.vault.replicate import Replicated
    from airflow_provider_xbackup.vault.retention import RetentionPolicy

#: How many problems an error repeats; the log has them all.
_MOST_TOLD = 5


class ReplicateBackupsOperator(BaseOperator):
    """Copy the backups of one vault into another: only what is missing, checked on its way and where it lies.

    Copies what can be copied and then fails, without using retries, when an original or a copy is damaged, and
    when the source holds no backup at all. Returns numbers by outcome (``copied``, ``present``, ``repaired``,
    ``revived``: expired copies of originals on hold, ``half_removed``: folders that the target's retention has yet
    to empty), ``left_out`` (by the policy) and ``bytes`` (written).

    :param source: the vault with the originals: ``file:///path``, ``s3://[conn_id@]bucket/prefix`` …
    :param target: the vault for the copies
    :param retention: copy only what this policy would keep of both vaults together: a
        :class:`~airflow_provider_xbackup.vault.RetentionPolicy` or its fields as a dict; None for everything
    :param repair: whether to write damaged copies anew
    :param lock_for: how long S3 is to lock each copy, from when the target has its files: a timedelta, or a
        duration such as ``90d`` or ``1y6m``; None for no lock. The target's bucket must have Object Lock
    :param lock_mode: ``governance``, or ``compliance``, which nobody can take back
    :param service: only this service
    :param account: only this account
    """

    template_fields: Sequence[str] = (
        "source",
        "target",
        "retention",
        "lock_for",
        "lock_mode",
        "service",
        "account",
    )
    ui_color = "#e8e0f3"
    operator_extra_links = LINKS
    subject: Subject | None = None

    def __init__(
        self,
        *,
        source: str | ObjectStoragePath,
        target: str | ObjectStoragePath,
        retention: RetentionPolicy | Mapping[str, Any] | XComArg | None = None,
        repair: bool = False,
        lock_for: timedelta | str | None = None,
        lock_mode: str = "governance",
        service: str | None = None,
        account: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.target = target
        self.retention: Any = retention
        self.repair = repair
        self.lock_for = lock_for
        self.lock_mode = lock_mode
        self.service = service
        self.account = account
        arguments.check_literals(self, self._checks)

    def render_template(self, *args: Any, **kwargs: Any) -> Any:
        """Render a template, and refuse a secret that it became."""
        return arguments.without_secrets(self, super().render_template(*args, **kwargs))

    def execute(self, context: Context) -> dict[str, Any]:
        """Copy the backups.

        :return: what was done, in numbers
        :raises XBackupFailError: when something is damaged, or there was nothing to copy
        :raises XBackupError: when a vault does not answer
        """
        from datetime import UTC, datetime

        from airflow_provider_xbackup.vault.locks import Lock
        from airflow_provider_xbackup.vault.replicate import PROBLEMS, Outcome, Replication
        from airflow_provider_xbackup.vault.retention import RetentionPolicy

        arguments.check_all(self, self._checks)
        counts = Counter(dict.fromkeys((each for each in Outcome if each not in PROBLEMS), 0))
        problems: list[Replicated] = []
        written = 0
        with airflow_errors(f"Copying {self.source} to {self.target}"):
            source, target = VaultHook(self.source).vault, VaultHook(self.target).vault
            self.subject = Subject(target.url, self.service, self.account)
            source.require()
            replication = Replication(
                source,
                target,
                producer=outcome.producer_of(context),
                now=datetime.now(UTC),
                service=self.service,
                account=self.account,
                policy=None if self.retention is None else RetentionPolicy.of(self.retention),
                repair=self.repair,
                lock=Lock.of(self.lock_for, self.lock_mode),
            )
            for replicated in replication:
                counts[replicated.outcome] += 1
                written += replicated.copied
                if replicated.outcome in PROBLEMS:
                    problems.append(replicated)
                self._tell(replicated, problem=replicated.outcome in PROBLEMS)
        if problems:
            told = " ".join(each.problem for each in problems[:_MOST_TOLD])
            raise XBackupFailError(
                f"{len(problems)} of {counts.total()} backups could not be copied from {self.source} to "
                f"{self.target}, all others are there. {told}"
            )
        if not counts.total() and not replication.left_out:
            raise XBackupFailError(f"There is no backup to copy in {self.source}. Check the URL and the filters.")
        return {
            "source": str(source.url),
            "target": str(self.target),
            **{name.replace("-", "_"): number for name, number in counts.items()},
            "left_out": replication.left_out,
            "bytes": written,
        }

    def _tell(self, replicated: Replicated, *, problem: bool) -> None:
        if replicated.problem:
            log = self.log.error if problem else self.log.warning
            log("%s: %s: %s", replicated.path.folder, replicated.outcome, replicated.problem)
        elif replicated.copied:
            self.log.info("%s: %s, %d bytes.", replicated.path.folder, replicated.outcome, replicated.copied)

    @property
    def _checks(self) -> arguments.Checks:
        return {
            "source": arguments.check_vault,
            "target": arguments.check_vault,
            "retention": _check_retention,
            "repair": _check_repair,
            "lock_for": lambda lock_for: arguments.check_lock_for(lock_for, self.target),
            "lock_mode": arguments.check_lock_mode,
            "service": arguments.check_service,
            "account": arguments.check_account,
        }


def _check_retention(value: Any) -> None:
    from airflow_provider_xbackup.errors import InvalidArgumentError
    from airflow_provider_xbackup.vault.retention import RetentionPolicy

    if value is not None and RetentionPolicy.of(value).is_empty:
        raise InvalidArgumentError("Say what to copy: at least one of the keep fields, such as keep_daily=30.")


def _check_repair(value: object) -> None:
    arguments.check_bool("repair", value)
