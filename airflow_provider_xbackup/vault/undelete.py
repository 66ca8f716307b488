"""The way back for a backup that has expired, or that was removed from a bucket that keeps versions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault.errors import (
    BackupStateError,
    ManifestError,
    NoSuchBackupError,
)
from airflow_provider_xbackup.vault.holds import Held, base_of, hold_at_least, make_hold
from airflow_provider_xbackup.vault.layout import SERVICES, BackupPath
from airflow_provider_xbackup.vault.manifest import Manifest
from airflow_provider_xbackup.vault.vault import Vault
from airflow_provider_xbackup.vault.versions import BucketVersions, Hidden

#: How long a backup that was brought back is held, unless somebody says otherwise: time to use it.
UNDELETE_FOR = timedelta(days=7)


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
    hidden = {each.path: each for each in versions.hidden(path.folder)}
    manifest = _hidden_manifest(vault, path, versions, hidden.get(path.manifest))
    names = [path.file(artifact.name) for artifact in manifest.artifacts]
    lost = [
        name for name in names if not store.exists(name) and (name not in hidden or hidden[name].version is None)
    ]
    if lost:
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


def locate_removed(
    vault: Vault, backup_id: str, service: str | None = None, account: str | None = None
) -> tuple[BackupPath, ...]:
    """Find the folders of a backup that was removed from a bucket that keeps versions.

    :param vault: the vault
    :param backup_id: the backup's id
    :param service: only this service
    :param account: only this account
    :return: the folders with a hidden manifest of this id
    :raises InvalidArgumentError: when the vault is not on S3, or a name cannot be one
    :raises VaultError: when the store does not answer, or the credentials do not allow it
    """
    versions = _versions(vault)
    paths = (
        BackupPath.checked(name, who, backup_id)
        for name in (SERVICES if service is None else (service,))
        for who in (versions.folders(name) if account is None else (account,))
    )
    return tuple(
        path for path in paths if any(each.path == path.manifest for each in versions.hidden(path.folder))
    )


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
