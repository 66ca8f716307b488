"""A vault in a folder."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_xbackup.vault.errors import MissingVaultError, ObjectMissingError, VaultError
from airflow_provider_xbackup.vault.leftovers import Leftover
from airflow_provider_xbackup.vault.placing import fsync, place
from airflow_provider_xbackup.vault.source import Source
from airflow_provider_xbackup.vault.store import Store
from airflow_provider_xbackup.vault.stored import StoredObject
from airflow_provider_xbackup.vault.url import VaultUrl
from airflow_provider_xbackup.vault.waiting import handed_over

if TYPE_CHECKING:
    from obstore.store import ObjectStore

#: How a file is called until all its bytes are there: by obstore, and by this module too, since obstore's
#: listings leave such names out.
_TEMPORARY = re.compile(r"(?P<target>.+)#\d+", re.DOTALL)

#: What leads elsewhere in a path; obstore refuses it, too.
_ELSEWHERE = frozenset(("", ".", ".."))

_PROBE = 64 << 10
#: Bytes after which what the disk has got is let go of.
_LET_GO = 8 << 20


class LocalStore(Store):
    """A vault in a folder: everything written is on the disk, with its name, before a call returns."""

    def __init__(self, url: VaultUrl) -> None:
        super().__init__(url, self._open)
        self.root = Path(url.prefix)

    def require(self) -> None:
        """Make sure that there is a vault to read.

        :raises MissingVaultError: when its folder does not exist
        """
        if not self._is_there():
            raise MissingVaultError(
                f"There is no vault at {self.url}: the folder does not exist. Check the path, or whether "
                "its disk is mounted here."
            )

    def create(
        self,
        path: str,
        data: bytes,
        *,
        media_type: str | None = "application/json",  # noqa: ARG002 - a file has none
    ) -> StoredObject:
        """Write a small object that must not exist yet.

        It gets its name only when its bytes are on the disk, so that no power failure leaves an empty one.

        :raises ObjectExistsError: when it exists
        :raises VaultError: when it cannot be written
        """
        self._raw(write=True)
        self._do("create", path, lambda: self._write_file(path, [data], place))
        return StoredObject(path, len(data))

    def delete(self, path: str) -> bool:
        """Remove an object, and the folders that are empty without it.

        :return: False where there was none
        :raises VaultError: when it cannot be removed
        """
        removed = super().delete(path)
        self._cleanup(path)
        self._do("remove", path, lambda: self._sync_nearest(path))
        return removed

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """List all objects below a folder; see :meth:`Store.list`."""
        return super().list(prefix) if self._is_there() else iter(())

    def list_folders(self, prefix: str = "") -> tuple[str, ...]:
        """List the names of the folders directly below a folder; see :meth:`Store.list_folders`."""
        return super().list_folders(prefix) if self._is_there() else ()

    def clock(self, path: str) -> datetime:  # noqa: ARG002 - an unnamed file tells it
        """Tell what the time is by the clock of the disk, which may be another machine's."""

        def ask() -> datetime:
            with tempfile.TemporaryFile(dir=self.root) as file:
                return _modified(os.fstat(file.fileno()))

        return self._do("write into", "", ask)

    def free_space(self) -> int:
        """Return how many bytes this user may still write; see :meth:`Store.free_space`."""
        return self._do("look at", "", lambda: shutil.disk_usage(self.root).free)

    def leftovers(self, prefix: str) -> Iterator[Leftover]:
        """Find temporary files and empty folders; see :meth:`Store.leftovers`."""
        walk = self._walk(prefix)
        while (leftover := self._do("list", prefix, lambda: next(walk, None))) is not None:
            yield leftover

    def clear(self, leftover: Leftover) -> bool:
        """Remove a temporary file that nobody has written to meanwhile, or a folder that is still empty."""
        removed = self._do("remove", leftover.path, lambda: self._clear(leftover))
        if removed:
            self._cleanup(leftover.path)
        return removed

    def _clear(self, leftover: Leftover) -> bool:
        target = self.root / leftover.path
        try:
            if leftover.kind == "folder":
                target.rmdir()
            elif _modified(target.stat()) == leftover.last_modified:
                target.unlink()
            else:
                return False
        except OSError as exc:
            if exc.errno in (errno.ENOENT, errno.ENOTEMPTY):
                return False
            raise
        return True

    def _walk(self, path: str) -> Iterator[Leftover]:
        """Walk down a folder, links included, as obstore's listing does."""
        folder = self.root / path
        try:
            found = folder.stat()
            entries = os.scandir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        empty = True
        with entries:
            for entry in entries:
                empty = False
                below = f"{path}/{entry.name}"
                if entry.is_dir():
                    yield from self._walk(below)
                elif match := _TEMPORARY.fullmatch(below):
                    with contextlib.suppress(FileNotFoundError):
                        stat = entry.stat()
                        yield Leftover("temporary", below, match["target"], stat.st_size, _modified(stat))
        if empty and not folder.is_symlink():
            yield Leftover("folder", path, path, 0, _modified(found))

    def _open(self) -> ObjectStore:
        from obstore.store import LocalStore as ObstoreLocal

        return ObstoreLocal(self.root)

    def _raw(self, *, write: bool = False) -> ObjectStore:
        if write:
            self._make_root()
        elif not self._is_there():
            raise ObjectMissingError(f"There is no vault at {self.url}: the folder does not exist.")
        return super()._raw()

    def _prepare(self) -> None:
        self._make_root()
        self._do("write into", "", self._write_probe)

    def _write_probe(self) -> None:
        """Write into an unnamed file: proof that the folder takes bytes, and nothing to remove."""
        with tempfile.TemporaryFile(dir=self.root) as file:
            # Bytes that no file system compresses away.
            file.write(secrets.token_bytes(_PROBE))
            file.flush()
            os.fsync(file.fileno())

    def _is_there(self) -> bool:
        return self._do("look at", "", self.root.is_dir)

    def _make_root(self) -> None:
        def make() -> None:
            missing = list(itertools.takewhile(lambda folder: not folder.exists(), self._upwards(self.root)))
            self.root.mkdir(parents=True, exist_ok=True)
            for folder in missing:
                fsync(folder.parent)

        if not self._is_there():
            self._do("make the folder", "", make)

    def _attributes(self, media_type: str | None) -> dict[str, str]:  # noqa: ARG002 - a file has none
        return {}

    def _save(
        self,
        path: str,
        source: Source,
        expected_size: int | None,  # noqa: ARG002 - a file grows
        attributes: dict[str, str],  # noqa: ARG002 - a file has none
    ) -> Any:
        self._raw(write=True)

        def save(blocks: Iterator[bytes]) -> None:
            self._write_file(path, blocks, os.replace)

        self._told("write", path, lambda: handed_over(source, save))
        return {"e_tag": None, "version": None}

    def _sync_nearest(self, path: str) -> None:
        """Flush the innermost folder that is left of an object's: somebody else may remove it meanwhile."""
        for folder in self._folders(path):
            with contextlib.suppress(FileNotFoundError):
                fsync(folder)
                break

    def _cleanup(self, path: str) -> None:
        with contextlib.suppress(OSError):
            for folder in self._folders(path)[:-1]:
                folder.rmdir()

    def _folders(self, path: str) -> tuple[Path, ...]:
        """The folders an object lies in, innermost first, the vault's last."""
        target = self.root / path
        return (
            *itertools.takewhile(lambda folder: folder != self.root, self._upwards(target.parent)),
            self.root,
        )

    @staticmethod
    def _upwards(folder: Path) -> Iterator[Path]:
        return itertools.chain([folder], folder.parents)

    def _write_file(self, path: str, blocks: Iterable[bytes], give_name: Callable[[Path, Path], None]) -> None:
        """Write a file under another name, flush it, give it its own and flush the folders it lies in."""
        if not _ELSEWHERE.isdisjoint(path.split("/")):
            raise VaultError(f"{self.url.join(path)} cannot be written: there is no such place in a vault.")
        target = self.root / path
        # obstore's own name for what is not finished: its listings leave it out.
        temporary = target.with_name(f"{target.name}#{secrets.randbelow(10**9)}")
        try:
            with _new_file(temporary) as file:
                _fill(file, blocks)
                file.flush()
                os.fsync(file.fileno())
            give_name(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        for folder in self._folders(path):
            fsync(folder)


def _fill(file: IO[bytes], blocks: Iterable[bytes]) -> None:
    """Write blocks, and have the disk begin with them at once: what it has got takes no more of the memory.

    The file is read much later, if ever. Memory that is free again is also much cheaper to write into than more
    and more of it that was not used before.
    """
    written = 0
    for block in blocks:
        written += file.write(block)
        if written >= _LET_GO and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            written = 0


def _new_file(path: Path) -> IO[bytes]:
    """Make a file and its folders, which a removal beside it may find empty and remove in the same instant."""
    for _ in range(100):
        with contextlib.suppress(FileNotFoundError):
            path.parent.mkdir(parents=True, exist_ok=True)
            return open(path, "xb")
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _modified(stat: os.stat_result) -> datetime:
    return datetime.fromtimestamp(stat.st_mtime, UTC)
