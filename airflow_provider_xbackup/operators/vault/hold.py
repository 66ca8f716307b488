"""Keeping a backup from expiring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_xbackup.exceptions import airflow_errors
from airflow_provider_xbackup.hooks.vault import VaultHook
from airflow_provider_xbackup.links import LINKS, Subject
from airflow_provider_xbackup.tasks import arguments
from airflow_provider_xbackup.tasks.chosen import Chosen, check_one

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath, XComArg


class HoldBackupOperator(BaseOperator):
    """Keep a backup from expiring. One that has expired, and whose data is still there, comes back.

    A hold in force that ends later stays as it is. Returns ``service``, ``account``, ``backup_id``, ``asked_for``
    (what chose it), ``state`` (such as ``ok`` or ``suspect``), ``flaws`` (what is wrong with it, in sentences),
    ``vault``, ``who``, ``why`` and ``until``. Hand on all of it: who is told an id alone cannot know that nobody
    asked for this one.

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
    operator_extra_links = LINKS
    subject: Subject | None = None

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
        from dataclasses import replace
        from datetime import UTC, datetime

        from airflow_provider_xbackup.vault import layout
        from airflow_provider_xbackup.vault.choose import choose
        from airflow_provider_xbackup.vault.holds import hold_at_least

        arguments.check_all(self, self._checks)
        ti = context["ti"]
        who = self.who or f"{ti.dag_id} / {ti.task_id}, run {ti.run_id}"
        now = datetime.now(UTC)
        with airflow_errors(f"Vault {self.vault}"):
            chosen = Chosen.of(self.backup_id, self.service, self.account)
            vault = VaultHook(self.vault).vault
            self.subject = Subject(vault.url, chosen.service, chosen.account)
            vault.require()
            backup = choose(vault, chosen.selectors[0], chosen.service, chosen.account)
            self.subject = Subject.of(vault, backup.path)
            until = None if self.hold_for is None else now + self.hold_for
            done = hold_at_least(vault, backup.path, who=who, why=self.why, until=until, now=now)
        # Neither the hold nor a tombstone that it took away tells what the backup is worth.
        held = replace(backup, names=(backup.names or frozenset()) - {layout.HOLD, layout.TOMBSTONE})
        for path in done.revived:
            self.log.info("%s had expired and is back.", path.folder)
        if done.missing_base is not None:
            self.log.warning("The full %s that it builds on is gone.", done.missing_base.backup_id)
        self.log.info("Backup %s is held until %s.", backup.location, done.hold.until or "it is released")
        return {
            "service": backup.path.service,
            "account": backup.path.account,
            "backup_id": backup.backup_id,
            "asked_for": chosen.asked_for,
            "state": held.state,
            "flaws": list(held.verdict.flaws),
            "vault": str(vault.url),
            "who": done.hold.who,
            "why": done.hold.why,
            "until": None if done.hold.until is None else done.hold.until.isoformat(),
        }

    @property
    def _checks(self) -> arguments.Checks:
        return {
            "vault": arguments.check_vault,
            "backup_id": check_one,
            "why": _check_why,
            "hold_for": _check_hold_for,
            "service": arguments.check_service,
            "account": arguments.check_account,
        }


def _check_hold_for(value: object) -> None:
    if value is not None:
        arguments.check_above_zero("hold_for", value)


def _check_why(value: object) -> None:
    from airflow_provider_xbackup.errors import InvalidArgumentError

    if not isinstance(value, str) or not value.strip():
        raise InvalidArgumentError(f"why must say why the backup is held and is {value!r}.")
