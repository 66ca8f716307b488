"""A vault: the backups below one URL."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.catalog import Backup, Catalog, read_manifest, weigh_backup
from airflow_provider_xbackup.vault.draft import Draft
from airflow_provider_xbackup.vault.errors import (
    ObjectMissingError,
    VaultError,
)
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.locks import Lock, check_lockable, keep_locked, require_locks
from airflow_provider_xbackup.vault.store import Store
from airflow_provider_xbackup.vault.url import VaultUrl

log = logging.getLogger(__name__)


class Vault:
    """The backups kept below one URL.

    :param url: where it is
    :param store: its objects
    """

    def __init__(self, url: VaultUrl, store: Store) -> None:
        self.url = url
        self.store = store

    def __repr__(self) -> str:
        return f"Vault({str(self.url)!r})"

    @classmethod
    def open(cls, vault: Any) -> Vault:
        """Open a vault with the environment's credentials. Nothing is asked of the store yet.

        :param vault: a URL without a connection id, see :meth:`VaultUrl.parse`
        :return: the vault
        :raises InvalidArgumentError: when it is no URL of a vault
        :raises MissingDependencyError: when the extra for its scheme is not installed
        :raises VaultAccessError: when the environment has no credentials
        """
        from airflow_provider_xbackup.vault.connect import open_store

        url = VaultUrl.parse(vault)
        return cls(url, open_store(url))

    def prepare(self, lock: Lock | None = None) -> None:
        """Make sure that it can be written, before anything costly is done; see :meth:`Store.prepare`.

        :param lock: make sure, too, that backups can be locked so
        :raises UnlockableStoreError: when they cannot
        """
        check_lockable(self.url, lock)
        self.store.prepare()
        if lock is not None:
            require_locks(self.store)

    def warn_of_little_room(self, service: str, account: str) -> None:
        """Say in the log when the newest backup of an account took more than is free, where that is known.

        :param service: ``xray`` or ``xenioo``
        :param account: the account's name
        """
        with contextlib.suppress(VaultError):  # a warning is worth no failure
            free = self.store.free_space()
            newest = None if free is None else next(iter(self.backups(service, account)), None)
            if free is None or newest is None or newest.manifest.stored_size <= free:
                return
            log.warning(
                "The disk of the vault %s has %d MB free, and the newest backup of %s/%s takes %d MB: make room "
                "or apply retention before the next one comes.",
                self.url,
                free // 10**6,
                service,
                account,
                newest.manifest.stored_size // 10**6,
            )

    def require(self) -> None:
        """Make sure that there is something to read; see :meth:`Store.require`."""
        self.store.require()

    def keep_locked(self, backup: Backup, lock: Lock | None) -> None:
        """Lock a backup that is stored, as far as it is not; None changes nothing.

        :param backup: the backup
        :param lock: for how long, and how hard
        :raises UnlockableStoreError: when the vault has no locks
        :raises VaultError: when the store refuses
        """
        if lock is not None:
            keep_locked(self.store, lock, backup.path, backup.manifest)

    def find(self, service: str, account: str, backup_id: str) -> Backup | None:
        """Return one backup.

        :param service: ``xray`` or ``xenioo``
        :param account: the account's name
        :param backup_id: the backup's id
        :return: the backup, or None where there is none
        :raises InvalidArgumentError: when a name cannot be one
        :raises ManifestError: when its manifest is damaged
        :raises VaultError: when the store does not answer
        """
        path = BackupPath.checked(service, account, backup_id)
        try:
            manifest = read_manifest(self.store, path)
        except ObjectMissingError:
            return None
        names = [found.path.removeprefix(f"{path.folder}/") for found in self.store.list(path.folder)]
        if layout.MANIFEST not in names:  # removed between the two
            return None
        return weigh_backup(self.url, self.store, path, manifest, names, datetime.now(UTC))

    def locate(
        self, backup_id: str, service: str | None = None, account: str | None = None
    ) -> tuple[BackupPath, ...]:
        """Find the folders of a backup whose account, or end of the id, is not known.

        :param backup_id: the backup's id, or its first 8 characters or more
        :param service: only this service
        :param account: only this account
        :return: the folders with a manifest whose id is, or begins with, that; more than one when several
            backups begin so, or accounts share an instant
        :raises InvalidArgumentError: when a name cannot be one
        :raises VaultError: when the store does not answer
        """
        layout.check_id_start(backup_id)
        services = layout.SERVICES if service is None else (layout.check_service(service),)
        paths = [
            BackupPath(name, who, found)
            for name in services
            for who in (self.store.list_folders(name) if account is None else (layout.check_account(account),))
            for found in self._ids_like(f"{name}/{who}", backup_id)
        ]
        return tuple(path for path in paths if self.store.exists(path.manifest))

    def _ids_like(self, folder: str, start: str) -> Sequence[str]:
        if layout.is_backup_id(start):
            return (start,)
        return [
            name
            for name in self.store.list_folders(folder)
            if name.startswith(start) and layout.is_backup_id(name)
        ]

    def backups(self, service: str | None = None, account: str | None = None) -> Catalog:
        """Return the backups, newest first; iterate it, and read its findings afterwards.

        :param service: only this service
        :param account: only this account
        :return: the catalog; nothing is read yet
        :raises InvalidArgumentError: when a name cannot be one
        """
        return Catalog(self.url, self.store, service, account)

    def draft(self, service: str, account: str, backup_id: str, *, lock: Lock | None = None) -> Draft:
        """Begin an attempt to store a backup. The vault is made ready, or refuses, right here.

        :param service: ``xray`` or ``xenioo``
        :param account: the account's name
        :param backup_id: the backup's id
        :param lock: for how long, and how hard, it is to be locked
        :return: the attempt
        :raises InvalidArgumentError: when a name cannot be one
        :raises VaultError: when the vault cannot be written
        """
        path = BackupPath.checked(service, account, backup_id)
        self.prepare(lock)
        return Draft(self, path, lock)
