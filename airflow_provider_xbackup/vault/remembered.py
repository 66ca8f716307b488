"""What this machine has read of a vault before, so that it need not be asked for again."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from airflow_provider_xbackup.errors import ScratchError
from airflow_provider_xbackup.scratch import Scratch
from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.private import make_private

if TYPE_CHECKING:
    from airflow_provider_xbackup.vault.stored import StoredObject

log = logging.getLogger(__name__)

#: After so many seconds an object is read anew, so that what is gone from its vault does not stay here for good.
_KEPT = 30 * 86_400
_DAY = 86_400
#: Manifests and records have one or two KB.
_LARGEST = 64 << 10
_SHA256_SIZE = 32
_BATCH = 1000


class Remembered:
    """Manifests and check records of one vault, each by its path and the ETag that a listing showed it with.

    It is right or empty: what no listing has shown is not recalled, and what came with another ETag than the
    listing's is not kept. Neither are weak ETags believed, nor bytes that are not those that were kept. A folder
    that cannot be used is done without.

    :param folder: a folder of this user alone, made where there is none; None to keep nothing
    :param scope: what tells the vault from all others
    """

    def __init__(self, folder: Path | None = None, scope: str = "") -> None:
        self._scope = scope
        self._folder = _usable(folder)
        self._shown = None if self._folder is None else _Shown()
        self._forget_what_is_old()

    def show(self, found: StoredObject) -> None:
        """Take notice of an object in a listing; only what was shown can be recalled or kept."""
        if self._shown is None:
            return
        if found.path.endswith(f"/{layout.MANIFEST}") or f"/{layout.CHECKS}/" in found.path:
            key = self._key(found.path, found.etag, found.size)
            if key is not None:
                try:
                    self._shown.note(_digest(found.path), key)
                except ScratchError as exc:
                    self._do_without(exc)

    def recall(self, path: str) -> bytes | None:
        """Return an object as it was when it was last shown, None where it is not known."""
        file = self._file(self._shown_as(path))
        if file is None:
            return None
        try:
            if file.stat().st_mtime < time.time() - _KEPT:
                return None
            kept = file.read_bytes()
        except OSError:
            return None
        digest, data = kept[:_SHA256_SIZE], kept[_SHA256_SIZE:]
        return data if digest == _sha256(file, data) else None

    def keep(self, path: str, etag: str | None, data: bytes) -> None:
        """Keep an object that was read, if it is the one that was shown.

        :param path: where it was read
        :param etag: what the store said it was
        :param data: its bytes
        """
        key = self._key(path, etag, len(data))
        file = self._file(key)
        if file is None or key != self._shown_as(path) or len(data) > _LARGEST:
            return
        written = file.with_name(f"{file.name}.{uuid4().hex}")
        try:
            file.parent.mkdir(mode=0o700, exist_ok=True)
            with open(os.open(written, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as stream:
                stream.write(_sha256(file, data) + data)
            written.replace(file)
        except OSError as exc:
            self._do_without(exc)

    def _shown_as(self, path: str) -> bytes | None:
        """Return the key that an object was last shown with."""
        shown = self._shown
        try:
            return None if shown is None else shown.key_of(_digest(path))
        except ScratchError as exc:
            self._do_without(exc)
            return None

    def _do_without(self, exc: Exception) -> None:
        log.debug("What is read of vaults cannot be kept in %s: %s", self._folder, exc)
        self._folder = self._shown = None

    def _key(self, path: str, etag: str | None, size: int) -> bytes | None:
        if not etag or etag.startswith("W/"):
            return None
        return _digest(self._scope, path, etag.strip('"'), size)

    def _file(self, key: bytes | None) -> Path | None:
        if key is None or self._folder is None:
            return None
        return self._folder / key.hex()[:2] / key.hex()

    def _forget_what_is_old(self) -> None:
        """Remove what is not recalled any more, once a day."""
        if self._folder is None:
            return
        swept, now = self._folder / "swept", time.time()
        with contextlib.suppress(OSError):
            if swept.exists() and now - _DAY < swept.stat().st_mtime:
                return
            swept.touch(0o600)
            for file in self._folder.glob("??/*"):
                if file.stat().st_mtime < now - _KEPT:
                    file.unlink()


class _Shown:
    """The keys with which listings have shown objects, in flat memory. All threads may use it.

    All of it raises :class:`~airflow_provider_xbackup.errors.ScratchError` where there is no room for them.
    """

    def __init__(self) -> None:
        self._keys = Scratch("CREATE TABLE keys (path BLOB PRIMARY KEY, key BLOB) WITHOUT ROWID")
        self._lock = threading.Lock()
        self._unwritten: list[tuple[bytes, bytes]] = []

    def note(self, path: bytes, key: bytes) -> None:
        """Note a key by the digest of its object's path."""
        with self._lock:
            self._unwritten.append((path, key))
            if len(self._unwritten) >= _BATCH:
                self._write()

    def key_of(self, path: bytes) -> bytes | None:
        """Return the key that was noted last."""
        with self._lock:
            if self._unwritten:
                self._write()
        found = self._keys.ask("SELECT key FROM keys WHERE path = ?", (path,))
        return next((key for (key,) in found), None)

    def _write(self) -> None:
        self._keys.write("REPLACE INTO keys VALUES (?, ?)", self._unwritten)
        self._unwritten.clear()


def _usable(folder: Path | None) -> Path | None:
    try:
        return folder if folder is not None and make_private(folder) else None
    except OSError as exc:
        log.debug("What is read of vaults cannot be kept in %s: %s", folder, exc)
        return None


def _digest(*parts: object) -> bytes:
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=16).digest()


def _sha256(file: Path, data: bytes) -> bytes:
    """Digest bytes with the name they are kept under: those of another object are no better than damaged ones."""
    return hashlib.sha256(file.name.encode() + data).digest()
