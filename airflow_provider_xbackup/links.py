"""The links of a task in Airflow's UI: to the backup's page, and to its manifest in the store's console.

Airflow asks for them in the worker, when the task has ended, and keeps the answers.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseOperator, BaseOperatorLink, conf

from airflow_provider_xbackup import configuration
from airflow_provider_xbackup.errors import InvalidArgumentError

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey

    from airflow_provider_xbackup.vault.layout import BackupPath
    from airflow_provider_xbackup.vault.url import VaultUrl
    from airflow_provider_xbackup.vault.vault import Vault

log = logging.getLogger(__name__)

#: The path of the page's overview below Airflow's address.
_PAGE = "xbackup/#/"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a task is about, as far as the task knows it by now. An operator keeps it as ``subject``.

    :param vault: the vault
    :param service: ``xray`` or ``xenioo``; None for all
    :param account: the account's name; None for all
    :param backup_id: the backup; None for several, and as long as nobody knows
    :param manifest_url: where the store's vendor shows the backup's manifest, None where that is not known
    """

    vault: VaultUrl
    service: str | None = None
    account: str | None = None
    backup_id: str | None = None
    manifest_url: str | None = None

    @classmethod
    def of(cls, vault: Vault, path: BackupPath) -> Subject:
        """Return a backup of a vault as the subject."""
        where = vault.store.console_url(path.manifest)
        return cls(vault.url, path.service, path.account, path.backup_id, where)

    @property
    def label(self) -> str:
        """What people call it."""
        account = self.service and self.account and f"{self.service}/{self.account}"
        return account or f"The vault {self.vault.without_connection}"

    @property
    def page(self) -> str | None:
        """The path of its page below Airflow's address; None where the page shows no such vault.

        :raises InvalidArgumentError: when the vaults that the page shows cannot be read
        """
        for shown in configuration.vaults():
            if shown.url.without_connection == self.vault.without_connection:
                known = self.service and self.account
                parts = (shown.name, self.service, self.account, self.backup_id) if known else ()
                return _PAGE + "/".join(quote(part, safe="") for part in parts if part)
        return None


def page_of(subject: Subject | None) -> str:
    """Return the full address of a subject's page; nothing where ``[xbackup] vaults`` does not name its vault."""
    try:
        page = None if subject is None else subject.page
    except InvalidArgumentError as error:
        log.warning("There is no link to the page of the backup: %s", error)
        return ""
    return "" if page is None else f"{conf.get('api', 'base_url', fallback='').rstrip('/')}/{page}"


class BackupLink(BaseOperatorLink):
    """Leads to what the package's page in Airflow's UI tells of a backup, an account, or all of them."""

    name = "Backup"
    xcom_key = "xbackup_backup_link"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - as Airflow calls it
        """Return the address of the page; nothing where ``[xbackup] vaults`` does not name the vault."""
        return page_of(getattr(operator, "subject", None))


class ManifestLink(BaseOperatorLink):
    """Leads to the backup's manifest in the console of AWS or Google Cloud."""

    name = "Manifest"
    xcom_key = "xbackup_manifest_link"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - as Airflow calls it
        """Return the address in the console; nothing for stores without one."""
        subject: Subject | None = getattr(operator, "subject", None)
        return (subject and subject.manifest_url) or ""


LINKS = (BackupLink(), ManifestLink())
