"""Reads a vault for retention: its groups, each backup as small as retention needs it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby

from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.ahead import READERS, read_ahead
from airflow_provider_xbackup.vault.catalog import Backup, Catalog, Finding, Group, read_manifest, read_named_base
from airflow_provider_xbackup.vault.entries import Entry
from airflow_provider_xbackup.vault.errors import ManifestError, ObjectMissingError, RecordError
from airflow_provider_xbackup.vault.holds import is_held
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.records import Tombstone, read_record
from airflow_provider_xbackup.vault.standing import Standing
from airflow_provider_xbackup.vault.store import Store
from airflow_provider_xbackup.vault.vault import Vault


class Groups:
    """The groups of a vault, account by account, and those of an account by their names.

    Every iteration reads the vault anew. What is in memory is one account's backups, each as small as an
    :class:`~.entries.Entry`; manifests are read a few at a time.

    :param vault: the vault
    :param service: only this service
    :param account: only this account
    :param now: what the time is
    :raises InvalidArgumentError: when a name cannot be one
    """

    def __init__(
        self, vault: Vault, *, service: str | None = None, account: str | None = None, now: datetime
    ) -> None:
        self._store = vault.store
        self._now = now
        self._catalog = Catalog(vault.url, vault.store, service, account, lambda: now)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What somebody should look at; complete when the iteration has ended."""
        return tuple(self._catalog.findings)

    @property
    def half_removed(self) -> tuple[BackupPath, ...]:
        """Folders whose removal had begun and has not ended."""
        return self._catalog.half_removed

    def __iter__(self) -> Iterator[tuple[Group, list[Entry]]]:
        """Yield the groups, each with all its backups.

        :raises VaultError: when the store does not answer
        :raises ScratchError: when the vault is very large and there is no room for temporary files
        """
        read = read_ahead(self._read_records, self._catalog.by_account(), READERS)
        for account, backups in groupby(read, lambda each: (each[0].path.service, each[0].path.account)):
            groups: defaultdict[Group, list[Entry]] = defaultdict(list)
            for backup, (held, expired_at) in backups:
                groups[backup.group].append(Entry.of(backup, held=held, expired_at=expired_at))
            for entry in self._unreadable(*account):
                for others in groups.values():
                    others.append(entry)
            yield from sorted(groups.items(), key=lambda each: str(each[0]))

    def _read_records(self, backup: Backup) -> tuple[bool, datetime | None]:
        held = backup.held and is_held(self._store, backup.path, self._now)
        return held, _expired_at(self._store, backup.path) if backup.tombstoned else None

    def _unreadable(self, service: str, account: str) -> Iterator[Entry]:
        """Yield those whose manifest cannot be read: nobody knows their group, so they are in all."""
        for path in self._catalog.unreadable:
            if (path.service, path.account) == (service, account):
                yield Entry(path, Standing.UNREADABLE, _base(self._store, path))


def bases_in_use(vault: Vault, group: Group, known: Iterable[Entry]) -> frozenset[str]:
    """Find what the partials of an account build on right now: some came, or came back, since it was read.

    :param vault: the vault
    :param group: a group of the account
    :param known: its backups as they were read; the manifests of others are read
    :return: the ids of the bases
    :raises VaultError: when the store does not answer
    """
    bases = {entry.path: entry.base for entry in known}
    in_use: set[str] = set()
    folders = Catalog(vault.url, vault.store, group.service, group.account).folders()
    for path, names in folders:
        if layout.TOMBSTONE in names or layout.parse_backup_id(path.backup_id).kind == "full":
            continue
        try:
            base = bases[path] if path in bases else read_manifest(vault.store, path).base
        except ObjectMissingError:  # removed meanwhile
            continue
        except ManifestError:
            base = read_named_base(vault.store, path)
            if base is None:  # it may be any of those before it
                in_use |= {each.backup_id for each, _ in folders if each.backup_id < path.backup_id}
        if base is not None:
            in_use.add(base)
    return frozenset(in_use)


def _base(store: Store, path: BackupPath) -> str | None:
    """Say which full an unreadable backup builds on; None where that cannot be told, or it is a full itself."""
    return read_named_base(store, path) if layout.parse_backup_id(path.backup_id).kind == "partial" else None


def _expired_at(store: Store, path: BackupPath) -> datetime | None:
    """Read when a backup expired; None where its tombstone is gone or cannot be read.

    Its writer's clock may have been slow: it did not expire before the store had its tombstone.
    """
    try:
        at = read_record(store, path.tombstone, Tombstone).at
        stored = store.head(path.tombstone).last_modified
    except (ObjectMissingError, RecordError):
        return None
    return at if stored is None else max(at, stored)


def is_damaged(store: Store, path: BackupPath) -> bool:
    """Tell whether the tombstone of a backup is there and cannot be read.

    :raises VaultError: when the store does not answer
    """
    try:
        read_record(store, path.tombstone, Tombstone)
    except RecordError:
        return True
    except ObjectMissingError:
        pass
    return False
