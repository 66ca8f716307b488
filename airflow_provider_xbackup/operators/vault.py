"""The life of a backup after it was stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_xbackup.exceptions import XBackupError, XBackupFailError, airflow_errors
from airflow_provider_xbackup.hooks.vault import VaultHook
from airflow_provider_xbackup.tasks import arguments, outcome
from airflow_provider_xbackup.tasks.chosen import Chosen, check_chosen

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath, XComArg

    from airflow_provider_xbackup.vault.expire import Outlook
    from airflow_provider_xbackup.vault.fetch import Fetched
    from airflow_provider_xbackup.vault.plan import RetentionPlan
    from airflow_provider_xbackup.vault.retention import RetentionPolicy
    from airflow_provider_xbackup.vault.verify import Verified

#: How many findings an error repeats; the log has them all.
_MOST_TOLD = 5


class VerifyBackupOperator(BaseOperator):
    """Verify backups of a vault, and append a check record to each.

    Fails, without using retries, when one of them is not as it should be, and when there was nothing to look
    at. Returns ``vault``, ``level``, ``backups`` (how many) and ``bytes`` (read).

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
    :param xray_conn_id: the connection to count with, for ``source``
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
        problems = [f"{finding.code}: {finding.text}" for finding in verification.findings]
        for problem in problems:
            self.log.error("%s", problem)
        return self._conclude(found, problems)

    def _count_live(self) -> Any:
        from airflow_provider_xbackup.errors import InvalidArgumentError
        from airflow_provider_xbackup.hooks.live_counts import count_live

        if self.xray_conn_id is None:
            raise InvalidArgumentError("level='source' needs xray_conn_id: whom to ask what Xray holds.")
        return count_live(self.xray_conn_id)

    def _tell(self, verified: Verified) -> None:
        check = verified.check
        where = verified.backup.location
        for finding in check.findings:
            log = self.log.error if finding.kind == "error" else self.log.warning
            log("%s: %s: %s", where, finding.code, finding.text)
        word = "passed" if check.passed else "FAILED"
        self.log.info("%s %s, looked at as deep as %s: %d bytes.", where, word, check.reached, check.bytes_)

    def _conclude(self, found: Sequence[Verified], problems: list[str]) -> dict[str, Any]:
        failed = [verified for verified in found if not verified.check.passed]
        problems += [
            f"{verified.backup.backup_id}: {finding.code}: {finding.text}"
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
        unanswered = next((verified.unanswered for verified in found if verified.unanswered), None)
        if unanswered is not None:
            raise XBackupError(f"The backups passed, but were not compared with their source: {unanswered}")
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
            "identity_conn_id": _check_optional_conn_id,
            "xray_conn_id": _check_optional_conn_id,
            "max_drop": _check_max_drop,
            "tolerance": _check_tolerance,
        }


class FetchBackupOperator(BaseOperator):
    """Place the files of a backup in a folder of the worker: verified, decrypted, decompressed.

    They lie in ``directory/<backup_id>/`` as ``backup.zip``, ``attachments.zip`` or ``bot.json``, with
    ``manifest.json`` last, for the worker's user alone. A file that is another one is never overwritten; a try
    that was interrupted is gone on with. Returns ``backup_id``, ``service``, ``account``, ``state``, ``folder``
    and ``files`` (role to path); with ``chain`` also ``base``, the same of the full.

    :param vault: the vault: ``file:///path``, ``s3://[conn_id@]bucket/prefix`` …
    :param directory: where the backup's folder is to be
    :param backup_id: which: a backup id, ``latest``, ``latest-verified``, ``as-of INSTANT``, or what a transfer
        returned
    :param service: only this service
    :param account: only this account
    :param chain: of a partial backup, fetch the full that it builds on as well
    :param identity_conn_id: a connection whose password is an age identity; None for
        ``XBACKUP_AGE_IDENTITY`` or ``XBACKUP_AGE_IDENTITY_FILE`` in the worker's environment
    """

    template_fields: Sequence[str] = (
        "vault",
        "directory",
        "backup_id",
        "service",
        "account",
        "identity_conn_id",
    )
    ui_color = "#e8e0f3"

    def __init__(
        self,
        *,
        vault: str | ObjectStoragePath,
        directory: str,
        backup_id: str | Mapping[str, Any] | XComArg = "latest-verified",
        service: str | None = None,
        account: str | None = None,
        chain: bool = False,
        identity_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vault = vault
        self.directory = directory
        self.backup_id = backup_id
        self.service = service
        self.account = account
        self.chain = chain
        self.identity_conn_id = identity_conn_id
        arguments.check_literals(self, self._checks)

    def render_template(self, *args: Any, **kwargs: Any) -> Any:
        """Render a template, and refuse a secret that it became."""
        return arguments.without_secrets(self, super().render_template(*args, **kwargs))

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - as Airflow calls it
        """Fetch the backup.

        :return: what was placed, and where
        :raises XBackupFailError: when it is damaged, there is none, or the key does not fit
        :raises XBackupError: when the vault does not answer
        """
        from airflow_provider_xbackup.hooks.identities import read_identities
        from airflow_provider_xbackup.vault.choose import choose, restore_set
        from airflow_provider_xbackup.vault.fetch import fetch

        arguments.check_all(self, self._checks)
        with airflow_errors(f"Vault {self.vault}"):
            chosen = Chosen.of(self.backup_id, self.service, self.account)
            identities = read_identities(self.identity_conn_id)
            vault = VaultHook(self.vault).vault
            vault.require()
            backup = choose(vault, chosen.selectors[0], chosen.service, chosen.account)
            backups = restore_set(vault, backup) if self.chain else (backup,)
            *base, last = [fetch(vault, each, self.directory, identities) for each in backups]
        for each in (*base, last):
            self.log.info("Backup %s is in %s, state %s.", each.backup.location, each.folder, each.backup.state)
        return _placed(last) | ({"base": _placed(base[0])} if base else {})

    @property
    def _checks(self) -> arguments.Checks:
        return {
            "vault": arguments.check_vault,
            "directory": _check_directory,
            "backup_id": _check_one_chosen,
            "service": arguments.check_service,
            "account": arguments.check_account,
            "identity_conn_id": _check_optional_conn_id,
        }


class ApplyRetentionOperator(BaseOperator):
    """Expire the backups of a vault that a policy does not keep, and remove those that expired long enough ago.

    A group whose plan is refused is left alone; the task does all others first and then fails, without using
    retries. Returns numbers: ``groups``, ``kept``, ``expired``, ``revived``, ``removed``, ``freed`` (bytes),
    ``garbage`` (bytes), ``not_let_go`` (objects that the store did not remove), and ``paused``, the names of
    groups in which nothing expires because their newest full is suspect.

    :param vault: the vault: ``file:///path``, ``s3://[conn_id@]bucket/prefix`` …
    :param policy: a :class:`~airflow_provider_xbackup.vault.RetentionPolicy`, or its fields as a dict. Its fields
        can be given one by one as well, and count where both say something.
    :param dry_run: only tell in the log and the counts what would be done
    :param service: only this service
    :param account: only this account
    :param grace: how long an expired backup can still be brought back
    :param garbage_after: how old the leavings of failed attempts must be to go
    :param override: the names of refusals to go over: ``empties-group``, ``max-delete-fraction``
    :param keep_last: the newest so many
    :param keep_hourly: the newest of each of the newest so many hours that have one; -1 for all
    :param keep_daily: likewise for days
    :param keep_weekly: likewise for ISO weeks
    :param keep_monthly: likewise for months
    :param keep_yearly: likewise for years
    :param keep_within: a duration such as ``1y2m3d4h``: all that are less than so much older than the newest
    :param keep_within_hourly: of those, the newest of each hour
    :param keep_within_daily: likewise for days
    :param keep_within_weekly: likewise for ISO weeks
    :param keep_within_monthly: likewise for months
    :param keep_within_yearly: likewise for years
    :param timezone: where hours, days, weeks, months and years begin; UTC
    :param min_verified: how many of the newest verified ones are always kept; 1
    :param max_delete_fraction: refuse to expire a larger share of a group at once; 0.5
    """

    template_fields: Sequence[str] = ("vault", "policy", "service", "account", "override")
    ui_color = "#e8e0f3"

    def __init__(
        self,
        *,
        vault: str | ObjectStoragePath,
        policy: RetentionPolicy | Mapping[str, Any] | XComArg | None = None,
        dry_run: bool = False,
        service: str | None = None,
        account: str | None = None,
        grace: timedelta = timedelta(days=3),
        garbage_after: timedelta = timedelta(days=7),
        override: str | Sequence[str] = (),
        keep_last: int | None = None,
        keep_hourly: int | None = None,
        keep_daily: int | None = None,
        keep_weekly: int | None = None,
        keep_monthly: int | None = None,
        keep_yearly: int | None = None,
        keep_within: str | None = None,
        keep_within_hourly: str | None = None,
        keep_within_daily: str | None = None,
        keep_within_weekly: str | None = None,
        keep_within_monthly: str | None = None,
        keep_within_yearly: str | None = None,
        timezone: str | None = None,
        min_verified: int | None = None,
        max_delete_fraction: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        fields = {
            "keep_last": keep_last,
            "keep_hourly": keep_hourly,
            "keep_daily": keep_daily,
            "keep_weekly": keep_weekly,
            "keep_monthly": keep_monthly,
            "keep_yearly": keep_yearly,
            "keep_within": keep_within,
            "keep_within_hourly": keep_within_hourly,
            "keep_within_daily": keep_within_daily,
            "keep_within_weekly": keep_within_weekly,
            "keep_within_monthly": keep_within_monthly,
            "keep_within_yearly": keep_within_yearly,
            "timezone": timezone,
            "min_verified": min_verified,
            "max_delete_fraction": max_delete_fraction,
        }
        self.vault = vault
        self.policy = _merge(policy, {name: value for name, value in fields.items() if value is not None})
        # Not named dry_run: that is a method of every operator.
        self.only_plan = dry_run
        self.service = service
        self.account = account
        self.grace = grace
        self.garbage_after = garbage_after
        self.override = override
        arguments.check_literals(self, self._checks)

    def render_template(self, *args: Any, **kwargs: Any) -> Any:
        """Render a template, and refuse a secret that it became."""
        return arguments.without_secrets(self, super().render_template(*args, **kwargs))

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - as Airflow calls it
        """Plan, and unless it is a dry run carry out.

        :return: what was done, in numbers
        :raises XBackupFailError: when the plan of a group is refused; all others were carried out then
        :raises XBackupError: when the vault does not answer
        """
        from datetime import UTC, datetime

        from airflow_provider_xbackup.vault.expire import apply_retention, plan_retention
        from airflow_provider_xbackup.vault.plan import check_overrides
        from airflow_provider_xbackup.vault.retention import RetentionPolicy

        arguments.check_all(self, self._checks)
        with airflow_errors(f"Vault {self.vault}"):
            vault = VaultHook(self.vault).vault
            vault.require()
            policy = RetentionPolicy.of(self.policy)
            options: dict[str, Any] = {
                "service": self.service,
                "account": self.account,
                "grace": self.grace,
                "override": check_overrides(self.override),
                "now": datetime.now(UTC),
            }
            if self.only_plan:
                outlook = plan_retention(vault, policy, **options)
            else:
                outlook = apply_retention(vault, policy, garbage_after=self.garbage_after, **options)
        self._tell(outlook)
        if outlook.refused:
            raise XBackupFailError(
                f"Vault {self.vault}: retention is refused for {len(outlook.refused)} of {len(outlook.plans)} "
                f"groups, and nothing of them was touched. {' '.join(map(_refusal, outlook.refused[:_MOST_TOLD]))}"
            )
        return {
            "vault": str(self.vault),
            "dry_run": self.only_plan,
            **outlook.numbers,
            "paused": [str(plan.group) for plan in outlook.plans if plan.paused],
        }

    def _tell(self, outlook: Outlook) -> None:
        from airflow_provider_xbackup.vault.expire import Applied

        for finding in outlook.findings:
            self.log.warning("%s: %s", finding.code, finding.text)
        for plan in outlook.plans:
            if plan.paused:
                self.log.warning("Nothing of %s expires, because %s.", plan.group, plan.paused)
            for each in plan.decisions:
                if each.action in ("expire", "remove", "revive"):
                    self.log.info("%s: %s: %s", each.entry.path.folder, each.action, ", ".join(each.reasons))
        if isinstance(outlook, Applied):
            for refused in outlook.not_let_go:
                self.log.warning("Not removed, the next run tries again: %s", refused.reason)
            if outlook.hidden:
                self.log.warning(
                    "The bucket keeps versions. What was removed is hidden, bytes remain, until the bucket's rule "
                    "for noncurrent versions removes them."
                )
        numbers = ", ".join(f"{name} {number}" for name, number in outlook.numbers.items())
        self.log.info("%s: %s.", "Nothing was done; it would be" if self.only_plan else "Done", numbers)

    @property
    def _checks(self) -> arguments.Checks:
        return {
            "vault": arguments.check_vault,
            "policy": _check_policy,
            "service": arguments.check_service,
            "account": arguments.check_account,
            "override": _check_override,
            "grace": _check_grace,
            "garbage_after": _check_garbage_after,
        }


class HoldBackupOperator(BaseOperator):
    """Keep a backup from expiring. One that has expired, and whose data is still there, comes back.

    A hold in force that ends later stays as it is. Returns ``service``, ``account``, ``backup_id``, ``vault``,
    ``who``, ``why`` and ``until``.

    :param vault: the vault: ``file:///path``, ``s3://[conn_id@]bucket/prefix`` …
    :param backup_id: which: a backup id, ``latest``, ``latest-verified``, ``as-of INSTANT``, or what a transfer
        returned
    :param why: the reason, for whoever reads it later
    :param who: who says so; default the DAG, the task and the run
    :param hold_for: how long; None until somebody releases it
    :param service: only this service
    :param account: only this account
    """

    template_fields: Sequence[str] = ("vault", "backup_id", "why", "who", "service", "account")
    ui_color = "#e8e0f3"

    def __init__(
        self,
        *,
        vault: str | ObjectStoragePath,
        backup_id: str | Mapping[str, Any] | XComArg,
        why: str,
        who: str | None = None,
        hold_for: timedelta | None = None,
        service: str | None = None,
        account: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vault = vault
        self.backup_id = backup_id
        self.why = why
        self.who = who
        self.hold_for = hold_for
        self.service = service
        self.account = account
        arguments.check_literals(self, self._checks)

    def render_template(self, *args: Any, **kwargs: Any) -> Any:
        """Render a template, and refuse a secret that it became."""
        return arguments.without_secrets(self, super().render_template(*args, **kwargs))

    def execute(self, context: Context) -> dict[str, Any]:
        """Hold the backup.

        :return: which, and until when
        :raises XBackupFailError: when it is gone
        :raises XBackupError: when the vault does not answer
        """
        from datetime import UTC, datetime

        from airflow_provider_xbackup.vault.choose import choose
        from airflow_provider_xbackup.vault.holds import hold_at_least

        arguments.check_all(self, self._checks)
        ti = context["ti"]
        who = self.who or f"{ti.dag_id} / {ti.task_id}, run {ti.run_id}"
        now = datetime.now(UTC)
        with airflow_errors(f"Vault {self.vault}"):
            chosen = Chosen.of(self.backup_id, self.service, self.account)
            vault = VaultHook(self.vault).vault
            vault.require()
            backup = choose(vault, chosen.selectors[0], chosen.service, chosen.account)
            until = None if self.hold_for is None else now + self.hold_for
            done = hold_at_least(vault, backup.path, who=who, why=self.why, until=until, now=now)
        for path in done.revived:
            self.log.info("%s had expired and is back.", path.folder)
        if done.missing_base is not None:
            self.log.warning("The full %s that it builds on is gone.", done.missing_base.backup_id)
        self.log.info("Backup %s is held until %s.", backup.location, done.hold.until or "it is released")
        return {
            "service": backup.path.service,
            "account": backup.path.account,
            "backup_id": backup.backup_id,
            "vault": str(vault.url),
            "who": done.hold.who,
            "why": done.hold.why,
            "until": None if done.hold.until is None else done.hold.until.isoformat(),
        }

    @property
    def _checks(self) -> arguments.Checks:
        return {
            "vault": arguments.check_vault,
            "backup_id": _check_one,
            "why": _check_why,
            "hold_for": _check_hold_for,
            "service": arguments.check_service,
            "account": arguments.check_account,
        }


def _merge(policy: Any, fields: dict[str, Any]) -> Any:
    """Return a policy as the dict of its fields, those given one by one before those of the policy."""
    from airflow_provider_xbackup.errors import InvalidArgumentError
    from airflow_provider_xbackup.vault.retention import RetentionPolicy

    if policy is None:
        return fields
    if isinstance(policy, RetentionPolicy):
        policy = {each.name: getattr(policy, each.name) for each in dataclasses.fields(policy)}
    if not fields:
        return policy
    if isinstance(policy, Mapping):
        return {**policy, **fields}
    with airflow_errors("Retention"):
        raise InvalidArgumentError("A policy that another task returns cannot be mixed with fields of its own.")


def _refusal(plan: RetentionPlan) -> str:
    return " ".join(
        f"{plan.group}: {refusal.text}. If it is meant, set override={refusal.name!r}."
        for refusal in plan.refusals
    )


def _check_policy(value: Any) -> None:
    from airflow_provider_xbackup.errors import InvalidArgumentError
    from airflow_provider_xbackup.vault.retention import RetentionPolicy

    if RetentionPolicy.of(value).is_empty:
        raise InvalidArgumentError("Say what to keep: at least one of the keep fields, such as keep_daily=30.")


def _check_override(value: Any) -> None:
    from airflow_provider_xbackup.vault.plan import check_overrides

    check_overrides(value)


def _check_grace(value: object) -> None:
    arguments.check_zero_or_more("grace", value)


def _check_garbage_after(value: object) -> None:
    arguments.check_zero_or_more("garbage_after", value)


def _check_hold_for(value: object) -> None:
    if value is not None:
        arguments.check_above_zero("hold_for", value)


def _check_one(value: object) -> None:
    from airflow_provider_xbackup.errors import InvalidArgumentError

    if len(Chosen.of(value).selectors) != 1:
        raise InvalidArgumentError(f"backup_id names one backup and is {value!r}.")


def _check_why(value: object) -> None:
    from airflow_provider_xbackup.errors import InvalidArgumentError

    if not isinstance(value, str) or not value.strip():
        raise InvalidArgumentError(f"why must say why the backup is held and is {value!r}.")


def _check_level(value: object) -> None:
    from airflow_provider_xbackup.errors import InvalidArgumentError
    from airflow_provider_xbackup.vault.checks import Level

    if value not in tuple(Level):
        raise InvalidArgumentError(f"level must be one of {', '.join(Level)} and is {value!r}.")


def _placed(fetched: Fetched) -> dict[str, Any]:
    return {
        "backup_id": fetched.backup.backup_id,
        "service": fetched.backup.path.service,
        "account": fetched.backup.path.account,
        "state": fetched.backup.state,
        "folder": str(fetched.folder),
        "files": {file.role: str(file.path) for file in fetched.files},
    }


def _check_directory(value: object) -> None:
    from airflow_provider_xbackup.errors import InvalidArgumentError

    if not isinstance(value, str) or not value.startswith("/"):
        raise InvalidArgumentError(f"directory must be an absolute path on the worker and is {value!r}.")


def _check_one_chosen(value: object) -> None:
    from airflow_provider_xbackup.errors import InvalidArgumentError

    if len(Chosen.of(value).selectors) != 1:
        raise InvalidArgumentError("backup_id must name one backup here.")


def _check_subset(value: str | None) -> None:
    from airflow_provider_xbackup.vault.verify import Subset

    Subset.parse(value)


def _check_optional_conn_id(value: object) -> None:
    if value is not None:
        arguments.check_conn_id(value)


def _check_max_drop(value: object) -> None:
    from airflow_provider_xbackup.vault.drops import check_share

    check_share("max_drop", value)


def _check_tolerance(value: object) -> None:
    from airflow_provider_xbackup.vault.drops import check_share

    check_share("tolerance", value)
