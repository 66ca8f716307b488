"""Reads a vault for retention: its groups, each backup as small as retention needs it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.ahead import read_ahead
from airflow_provider_xbackup.vault.catalog import Backup, Catalog, Finding, Group, read_manifest
from airflow_provider_xbackup.vault.checks import is_verified
from airflow_provider_xbackup.vault.errors import ManifestError, ObjectMissingError, RecordError
from airflow_provider_xbackup.vault.holds import is_held
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.plan import Entry
from airflow_provider_xbackup.vault.records import Tombstone, read_record
from airflow_provider_xbackup.vault.store import Store
from airflow_provider_xbackup.vault.vault import Vault

_READERS = 16


@dataclass(frozen=True, slots=True)
class Groups:
    """What a vault holds.

    :param entries: the backups of each group, newest first
    :param half_removed: folders whose removal had begun and has not ended
    :param findings: what somebody should look at
    """

    entries: dict[Group, list[Entry]]
    half_removed: tuple[BackupPath, ...]
    findings: tuple[Finding, ...]


def read_groups(
    vault: Vault,
    *,
    min_verified: int,
    service: str | None = None,
    account: str | None = None,
    now: datetime,
    verified: Callable[[Store, Backup, datetime], bool] = is_verified,
) -> Groups:
    """Read all backups of a vault. Manifests are read a few at a time and not kept.

    :param vault: the vault
    :param min_verified: how many verified backups of a group matter. Checks are read for the newest backups
        only, until so many are found.
    :param service: only this service
    :param account: only this account
    :param now: what the time is
    :param verified: tells whether a backup is verified
    :return: the groups
    :raises InvalidArgumentError: when a name cannot be one
    :raises VaultError: when the store does not answer
    """
    store = vault.store
    catalog = Catalog(vault.url, store, service, account, lambda: now)
    entries: defaultdict[Group, list[Entry]] = defaultdict(list)
    found: defaultdict[Group, int] = defaultdict(int)

    def read_records(backup: Backup) -> tuple[bool, datetime | None]:
        held = backup.held and is_held(store, backup.path, now)
        return held, _expired_at(store, backup.path) if backup.tombstoned else None

    for backup, (held, expired_at) in read_ahead(read_records, catalog, _READERS):
        group = backup.group
        counts = found[group] < min_verified and verified(store, backup, now)
        found[group] += counts
        entries[group].append(Entry.of(backup, held=held, verified=counts, expired_at=expired_at))
    return Groups(dict(entries), catalog.half_removed, tuple(catalog.findings))


def bases_in_use(vault: Vault, group: Group, known: Iterable[Entry]) -> frozenset[str]:
    """Find what the partials of an account build on right now: some came, or came back, since it was read.

    :param vault: the vault
    :param group: a group of the account
    :param known: its backups as they were read; the manifests of others are read
    :return: the ids of the bases
    :raises VaultError: when the store does not answer
    """
    bases = {entry.path: entry.base for entry in known}
    in_use: set[str | None] = set()
    for path, names in Catalog(vault.url, vault.store, group.service, group.account).folders().items():
        if layout.TOMBSTONE in names or layout.parse_backup_id(path.backup_id).kind == "full":
            continue
        in_use.add(bases[path] if path in bases else _base(vault.store, path))
    return frozenset(base for base in in_use if base is not None)


def _base(store: Store, path: BackupPath) -> str | None:
    try:
        return read_manifest(store, path).base
    except (ManifestError, ObjectMissingError):
        return None


def _expired_at(store: Store, path: BackupPath) -> datetime | None:
    """Read when a backup expired; None where its tombstone is gone or cannot be read."""
    try:
        return read_record(store, path.tombstone, Tombstone).at
    except (ObjectMissingError, RecordError):
        return None


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
