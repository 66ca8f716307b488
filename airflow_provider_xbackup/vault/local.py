"""A vault in a folder."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_xbackup.vault.errors import MissingVaultError, ObjectMissingError
from airflow_provider_xbackup.vault.store import Store, StoredObject
from airflow_provider_xbackup.vault.url import VaultUrl

if TYPE_CHECKING:
    from obstore.store import ObjectStore

#: What file systems without hard links say.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class LocalStore(Store):
    """A vault in a folder: everything written is on the disk, with its name, before a call returns."""

    def __init__(self, url: VaultUrl) -> None:
        super().__init__(url, self._open)
        self.root = Path(url.prefix)

    def require(self) -> None:
        """Make sure that there is a vault to read.

        :raises MissingVaultError: when its folder does not exist
        """
        if not self.root.is_dir():
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
        self._do("create", path, lambda: self._link(path, data))
        return StoredObject(path, len(data))

    def delete(self, path: str) -> bool:
        """Remove an object, and the folders that are empty without it.

        :return: False where there was none
        :raises VaultError: when it cannot be removed
        """
        removed = super().delete(path)
        self._cleanup(path)
        with contextlib.suppress(FileNotFoundError):
            _fsync(next(folder for folder in self._folders(path) if folder.is_dir()))
        return removed

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """List all objects below a folder; see :meth:`Store.list`."""
        return super().list(prefix) if self.root.is_dir() else iter(())

    def list_folders(self, prefix: str = "") -> tuple[str, ...]:
        """List the names of the folders directly below a folder; see :meth:`Store.list_folders`."""
        return super().list_folders(prefix) if self.root.is_dir() else ()

    def _open(self) -> ObjectStore:
        from obstore.store import LocalStore as ObstoreLocal

        return ObstoreLocal(self.root)

    def _raw(self, *, write: bool = False) -> ObjectStore:
        if write:
            self._make_root()
        elif not self.root.is_dir():
            raise ObjectMissingError(f"There is no vault at {self.url}: the folder does not exist.")
        return super()._raw()

    def _prepare(self) -> None:
        self._make_root()
        # An unnamed file: proof that the folder can be written, and nothing to remove.
        self._do("write into", "", lambda: tempfile.TemporaryFile(dir=self.root).close())

    def _make_root(self) -> None:
        if self.root.is_dir():
            return
        missing = list(itertools.takewhile(lambda folder: not folder.exists(), self._upwards(self.root)))
        self._do("make the folder", "", lambda: self.root.mkdir(parents=True, exist_ok=True))
        for folder in missing:
            _fsync(folder.parent)

    def _attributes(self, media_type: str | None) -> dict[str, str] | None:  # noqa: ARG002 - a file has none
        return None

    def _settle(self, path: str) -> None:
        def settle() -> None:
            target = self.root / path
            _fsync(target)
            for folder in self._folders(path):
                _fsync(folder)

        self._do("write", path, settle)

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

    def _link(self, path: str, data: bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        # obstore's own name for what is not finished: its listings leave it out.
        temporary = target.with_name(f"{target.name}#{secrets.randbelow(10**9)}")
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(temporary, target)
            except OSError as exc:
                if exc.errno not in _NO_LINKS:
                    raise
                if target.exists():
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
                temporary.rename(target)
        finally:
            temporary.unlink(missing_ok=True)
        for folder in self._folders(path):
            _fsync(folder)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
