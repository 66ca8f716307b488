"""For how long nobody can destroy a backup: the rule by which its objects are locked.

A lock is counted from when the store had the files of the backup, by the store's clock. So it is the same however
often a task is tried and a vault is replicated, and ends some day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault.errors import ObjectMissingError, UnlockableStoreError
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.objectlocks import LockMode, ObjectLocks
from airflow_provider_xbackup.vault.retention import Duration

if TYPE_CHECKING:
    from airflow_provider_xbackup.vault.manifest import Artifact, Manifest
    from airflow_provider_xbackup.vault.store import Store
    from airflow_provider_xbackup.vault.url import VaultUrl

#: Nobody can take back a lock in compliance mode: what is longer than a century is a mistake.
_LONGEST = timedelta(days=36_525)
_ANY_DAY = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Lock:
    """How long, and how hard, backups are locked. Build it with :meth:`of`.

    :param length: how long
    :param mode: how hard
    """

    length: timedelta | Duration
    mode: LockMode = LockMode.GOVERNANCE

    @classmethod
    def of(cls, lock_for: timedelta | str | None, lock_mode: str = LockMode.GOVERNANCE) -> Self | None:
        """Read a lock as DAGs and the command line write it.

        :param lock_for: a timedelta, or a duration such as ``90d`` or ``1y6m``; None for no lock
        :param lock_mode: ``governance`` or ``compliance``
        :return: the lock, None where there is to be none
        :raises InvalidArgumentError: when it is no lock
        """
        mode = check_mode(lock_mode)
        if lock_for is None:
            return None
        length = lock_for if isinstance(lock_for, timedelta) else Duration.parse(lock_for)
        lock = cls(length, mode)
        if not timedelta() < _of_about(lock) <= _LONGEST:
            raise InvalidArgumentError(
                f"lock_for must be longer than nothing and not longer than 100 years, and is {lock_for!r}."
            )
        return lock

    def end(self, begin: datetime) -> datetime:
        """Return when a lock ends that is counted from an instant, in whole seconds of UTC."""
        length = self.length
        end = begin + length if isinstance(length, timedelta) else length.after(begin)
        return end.astimezone(UTC).replace(microsecond=0)


def check_mode(word: object) -> LockMode:
    """Check how hard a lock shall be.

    :raises InvalidArgumentError: when it is not one of the two words
    """
    for mode in LockMode:
        if word == mode:
            return mode
    raise InvalidArgumentError(f"lock_mode must be 'governance' or 'compliance' and is {word!r}.")


def check_lockable(url: VaultUrl, lock: Lock | None) -> None:
    """Refuse a lock where no store of the kind has such; nothing is asked of the store.

    :raises UnlockableStoreError: when there can be none
    """
    if lock is not None and url.scheme != "s3":
        raise _unlockable(url)


def require_locks(store: Store) -> ObjectLocks:
    """Return the locks of a store whose bucket locks objects.

    :raises UnlockableStoreError: when it has none
    :raises VaultError: when the store does not answer, or the credentials do not allow the question
    """
    if store.locks is None:
        raise _unlockable(store.url)
    store.locks.require()
    return store.locks


def lock_files(store: Store, lock: Lock, path: BackupPath, artifacts: Iterable[Artifact]) -> None:
    """Lock the files of a backup that has no manifest yet, each in the version that was written.

    :param store: the vault's objects
    :param lock: how long, and how hard
    :param path: the backup's folder
    :param artifacts: the files
    :raises UnlockableStoreError: when the bucket locks nothing
    :raises VaultError: when the store refuses
    """
    _extend_all(store, lock, path, {path.file(artifact.name): artifact.version_id for artifact in artifacts})


def keep_locked(store: Store, lock: Lock, path: BackupPath, manifest: Manifest) -> None:
    """Lock a backup that is there, its manifest, and the full that it builds on.

    :param store: the vault's objects
    :param lock: how long, and how hard
    :param path: the backup's folder
    :param manifest: its manifest
    :raises UnlockableStoreError: when the bucket locks nothing
    :raises VaultError: when the store refuses
    """
    files = dict.fromkeys(_files(path, manifest))
    others = (path.manifest, *_files_of_base(store, path, manifest))
    _extend_all(store, lock, path, files, others)


def _extend_all(
    store: Store, lock: Lock, path: BackupPath, files: Mapping[str, str | None], others: Iterable[str] = ()
) -> None:
    """Lock files, and others for as long; nothing is done where the lock would be over already."""
    locks = require_locks(store)
    had = (found.last_modified for found in store.list(path.folder) if found.path in files)
    end = lock.end(max((instant for instant in had if instant), default=datetime.now(UTC)))
    if end > datetime.now(UTC):
        for name, version in (*files.items(), *((name, None) for name in others)):
            locks.extend(name, end, lock.mode, version)


def _files(path: BackupPath, manifest: Manifest) -> list[str]:
    return [path.file(artifact.name) for artifact in manifest.artifacts]


def _files_of_base(store: Store, path: BackupPath, manifest: Manifest) -> list[str]:
    """Name all that a partial cannot be used without."""
    if manifest.base is None:
        return []
    # Imported here: a DAG file that only names a lock must not pay for all that a catalog needs.
    from airflow_provider_xbackup.vault.catalog import read_manifest

    base = BackupPath(path.service, path.account, manifest.base)
    try:
        return [*_files(base, read_manifest(store, base)), base.manifest]
    except ObjectMissingError:
        return []


def _of_about(lock: Lock) -> timedelta:
    return lock.end(_ANY_DAY) - _ANY_DAY


def _unlockable(url: VaultUrl) -> UnlockableStoreError:
    return UnlockableStoreError(
        f"The vault {url} cannot lock backups: only buckets on S3 with Object Lock can. Leave lock_for out; what "
        "other stores have instead is set for the whole bucket, by who owns it."
    )
