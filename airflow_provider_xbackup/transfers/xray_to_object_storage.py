"""Storing a finished Xray backup in a vault."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_xbackup import configuration
from airflow_provider_xbackup.exceptions import account_label, airflow_errors
from airflow_provider_xbackup.hooks.vault import VaultHook
from airflow_provider_xbackup.hooks.xray import XrayHook
from airflow_provider_xbackup.links import LINKS, Subject
from airflow_provider_xbackup.tasks import arguments, metrics, outcome
from airflow_provider_xbackup.tasks.interrupts import Interrupt
from airflow_provider_xbackup.transfer.options import check_max_drop, check_mode

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath, XComArg
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_xbackup.vault.catalog import Backup
    from airflow_provider_xbackup.vault.vault import Vault

_OUTLOOK = "The next try takes the job's files from their beginning; no new backup is asked for."


class XrayToObjectStorageOperator(BaseOperator):
    """Stream the files of a finished Xray backup into a vault: whole and the job's own, or not at all.

    The service serves one file a tenant, whatever job is asked for: a file that is older or newer than the
    job, or of other projects, is refused. Memory stays flat whatever the size. Run again, it finds what is
    stored already. Returns ``service``, ``account``, ``backup_id``, ``vault``, ``manifest`` and ``bytes``.

    :param job: what :class:`~airflow_provider_xbackup.sensors.xray.XrayBackupSensor` returned
    :param vault: where the backup goes: ``file:///path``, ``s3://[conn_id@]bucket/prefix``,
        ``gs://[conn_id@]bucket/prefix``, ``abfs://[conn_id@]container/prefix`` or an ObjectStoragePath
    :param account: the account's name; default the connection id
    :param encrypt_to: age public keys (``age1…``) to encrypt to, or None
    :param check: ``content`` inflates every entry of the zips and checks its CRC as it passes;
        ``structure`` looks at their directories only and leaves the rest to a later verification
    :param accept_identical: take a data zip that equals another job's byte for byte
    :param max_drop: the share, 0 to 1, by which a full may fall below its predecessor in size or any
        count before it is stored as suspect
    :param lock_for: how long S3 is to lock the backup, from when it has its files: a timedelta, or a duration
        such as ``90d`` or ``1y6m``; None for no lock. The bucket must have Object Lock
    :param lock_mode: ``governance``, or ``compliance``, which nobody can take back
    :param xray_conn_id: the connection, of type ``xray``
    """

    template_fields: Sequence[str] = (
        "job",
        "vault",
        "account",
        "encrypt_to",
        "lock_for",
        "lock_mode",
        "xray_conn_id",
    )
    ui_color = "#d7e8f7"
    operator_extra_links = LINKS
    subject: Subject | None = None

    def __init__(
        self,
        *,
        job: dict[str, Any] | XComArg,
        vault: str | ObjectStoragePath,
        account: str | None = None,
        encrypt_to: str | Sequence[str] | None = None,
        check: str = "content",
        accept_identical: bool = False,
        max_drop: float = 0.5,
        lock_for: timedelta | str | None = None,
        lock_mode: str = "governance",
        xray_conn_id: str = XrayHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.vault = vault
        self.account = account
        self.encrypt_to = encrypt_to
        self.check = check
        self.accept_identical = accept_identical
        self.max_drop = max_drop
        self.lock_for = lock_for
        self.lock_mode = lock_mode
        self.xray_conn_id = xray_conn_id
        self._interrupt = Interrupt()
        self._stored: tuple[Vault, Backup] | None = None
        arguments.check_literals(self, self._checks)

    def render_template(self, *args: Any, **kwargs: Any) -> Any:
        """Render a template field; a secret that comes of it is refused."""
        return arguments.without_secrets(self, super().render_template(*args, **kwargs))

    def execute(self, context: Context) -> dict[str, Any]:
        """Store the backup.

        :return: what was stored, and where
        """
        from airflow_provider_xbackup.services.xray_jobs import XrayBackupJob
        from airflow_provider_xbackup.transfer.xray import XrayTransfer
        from airflow_provider_xbackup.vault.encoding import parse_recipients
        from airflow_provider_xbackup.vault.locks import Lock

        arguments.check_all(self, self._checks)
        account = self.account or self.xray_conn_id
        about = account_label("Xray", account, self.xray_conn_id)
        with self._interrupt.heeded(about, lambda: _OUTLOOK), airflow_errors(about):
            vault = VaultHook(self.vault).vault
            self.subject = Subject(vault.url, "xray", account)
            client = XrayHook(self.xray_conn_id, account).client
            transfer = XrayTransfer(
                client=client,
                vault=vault,
                job=XrayBackupJob.from_dict(self.job),
                account=account,
                producer=outcome.producer_of(context),
                recipients=parse_recipients(self.encrypt_to),
                check=check_mode(self.check),
                accept_identical=self.accept_identical,
                max_drop=self.max_drop,
                lock=Lock.of(self.lock_for, self.lock_mode),
                connections=configuration.download_connections(),
            )
            with metrics.of_transfer("xray", account, transfer.tally, lambda: client.repeats):
                backup = transfer.run()
            self.subject, self._stored = Subject.of(vault, backup.path), (vault, backup)
        self.log.info("%s", outcome.conclusion_of(backup))
        outcome.announce(context, self, backup)
        return outcome.summary_of(backup)

    def on_kill(self) -> None:
        """End the transfer at once: connections are closed, and what it has begun in the vault is removed."""
        self._interrupt.end()

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any]:  # noqa: ARG002
        """Tell OpenLineage from which account the files in the vault are. Its provider calls this.

        :param task_instance: the task instance
        """
        from airflow_provider_xbackup import lineage

        return lineage.of_nothing() if self._stored is None else lineage.of_transfer(*self._stored)

    @property
    def _checks(self) -> arguments.Checks:
        return {
            "xray_conn_id": arguments.check_conn_id,
            "account": arguments.check_account,
            "vault": arguments.check_vault,
            "encrypt_to": arguments.check_recipients,
            "job": arguments.check_job,
            "check": check_mode,
            "accept_identical": arguments.check_accept_identical,
            "max_drop": check_max_drop,
            "lock_for": lambda lock_for: arguments.check_lock_for(lock_for, self.vault),
            "lock_mode": arguments.check_lock_mode,
        }
