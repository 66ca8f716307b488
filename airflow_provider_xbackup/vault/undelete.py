"""The way back for a backup that has expired, or that was removed from a bucket that keeps versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.ahead import read_ahead
from airflow_provider_xbackup.vault.choose import the_one
from airflow_provider_xbackup.vault.errors import (
    BackupStateError,
    ManifestError,
    NoSuchBackupError,
)
from airflow_provider_xbackup.vault.holds import Held, base_of, hold_at_least, make_hold
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.manifest import Manifest
from airflow_provider_xbackup.vault.vault import Vault
from airflow_provider_xbackup.vault.versions import BucketVersions, Hidden

#: How long a backup that was brought back is held, unless somebody says otherwise: time to use it.
UNDELETE_FOR = timedelta(days=7)
_READERS = 16


def undelete(
    vault: Vault, path: BackupPath, *, who: str, why: str, until: datetime | None = None, now: datetime
) -> Held:
    """Bring an expired backup back before its data goes, and hold it so that it does not expire again at once.

    :param vault: the vault
    :param path: the backup
    :param who: who says so
    :param why: the reason, for whoever reads it later
    :param until: how long it is held; default 7 days. A hold in force that ends later stays.
    :param now: what the time is
    :return: the hold, and what came back
    :raises InvalidArgumentError: when the hold would end in the past, or who or why is empty or too long
    :raises BackupStateError: when the backup has not expired
    :raises NoSuchBackupError: when it is gone
    :raises VaultError: when the store does not answer
    """
    until = until or now + UNDELETE_FOR
    make_hold(who, why, until, now)
    if not vault.store.exists(path.tombstone) and vault.store.exists(path.manifest):
        raise BackupStateError(
            f"The backup {vault.url.join(path.folder)} has not expired. To keep it from expiring, hold it."
        )
    return hold_at_least(vault, path, who=who, why=why, until=until, now=now)


def undelete_versions(
    vault: Vault, path: BackupPath, *, who: str, why: str, until: datetime | None = None, now: datetime
) -> Held:
    """Bring a removed backup back from the versions that its bucket keeps, on S3.

    The delete markers of its files go first and that of its manifest last, so that no reader ever finds half
    of it. It may be repeated.

    :param vault: the vault
    :param path: the backup
    :param who: who says so
    :param why: the reason, for whoever reads it later
    :param until: how long it is held; default 7 days
    :param now: what the time is
    :return: the hold, and what came back
    :raises InvalidArgumentError: when the vault is not on S3, the hold would end in the past, or who or why is
        empty or too long
    :raises BackupStateError: when the backup is there
    :raises NoSuchBackupError: when the bucket has not kept all of it
    :raises VaultError: when the store does not answer, or the credentials do not allow it
    """
    given = make_hold(who, why, until or now + UNDELETE_FOR, now)
    store, versions = vault.store, _versions(vault)
    if store.exists(path.manifest):
        raise BackupStateError(
            f"The manifest of the backup {vault.url.join(path.folder)} was not removed. Without --versions it is "
            "brought back as long as its grace period lasts."
        )
    hidden = {each.path: each for each in versions.hidden(f"{path.folder}/")}
    manifest = _hidden_manifest(vault, path, versions, hidden.get(path.manifest))
    names = [path.file(artifact.name) for artifact in manifest.artifacts]
    if lost := _lost(vault, names, hidden):
        raise _gone(vault, path, lost[0])
    # The hold comes first, and the tombstone goes before the files come: a removal beside this one lets them be.
    store.put(path.hold, given.to_json(), media_type="application/json")
    store.delete(path.tombstone)
    for name in _manifest_last(path, hidden):
        if hidden[name].version is not None:
            versions.reveal(hidden[name])
    missing = [name for name in (*names, path.manifest) if not store.exists(name)]
    if missing:
        raise BackupStateError(
            f"{vault.url.join(missing[0])} went again while the backup was brought back. Run it again when no "
            "retention is at work."
        )
    base = base_of(path, manifest)
    return Held(given, (path,), base if base is not None and not store.exists(base.manifest) else None)


def find_removed(
    vault: Vault, backup_id: str, service: str | None = None, account: str | None = None
) -> BackupPath:
    """Find the one backup that was removed from a bucket with versions and is meant by an id, or the start of one.

    :param vault: the vault
    :param backup_id: the id, or its first 8 characters or more
    :param service: only this service
    :param account: only this account
    :return: its folder, whose manifest is hidden
    :raises InvalidArgumentError: when there are several, the vault is not on S3, or a name cannot be one
    :raises NoSuchBackupError: when there is none
    :raises VaultError: when the store does not answer, or the credentials do not allow it
    """
    layout.check_id_start(backup_id)
    versions = _versions(vault)
    paths = [
        path
        for folder in _accounts(versions, service, account)
        for path, _ in _manifests(versions.hidden(f"{folder}/{backup_id}"))
    ]
    if not paths:
        raise NoSuchBackupError(
            f"No removed backup {backup_id} is among the versions of {vault.url}. 'xbackup list' shows those that "
            "are there, 'xbackup undelete VAULT --versions' those that were removed and can come back."
        )
    return the_one(paths, backup_id)


@dataclass(frozen=True, slots=True)
class Removed:
    """A removed backup of which the bucket still keeps every file.

    :param path: its folder
    :param at: when it was removed
    :param stored_size: its bytes as stored
    """

    path: BackupPath
    at: datetime
    stored_size: int


def list_removed(vault: Vault, service: str | None = None, account: str | None = None) -> Iterator[Removed]:
    """List the backups that can be brought back from the versions of the vault's bucket, newest first.

    :param vault: the vault
    :param service: only this service
    :param account: only this account
    :return: the backups, account by account; those of which something is gone for good are left out
    :raises InvalidArgumentError: when the vault is not on S3, or a name cannot be one
    :raises VaultError: when the store does not answer, or the credentials do not allow it
    """
    versions = _versions(vault)
    for folder in _accounts(versions, service, account):
        hidden = {each.path: each for each in versions.hidden(f"{folder}/")}

        def read(found: tuple[BackupPath, Hidden], hidden: dict[str, Hidden] = hidden) -> Removed | None:
            path, each = found
            try:
                manifest = _hidden_manifest(vault, path, versions, each)
            except (ManifestError, NoSuchBackupError):
                return None
            if _lost(vault, [path.file(artifact.name) for artifact in manifest.artifacts], hidden):
                return None
            return Removed(path, each.at, manifest.stored_size)

        newest_first = sorted(_manifests(hidden.values()), key=lambda found: found[0].backup_id, reverse=True)
        for _, removed in read_ahead(read, newest_first, _READERS):
            if removed is not None:
                yield removed


def _accounts(versions: BucketVersions, service: str | None, account: str | None) -> Iterator[str]:
    """Name the folders of accounts, also of those in which everything is hidden."""
    for name in layout.SERVICES if service is None else (layout.check_service(service),):
        for who in versions.folders(name) if account is None else (layout.check_account(account),):
            yield f"{name}/{who}"


def _manifests(hidden: Iterable[Hidden]) -> Iterator[tuple[BackupPath, Hidden]]:
    for each in hidden:
        split = BackupPath.of(each.path)
        if split is not None and split[1] == layout.MANIFEST:
            yield split[0], each


def _lost(vault: Vault, names: Iterable[str], hidden: Mapping[str, Hidden]) -> list[str]:
    """Name the files that are neither there nor among the versions."""
    kept = {path for path, each in hidden.items() if each.version is not None}
    return [name for name in names if name not in kept and not vault.store.exists(name)]


def _versions(vault: Vault) -> BucketVersions:
    if vault.store.versions is None:
        raise InvalidArgumentError(
            f"Versions are looked for on S3 only, and the vault is {vault.url}. Elsewhere use the store's own "
            "tools."
        )
    return vault.store.versions


def _hidden_manifest(vault: Vault, path: BackupPath, versions: BucketVersions, hidden: Hidden | None) -> Manifest:
    if hidden is None or hidden.version is None:
        raise _gone(vault, path, path.manifest)
    try:
        return Manifest.from_json(versions.read(hidden))
    except ManifestError as exc:
        raise ManifestError(f"The manifest {vault.url.join(path.manifest)} cannot be used: {exc}.") from None


def _gone(vault: Vault, path: BackupPath, lost: str) -> NoSuchBackupError:
    return NoSuchBackupError(
        f"The backup {vault.url.join(path.folder)} is gone: {vault.url.join(lost)} is not among the versions that "
        "the bucket keeps."
    )


def _manifest_last(path: BackupPath, hidden: Iterable[str]) -> list[str]:
    """The order in which objects come back; earlier holds and tombstones stay where they are."""
    return sorted(set(hidden) - {path.hold, path.tombstone}, key=lambda name: (name == path.manifest, name))
