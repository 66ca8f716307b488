"""Storing the backup of a Xenioo bot in a vault."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_xbackup import configuration
from airflow_provider_xbackup.exceptions import XBackupCooldownError, account_label, airflow_errors
from airflow_provider_xbackup.hooks.vault import VaultHook
from airflow_provider_xbackup.hooks.xenioo import XeniooHook
from airflow_provider_xbackup.links import LINKS, Subject
from airflow_provider_xbackup.tasks import arguments, cooldown, metrics, outcome
from airflow_provider_xbackup.tasks.interrupts import Interrupt
from airflow_provider_xbackup.tasks.unanswered import UnansweredRequest

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_xbackup.vault.catalog import Backup
    from airflow_provider_xbackup.vault.vault import Vault

_EXPLAINED = timedelta(hours=2)
_PROBABLY = (
    "An earlier try of this task called the bot at {at} and did not get its whole answer: that call has probably "
    "spent the hour, and what it brought is lost."
)
_PERHAPS = (
    "Perhaps an earlier try of this task called the bot and did not get its whole answer: then that call has "
    "spent the hour, and what it brought is lost."
)


class XeniooToObjectStorageOperator(BaseOperator):
    """Take a bot's backup and store it in a vault.

    A bot hands out one backup an hour. The answer is kept in a private folder of the worker
    (``[xbackup] spool_dir``) until it is safe in the vault, so an upload that fails is tried again without
    spending another hour, as long as the retry runs on the same machine. Returns ``service``, ``account``,
    ``backup_id``, ``vault``, ``manifest`` and ``bytes``.

    :param vault: where the backup goes: ``file:///path``, ``s3://[conn_id@]bucket/prefix``,
        ``gs://[conn_id@]bucket/prefix``, ``abfs://[conn_id@]container/prefix`` or an ObjectStoragePath
    :param account: the account's name; default the connection id
    :param on_cooldown: when the bot's hour is not over: ``wait`` for its end without holding a worker,
        ``skip`` the task, or ``fail`` it at once
    :param max_wait: the longest wait for the hour, over all refusals together
    :param encrypt_to: age public keys (``age1…``) to encrypt to, or None
    :param compress: whether to compress with zstd; decompressed, the bytes are the vendor's
    :param lock_for: how long S3 is to lock the backup, from when it has its files: a timedelta, or a duration
        such as ``90d`` or ``1y6m``; None for no lock. The bucket must have Object Lock
    :param lock_mode: ``governance``, or ``compliance``, which nobody can take back
    :param xenioo_conn_id: the connection, of type ``xenioo``
    """

    template_fields: Sequence[str] = (
        "vault",
        "account",
        "on_cooldown",
        "encrypt_to",
        "lock_for",
        "lock_mode",
        "xenioo_conn_id",
    )
    ui_color = "#d7e8f7"
    operator_extra_links = LINKS
    subject: Subject | None = None

    def __init__(
        self,
        *,
        vault: str | ObjectStoragePath,
        account: str | None = None,
        on_cooldown: str = "wait",
        max_wait: timedelta = timedelta(hours=12),
        encrypt_to: str | Sequence[str] | None = None,
        compress: bool = False,
        lock_for: timedelta | str | None = None,
        lock_mode: str = "governance",
        xenioo_conn_id: str = XeniooHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vault = vault
        self.account = account
        self.on_cooldown = on_cooldown
        self.max_wait = max_wait
        self.encrypt_to = encrypt_to
        self.compress = compress
        self.lock_for = lock_for
        self.lock_mode = lock_mode
        self.xenioo_conn_id = xenioo_conn_id
        self._interrupt = Interrupt()
        self._stored: tuple[Vault, Backup] | None = None
        arguments.check_literals(self, self._checks)

    def render_template(self, *args: Any, **kwargs: Any) -> Any:
        """Render a template field; a secret that comes of it is refused."""
        return arguments.without_secrets(self, super().render_template(*args, **kwargs))

    def execute(self, context: Context) -> dict[str, Any]:
        """Take the backup and store it.

        :return: what was stored, and where
        """
        arguments.check_all(self, self._checks)
        return self._store(context, give_up_at=cooldown.read_end(None, self.max_wait), refusals=0)

    def try_again(
        self, context: Context, event: object = None, give_up_at: str | None = None, refusals: int = 1
    ) -> dict[str, Any]:
        """Ask again after a cooldown.

        :param context: the task's context
        :param event: that the instant has come
        :param give_up_at: when waiting ends; None, as ``dag.test()`` drops it, to count anew
        :param refusals: how many refusals there were
        :return: what was stored, and where
        """
        self.log.info("The bot's hour should be over (%s); asking again.", event)
        return self._store(context, give_up_at=cooldown.read_end(give_up_at, self.max_wait), refusals=refusals)

    def on_kill(self) -> None:
        """End the transfer at once: connections are closed, and what it has begun in the vault is removed.

        An answer that is spooled completely stays there for the next try.
        """
        self._interrupt.end()

    def _store(self, context: Context, *, give_up_at: datetime, refusals: int) -> dict[str, Any]:
        from airflow_provider_xbackup.transfer.errors import SpentHourError
        from airflow_provider_xbackup.transfer.xenioo import XeniooTransfer
        from airflow_provider_xbackup.vault.encoding import parse_recipients
        from airflow_provider_xbackup.vault.locks import Lock

        account = self.account or self.xenioo_conn_id
        about = account_label("Xenioo", account, self.xenioo_conn_id)
        hook = XeniooHook(self.xenioo_conn_id, account)
        unanswered = UnansweredRequest(context, {"xenioo_conn_id": self.xenioo_conn_id}, within=_EXPLAINED)
        transfer: XeniooTransfer | None = None

        def outlook() -> str:
            return transfer.outlook() if transfer is not None else "The bot was not asked."

        try:
            with self._interrupt.heeded(about, outlook), airflow_errors(about):
                vault = VaultHook(self.vault).vault
                self.subject = Subject(vault.url, "xenioo", account)
                transfer = XeniooTransfer(
                    client=hook.client,
                    key_sha256=hook.bot_key_sha256,
                    vault=vault,
                    account=account,
                    producer=outcome.producer_of(context),
                    spool_dir=configuration.spool_dir(),
                    recipients=parse_recipients(self.encrypt_to),
                    compress=self.compress,
                    asking=unanswered.noted,
                    lock=Lock.of(self.lock_for, self.lock_mode),
                    assumed_wait=configuration.xenioo_cooldown(),
                )
                with metrics.of_transfer("xenioo", account, transfer.tally, lambda: hook.client.repeats):
                    backup = transfer.run()
                self.subject, self._stored = Subject.of(vault, backup.path), (vault, backup)
        except XBackupCooldownError as refusal:
            # Of an answer that could not be used the refusal itself tells.
            told = isinstance(refusal.error, SpentHourError)
            cooldown.handle(
                refusal,
                self,
                on_cooldown=self.on_cooldown,
                give_up_at=give_up_at,
                refusals=refusals,
                service="xenioo",
                account=account,
                because="" if told else unanswered.explain(_PROBABLY, _PERHAPS),
            )
        self.log.info("%s", outcome.conclusion_of(backup))
        outcome.announce(context, self, backup)
        return outcome.summary_of(backup)

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any]:  # noqa: ARG002
        """Tell OpenLineage from which account the files in the vault are. Its provider calls this.

        :param task_instance: the task instance
        """
        from airflow_provider_xbackup import lineage

        return lineage.of_nothing() if self._stored is None else lineage.of_transfer(*self._stored)

    @property
    def _checks(self) -> arguments.Checks:
        return {
            "xenioo_conn_id": arguments.check_conn_id,
            "account": arguments.check_account,
            "vault": arguments.check_vault,
            "on_cooldown": arguments.check_on_cooldown,
            "max_wait": arguments.check_max_wait,
            "encrypt_to": arguments.check_recipients,
            "compress": arguments.check_compress,
            "lock_for": lambda lock_for: arguments.check_lock_for(lock_for, self.vault),
            "lock_mode": arguments.check_lock_mode,
        }
