"""What this machine has read of a vault before, so that it need not be asked for again."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_xbackup.vault.store import StoredObject

log = logging.getLogger(__name__)

#: After so many seconds an object is read anew, so that what is gone from its vault does not stay here for good.
_KEPT = 30 * 86_400
#: Seconds for another process that writes.
_PATIENCE = 2.0
_TABLE = """
CREATE TABLE IF NOT EXISTS objects (
    key BLOB PRIMARY KEY, data BLOB NOT NULL, sha256 BLOB NOT NULL, at INTEGER NOT NULL
) WITHOUT ROWID
"""


class Remembered:
    """Small JSON objects of one vault, each by its path and the ETag that a listing showed it with.

    It is right or empty: what no listing shows is not recalled, nor are bytes that are not those that were kept. A
    file that cannot be used is done without.

    :param file: an SQLite database of this user alone; made where there is none
    :param vault: the vault's URL
    """

    def __init__(self, file: Path, vault: str) -> None:
        self._vault = vault
        self._lock = threading.Lock()
        self._shown: dict[bytes, bytes] = {}
        self._database = _opened(file)

    def show(self, found: StoredObject) -> None:
        """Take notice of an object in a listing; only what was shown can be recalled or kept."""
        if found.etag is not None and found.path.endswith(".json"):
            facts = (found.etag, found.size, found.last_modified)
            self._shown[_digest(found.path)] = _digest(self._vault, found.path, *facts)

    def recall(self, path: str) -> bytes | None:
        """Return an object as it was when it was last shown, None where it is not known."""
        key = self._shown.get(_digest(path))
        rows = [] if key is None else self._do("SELECT data, sha256 FROM objects WHERE key = ?", key)
        return next((bytes(data) for data, digest in rows if hashlib.sha256(data).digest() == digest), None)

    def keep(self, path: str, data: bytes) -> None:
        """Keep an object that was read."""
        if (key := self._shown.get(_digest(path))) is not None:
            row = (key, data, hashlib.sha256(data).digest(), int(time.time()))
            self._do("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)", *row)

    def _do(self, statement: str, *values: object) -> list[tuple[bytes, bytes]]:
        with self._lock:
            if self._database is None:
                return []
            try:
                return self._database.execute(statement, values).fetchall()
            except sqlite3.Error as exc:
                log.debug("What was read of vaults before is of no use: %s", exc)
                self._database = None
                return []


def _opened(file: Path) -> sqlite3.Connection | None:
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        database = sqlite3.connect(file, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(_TABLE)
        database.execute("DELETE FROM objects WHERE at < ?", (int(time.time()) - _KEPT,))
    except (OSError, sqlite3.Error) as exc:
        log.debug("What is read of vaults cannot be kept in %s: %s", file, exc)
        return None
    return database


def _digest(*parts: object) -> bytes:
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=16).digest()
