"""Placing the files of a backup on a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_xbackup.exceptions import airflow_errors
from airflow_provider_xbackup.hooks.vault import VaultHook
from airflow_provider_xbackup.links import LINKS, Subject
from airflow_provider_xbackup.tasks import arguments
from airflow_provider_xbackup.tasks.chosen import Chosen, check_one

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath, XComArg
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_xbackup.vault.fetch import Fetched
    from airflow_provider_xbackup.vault.vault import Vault


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
    operator_extra_links = LINKS
    subject: Subject | None = None

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
        self._fetched: tuple[Vault, tuple[Fetched, ...]] | None = None

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
            self.subject = Subject(vault.url, chosen.service, chosen.account)
            vault.require()
            backup = choose(vault, chosen.selectors[0], chosen.service, chosen.account)
            self.subject = Subject.of(vault, backup.path)
            backups = restore_set(vault, backup) if self.chain else (backup,)
            placed = tuple(fetch(vault, each, self.directory, identities) for each in backups)
        self._fetched = vault, placed
        *base, last = placed
        for each in (*base, last):
            self.log.info("Backup %s is in %s, state %s.", each.backup.location, each.folder, each.backup.state)
        return _placed(last) | ({"base": _placed(base[0])} if base else {})

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any]:  # noqa: ARG002
        """Tell OpenLineage which files of the vault the placed ones are. Its provider calls this.

        :param task_instance: the task instance
        """
        from airflow_provider_xbackup import lineage

        return lineage.of_nothing() if self._fetched is None else lineage.of_fetch(*self._fetched)

    @property
    def _checks(self) -> arguments.Checks:
        return {
            "vault": arguments.check_vault,
            "directory": _check_directory,
            "backup_id": check_one,
            "service": arguments.check_service,
            "account": arguments.check_account,
            "identity_conn_id": arguments.check_optional_conn_id,
        }


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
