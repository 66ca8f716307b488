"""Expiring backups by a policy."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_xbackup.exceptions import XBackupFailError, airflow_errors
from airflow_provider_xbackup.hooks.vault import VaultHook
from airflow_provider_xbackup.links import LINKS, Subject
from airflow_provider_xbackup.tasks import arguments, metrics
from airflow_provider_xbackup.tasks.metrics import Metric

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath, XComArg

    from airflow_provider_xbackup.vault.expire import Applied, Outlook
    from airflow_provider_xbackup.vault.plan import RetentionPlan
    from airflow_provider_xbackup.vault.retention import RetentionPolicy

#: How many refusals an error repeats; the log has them all.
_MOST_TOLD = 5


class ApplyRetentionOperator(BaseOperator):
    """Expire the backups of a vault that a policy does not keep, and remove those that expired long enough ago.

    A group whose plan is refused is left alone; the task does all others first and then fails, without using
    retries. Returns numbers: ``groups``, ``kept``, ``expired``, ``revived``, ``removed``, ``freed`` (bytes),
    ``garbage`` (bytes), ``not_let_go`` (objects that the store did not remove), and ``paused``, the names of
    groups in which nothing expires because a suspect full is newer than all whole ones.

    :param vault: the vault: ``file:///path``, ``s3://[conn_id@]bucket/prefix`` …
    :param policy: a :class:`~airflow_provider_xbackup.vault.RetentionPolicy`, or its fields as a dict. Its fields
        can be given one by one as well, and count where both say something.
    :param dry_run: only tell in the log and the counts what would be done
    :param service: only this service
    :param account: only this account
    :param grace: how long an expired backup can still be brought back
    :param garbage_after: how old the leavings of failed attempts must be to go
    :param override: the names of refusals to go over: ``empties-group``, ``max-delete-fraction``,
        ``unseen-locks``
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
    operator_extra_links = LINKS
    subject: Subject | None = None

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

        from airflow_provider_xbackup.vault.expire import Outlook, apply_retention, plan_retention
        from airflow_provider_xbackup.vault.plan import check_overrides
        from airflow_provider_xbackup.vault.retention import RetentionPolicy

        arguments.check_all(self, self._checks)
        with airflow_errors(f"Vault {self.vault}"):
            vault = VaultHook(self.vault).vault
            self.subject = Subject(vault.url, self.service, self.account)
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
                outlook = Outlook.of(plan_retention(vault, policy, **options))
            else:
                outlook = applied = apply_retention(vault, policy, garbage_after=self.garbage_after, **options)
                _count(applied)
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
            for refusal in plan.refusals:
                self.log.error("Nothing of %s expires, it is refused: %s.", plan.group, refusal.text)
            for each in plan.decisions:
                if each.entry.standing == "damaged":
                    self.log.warning("%s: %s", each.entry.path.folder, ", ".join(each.reasons))
                elif each.action in ("expire", "remove", "revive"):
                    planned = self.only_plan or (plan.refusals and each.action == "expire")
                    action = f"would {each.action}" if planned else each.action
                    self.log.info("%s: %s: %s", each.entry.path.folder, action, ", ".join(each.reasons))
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


def _count(applied: Applied) -> None:
    done = ((Metric.EXPIRED_BACKUPS, applied.expired), (Metric.REMOVED_BACKUPS, applied.removed))
    for metric, paths in done:
        for (service, account), number in Counter((path.service, path.account) for path in paths).items():
            metrics.count(metric, number, service=service, account=account)
    for plan in applied.refused:
        for refusal in plan.refusals:
            about = {"service": plan.group.service, "account": plan.group.account}
            metrics.count(Metric.REFUSED_PLANS, reason=refusal.name, **about)


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
