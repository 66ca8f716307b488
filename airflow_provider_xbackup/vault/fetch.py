"""Getting a backup out of its vault: verified, decrypted, decompressed, under plain names."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.catalog import Backup
from airflow_provider_xbackup.vault.encoding import Digest
from airflow_provider_xbackup.vault.errors import (
    BusyFolderError,
    DamagedBackupError,
    DecompressionError,
    DecryptionError,
    DifferentFileError,
    NoSpaceError,
)
from airflow_provider_xbackup.vault.identities import Identities
from airflow_provider_xbackup.vault.manifest import Artifact, Manifest
from airflow_provider_xbackup.vault.placing import fsync, place, telling
from airflow_provider_xbackup.vault.plain import other_bytes, other_content, plain_blocks, stored_blocks
from airflow_provider_xbackup.vault.vault import Vault

log = logging.getLogger(__name__)

_BLOCK = 1024 * 1024
_MANIFEST_LIMIT = 64 * _BLOCK
#: File systems that know no locks; two fetches at once are then the user's own affair.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A file that was placed.

    :param role: what it is: ``backup``, ``attachments`` or ``bot``
    :param path: where it is
    :param size: its length
    :param sha256: its digest, the manifest's
    :param resumed: how many of its bytes an earlier fetch had left; all of them where it was there already
    """

    role: str
    path: Path
    size: int
    sha256: str
    resumed: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """A backup that was fetched.

    :param backup: the backup
    :param folder: where its files are
    :param files: the files, without ``manifest.json``
    """

    backup: Backup
    folder: Path
    files: tuple[FetchedFile, ...]


def fetch(
    vault: Vault,
    backup: Backup,
    directory: str | os.PathLike[str],
    identities: Identities | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Fetched:
    """Place the files of a backup in ``directory/<backup_id>/``.

    ``backup.zip``, ``attachments.zip`` or ``bot.json`` get their names only when all their bytes are on the
    disk and have the digests of the manifest; ``manifest.json`` comes last, so where it is, all is. Run again
    after it was interrupted, it goes on: whole files stay, and of a file that lies in the vault verbatim what
    is there already is read again and the rest is fetched. Files are for their owner's eyes only (0600).

    :param vault: the vault
    :param backup: the backup
    :param directory: where its folder is to be; made where it does not exist
    :param identities: the private keys, needed where it is encrypted
    :param progress: called with the number of bytes of every block that was written
    :return: what was placed
    :raises DamagedBackupError: when what lies in the vault is not what the manifest says; nothing of it is placed
    :raises DecryptionError: when the keys do not fit or there are none
    :raises DifferentFileError: when another file lies where one is to be placed; it stays
    :raises BusyFolderError: when another process is fetching the same file into the same folder
    :raises NoSpaceError: when the disk has no room for it
    :raises UnwritableFolderError: when the folder cannot be written
    :raises VaultError: when the store does not answer; run again, it goes on
    """
    return _Fetch(vault, backup, Path(directory) / backup.backup_id, identities, progress).run()


class _Fetch:
    def __init__(
        self,
        vault: Vault,
        backup: Backup,
        folder: Path,
        identities: Identities | None,
        progress: Callable[[int], None],
    ) -> None:
        self._store = vault.store
        self._backup = backup
        self._folder = folder
        self._identities = identities
        self._progress = progress

    def run(self) -> Fetched:
        targets = [
            (artifact, self._folder / _plain_name(artifact)) for artifact in self._backup.manifest.artifacts
        ]
        if len({target for _, target in targets}) != len(targets):
            raise DamagedBackupError(f"The manifest of {self._backup.location} names two files of one kind.")
        data = self._store.read(self._backup.path.manifest, limit=_MANIFEST_LIMIT)
        Manifest.from_json(data)
        with telling(self._folder, "run again: it goes on"):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # First of all: the folder may hold a backup of another account under the same id.
            manifest = self._folder / layout.MANIFEST
            if manifest.exists() and manifest.read_bytes() != data:
                raise _different(manifest)
            self._look_for_room([target for target in targets if not target[1].exists()])
            files = tuple(self._file(artifact, target) for artifact, target in targets)
            self._place_manifest(manifest, data)
        return Fetched(self._backup, self._folder, files)

    def _file(self, artifact: Artifact, target: Path) -> FetchedFile:
        if os.path.lexists(target):
            if not _is(target, artifact):
                raise _different(target)
            with contextlib.suppress(FileNotFoundError):
                # Left by a fetch that died after it had given the file its name.
                partial = _partial_name(target, artifact)
                if partial.samefile(target):
                    partial.unlink()
            self._progress(artifact.size)
            return FetchedFile(artifact.role, target, artifact.size, artifact.sha256, artifact.size)
        with self._partial(artifact, target) as (partial, file):
            resumed = self._fill(artifact, file)
            file.flush()
            os.fsync(file.fileno())
            try:
                place(partial, target)
            except FileExistsError:
                if not _is(target, artifact):
                    raise _different(target) from None
            partial.unlink(missing_ok=True)
        fsync(self._folder)
        return FetchedFile(artifact.role, target, artifact.size, artifact.sha256, resumed)

    def _fill(self, artifact: Artifact, file: IO[bytes]) -> int:
        """Write what is missing of a file; return how much was there."""
        verbatim = artifact.compression is None and artifact.encryption is None
        if not verbatim:
            # What decrypts from the middle proves nothing of its beginning.
            _empty(file)
            self._decode(artifact, file)
            return 0
        digest, resumed = self._continue(artifact, file)
        if digest.sha256 != artifact.sha256 and resumed:
            log.warning("What was left of %s is damaged; it is fetched from its beginning.", artifact.name)
            _empty(file)
            digest, resumed = self._continue(artifact, file)
        if (digest.size, digest.sha256) != (artifact.stored_size, artifact.stored_sha256):
            _empty(file)
            raise other_bytes(self._store, self._backup.path, artifact, digest)
        if (digest.size, digest.sha256) != (artifact.size, artifact.sha256):
            _empty(file)
            raise other_content(self._store, self._backup.path, artifact)
        return resumed

    def _continue(self, artifact: Artifact, file: IO[bytes]) -> tuple[Digest, int]:
        """Read again what is there of a verbatim file and fetch the rest."""
        digest = Digest()
        file.seek(0)
        while block := file.read(_BLOCK):
            digest.update(block)
            self._progress(len(block))
        resumed = digest.size
        file.seek(resumed)
        for block in digest.of(stored_blocks(self._store, self._backup.path, artifact, resumed)):
            file.write(block)
            self._progress(len(block))
        return digest, resumed

    def _decode(self, artifact: Artifact, file: IO[bytes]) -> None:
        file.seek(0)
        try:
            for block in plain_blocks(self._store, self._backup.path, artifact, self._identities):
                file.write(block)
                self._progress(len(block))
        except (DamagedBackupError, DecryptionError, DecompressionError):
            _empty(file)
            raise

    @contextlib.contextmanager
    def _partial(self, artifact: Artifact, target: Path) -> Iterator[tuple[Path, IO[bytes]]]:
        """Open, and lock, the file that grows until it gets its name. One that is left empty is removed."""
        partial = _partial_name(target, artifact)
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b") as file, contextlib.ExitStack() as undo:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyFolderError(
                    f"Another process is fetching {target} right now. Wait for it, or choose another folder."
                ) from None
            except OSError as exc:
                if exc.errno not in _NO_LOCKS:
                    raise
            if not _still_named(file, partial):
                raise BusyFolderError(f"Another process has fetched {target} this instant. Run again.")

            def remove_empty() -> None:
                file.flush()
                if os.fstat(file.fileno()).st_size == 0:
                    partial.unlink(missing_ok=True)

            undo.callback(remove_empty)
            yield partial, file
            undo.pop_all()

    def _place_manifest(self, target: Path, data: bytes) -> None:
        if target.exists():
            return
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            with open(
                os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb"
            ) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            try:
                place(partial, target)
            except FileExistsError:
                if target.read_bytes() != data:
                    raise _different(target) from None
        finally:
            partial.unlink(missing_ok=True)
        fsync(self._folder)

    def _look_for_room(self, missing: list[tuple[Artifact, Path]]) -> None:
        free = shutil.disk_usage(self._folder).free
        there = sum(file.stat().st_blocks * 512 for file in self._folder.glob(".*.partial"))
        needed = sum(artifact.size for artifact, _ in missing) - there
        if needed > free:
            raise NoSpaceError(
                f"There is no room in {self._folder}: the backup needs {needed} bytes more, and {free} are free."
            )


def _partial_name(target: Path, artifact: Artifact) -> Path:
    """Name a growing file after its bytes, so that it is never taken for a part of something else."""
    return target.with_name(f".{target.name}.{artifact.stored_sha256[:16]}.partial")


def _still_named(file: IO[bytes], partial: Path) -> bool:
    """Tell whether an open file has this name and no other: it may have got its final one meanwhile."""
    status = os.fstat(file.fileno())
    try:
        return os.path.samestat(status, partial.stat()) and status.st_nlink == 1
    except FileNotFoundError:
        return False


def _empty(file: IO[bytes]) -> None:
    file.seek(0)
    file.truncate()


def _plain_name(artifact: Artifact) -> str:
    if artifact.role not in layout.ROLES:
        raise DamagedBackupError(
            f"The manifest names a file of the kind {artifact.role[:40]!r}, which this release does not know."
        )
    return f"{artifact.role}.{layout.ROLES[artifact.role]}"


def _is(path: Path, artifact: Artifact) -> bool:
    if not path.is_file() or path.stat().st_size != artifact.size:
        return False
    digest = Digest()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.sha256 == artifact.sha256


def _different(path: Path) -> DifferentFileError:
    return DifferentFileError(
        f"{path} is there already and is another file than the backup's. It was left as it is: move it, or choose "
        "another folder."
    )
