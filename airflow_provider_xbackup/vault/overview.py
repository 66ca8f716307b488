"""What a whole vault holds, as small as somebody needs it who looks again and again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from airflow_provider_xbackup.vault.ahead import READERS, read_ahead
from airflow_provider_xbackup.vault.catalog import Backup, Catalog, Finding, Group, read_backup
from airflow_provider_xbackup.vault.drops import sizes_of
from airflow_provider_xbackup.vault.entries import Entry
from airflow_provider_xbackup.vault.errors import ManifestError, ObjectMissingError
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.status import AccountName
from airflow_provider_xbackup.vault.vault import Vault


@dataclass(frozen=True, slots=True)
class Seen:
    """One backup as it was seen. It is what :class:`~.status.Restorable` asks for, and a good deal smaller.

    :param entry: what retention has to know of it
    :param state: see :attr:`~.catalog.Backup.state`
    :param reliable: see :attr:`~.catalog.Backup.reliable`
    :param verified: see :attr:`~.catalog.Backup.verified`
    :param group: the backups that it belongs to
    :param flaws: what is wrong with it, in sentences
    :param size: bytes of all its files, plain
    :param sizes: see :func:`~.drops.sizes_of`
    :param entities: counts by type, None where the content was not read
    :param empty: whether there is nothing in it, as far as it was read
    :param names: what lay in its folder
    :param in_future: whether it is dated in the future
    """

    entry: Entry
    state: str
    reliable: bool
    verified: bool
    group: Group = field(repr=False)
    flaws: tuple[str, ...] = ()
    size: int = 0
    sizes: Mapping[str, int] = field(default_factory=dict, repr=False)
    entities: Mapping[str, int] | None = None
    empty: bool = False
    names: frozenset[str] = field(default=frozenset(), repr=False)
    in_future: bool = False

    @property
    def path(self) -> BackupPath:
        """Its folder."""
        return self.entry.path

    @property
    def backup_id(self) -> str:
        """The id."""
        return self.entry.backup_id

    @property
    def instant(self) -> datetime:
        """The instant in the id."""
        return self.entry.instant

    @property
    def base(self) -> str | None:
        """The id of the full backup that it builds on."""
        return self.entry.base

    @property
    def stored_size(self) -> int:
        """Bytes as stored."""
        return self.entry.size

    @property
    def tombstoned(self) -> bool:
        """Whether it has expired."""
        return self.state == "expired"

    @property
    def account(self) -> AccountName:
        """Whose it is."""
        return AccountName(self.path.service, self.path.account)


@dataclass(frozen=True, slots=True)
class Overview:
    """What a vault held at an instant.

    :param at: the instant
    :param backups: its backups, newest first
    :param findings: what somebody should look at, such as damaged manifests
    """

    at: datetime
    backups: tuple[Seen, ...] = ()
    findings: tuple[Finding, ...] = ()


def look(vault: Vault, now: datetime, before: Overview | None = None) -> Overview:
    """Look at a whole vault. What has not changed since the last look is not read again.

    :param vault: the vault
    :param now: what the time is
    :param before: the last look; manifests and most records are never rewritten, so names tell what is new
    :return: what is there
    :raises VaultError: when the store does not answer
    """
    known = {} if before is None else {seen.path: seen for seen in before.backups if not seen.in_future}
    names = {path: frozenset(each) for path, each in Catalog(vault.url, vault.store).folders()}
    found = {path: known[path] for path in names if path in known and known[path].names == names[path]}
    findings: list[Finding] = []

    def read(path: BackupPath) -> Seen | Finding | None:
        try:
            return see(read_backup(vault.url, vault.store, path, names[path], now))
        except ObjectMissingError:  # removed between the listing and now
            return None
        except ManifestError as exc:
            return Finding("damaged-manifest", path.manifest, str(exc))

    for path, result in read_ahead(read, [path for path in names if path not in found], READERS):
        if isinstance(result, Seen):
            found[path] = result
        elif result is not None:
            findings.append(result)
    order = sorted(found.values(), key=lambda seen: (seen.backup_id, seen.path), reverse=True)
    return Overview(now, tuple(order), tuple(sorted(findings, key=lambda each: each.path)))


def see(backup: Backup) -> Seen:
    """Keep of a backup what is needed for longer."""
    manifest = backup.manifest
    entities = manifest.entities
    nothing = manifest.kind == "full" and entities is not None and not any(entities.values())
    return Seen(
        Entry.of(backup, held=backup.held),
        backup.state,
        backup.reliable,
        backup.verified,
        backup.group,
        backup.flaws,
        manifest.size,
        sizes_of(manifest.artifacts),
        entities,
        nothing or any(failure.code == "empty" for failure in backup.evidence.failures),
        backup.names or frozenset(),
        backup.in_future,
    )
