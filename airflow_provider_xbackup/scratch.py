"""Room for what may be too much for memory."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

from airflow_provider_xbackup.errors import ScratchError

_AT_ONCE = 1000
#: Where SQLite puts temporary files, the first that can be written, as it documents.
_FOLDERS = ("/var/tmp", "/usr/tmp", "/tmp", ".")  # noqa: S108 - its own
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)


class Scratch:
    """A database that begins empty and is gone when nobody uses it any more. All threads may use it.

    A few MiB of it are in memory. The rest goes to a temporary file without a name, so that nobody else can open
    it and nothing is left of it: in ``SQLITE_TMPDIR``, ``TMPDIR``, or else ``/var/tmp``, ``/usr/tmp``, ``/tmp`` or
    the folder where the process is.

    :param tables: statements that make its tables
    :param memory: how much of it may be in memory, in MiB
    """

    def __init__(self, *tables: str, memory: int = 8) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._lock = threading.Lock()
        #: Why it cannot be used any more: what was half written cannot be taken back.
        self._failure: str | None = None
        self._unused = weakref.finalize(self, self._database.close)
        self._unused.atexit = False  # threads that nobody waits for may still ask it something
        for statement in ("PRAGMA journal_mode = OFF", f"PRAGMA cache_size = -{memory * 1024}", *tables):
            self._database.execute(statement)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it at once: only where no other thread may be using it, which would end the process."""
        self._unused()

    def define(self, name: str, number: int, function: Callable[..., Any]) -> None:
        """Let statements call a function.

        :param name: what they call it
        :param number: how many arguments it takes
        :param function: the function
        """
        self._database.create_function(name, number, function)

    def write(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Carry a statement out for many rows.

        :param statement: the statement, with a question mark for each value
        :param rows: the values; whoever has many rows gives them a thousand at a time
        :raises ScratchError: when there is no room for them, or was none before
        """
        with self._at_work():
            self._database.execute("BEGIN")
            self._database.executemany(statement, rows)
            self._database.execute("COMMIT")

    def ask(
        self, question: str, values: Sequence[object] | Mapping[str, object] = ()
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the rows that answer a question, few of them in memory; other questions may be asked meanwhile.

        :param question: a SELECT
        :param values: what its parameters are
        :raises ScratchError: when there is no room to sort them, or was none to write
        """
        with self._at_work():
            cursor = self._database.execute(question, values)
            rows = cursor.fetchmany(_AT_ONCE)
        while rows:
            yield from rows
            with self._at_work():
                rows = cursor.fetchmany(_AT_ONCE)

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        with self._lock:
            if self._failure is not None:
                raise ScratchError(self._failure)
            try:
                yield
            except sqlite3.OperationalError as exc:
                if getattr(exc, "sqlite_errorcode", 0) & 0xFF not in _NO_ROOM:
                    raise
                self._failure = (
                    f"A temporary file could not be written in {_folder()} ({exc}), and memory is not enough for "
                    "what has to be compared or put in order. Make room there, or let TMPDIR name a folder that "
                    "has some. This tells nothing of any backup."
                )
                raise ScratchError(self._failure) from None


def _folder() -> str:
    named = (os.environ.get(name, "") for name in ("SQLITE_TMPDIR", "TMPDIR"))
    for folder in filter(None, (*named, *_FOLDERS)):
        if os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            return os.path.abspath(folder)
    return "any folder"
