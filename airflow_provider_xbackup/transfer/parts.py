"""Reading a file over several connections: parts of it at the same time, handed on in their order.

Nothing here decides about the file. A part that is not exactly what was asked for is not used, and what cannot be
had in parts is read over one connection, which judges it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap

from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.http.errors import ConnectionFailedError
from airflow_provider_xbackup.http.sync import BLOCK, Stream
from airflow_provider_xbackup.services.errors import ServerFaultError, SpentLinkError
from airflow_provider_xbackup.vault.waiting import begin, result_of

log = logging.getLogger(__name__)

CONNECTIONS = 8
"""How many are used at once where one is slow."""

MOST_CONNECTIONS = 16

TRIAL = 4 << 20
"""Bytes that are read over one connection to see how fast it is."""

ENOUGH = 64 << 20
"""Bytes a second of one connection that more of them would hardly raise."""

MEMORY = 40 << 20
"""Bytes of all parts that are under way at once, of all files of a transfer."""

REQUESTS = 220
"""How many of the service's own requests parts may cost a transfer.

The vendor allows 300 in 5 minutes (``docs/vendor-apis.md#rate-limits``); counting and polling need some, too.
Requests to a storage behind the service do not count.
"""

#: Of each connection, beside its part: of sixteen threads, 1 MiB each would be as much as half of the parts.
_BLOCK = 64 << 10
_TRIES = 3


class NoPartsError(BackupError):
    """The file cannot be had in parts."""


@dataclass(slots=True)
class Budget:
    """What parts may take; all files of a transfer share it.

    :param files: how many files those are
    :param left: how many of the service's requests there are
    """

    files: int = 1
    left: int = field(default_factory=lambda: REQUESTS)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def connections(self, wanted: int, *, costly: bool) -> int:
        """Return how many parts of a file are under way at once.

        :param wanted: how many there may be
        :param costly: whether each costs one of the service's requests: of several files fewer are under way
            then, so that they can be long
        """
        return max(2, wanted // self.files) if costly else wanted

    def part_size(self, connections: int) -> int:
        """Return how long the parts of each file are, so that all of them find room.

        :param connections: how many of a file are under way at once
        :return: bytes
        """
        return MEMORY // connections // self.files

    def spend(self) -> None:
        """Take one request.

        :raises NoPartsError: when none is left
        """
        with self._lock:
            if self.left <= 0:
                raise NoPartsError("Each part costs one of the service's requests, and there are few of those.")
            self.left -= 1


Open = Callable[[int, int], Stream]
"""Opens the bytes from the first offset to before the second, or raises where they are not to be had so."""


def is_worth_parts(size: int) -> bool:
    """Tell whether so many bytes are enough for several connections.

    :param size: what is still to come
    """
    return size > 2 * TRIAL


def tried(blocks: Iterator[bytes]) -> Generator[bytes, None, bool]:
    """Read the first blocks of a connection.

    :param blocks: what it brings
    :return: whether it is slow, and there is more
    """
    size, waited = 0, 0.0
    while size < TRIAL:
        asked = time.perf_counter()
        block = next(blocks, None)
        waited += time.perf_counter() - asked
        if block is None:
            return False
        size += len(block)
        yield block
    return size < ENOUGH * waited


class Parts:
    """The rest of a file, read in parts.

    :param open_part: opens one of them
    :param connections: how many are read at once
    :param size: bytes of each, the last one may be shorter
    """

    def __init__(self, open_part: Open, connections: int, size: int) -> None:
        self._open = open_part
        self._connections = connections
        self._size = size
        self._lock = threading.Lock()
        self._reading: set[Stream] = set()
        self._left = False

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """Read from one offset to another, in order.

        :param start: the first byte
        :param end: the byte after the last
        :return: blocks; those that came before something is raised are good
        :raises ConnectionFailedError: when a part breaks again and again
        :raises BackupError: when the file cannot be had in parts
        """
        waiting = iter(range(start, end, self._size))
        under_way: deque[Future[mmap]] = deque()

        def begin_next() -> None:
            if (at := next(waiting, None)) is not None:
                under_way.append(begin(partial(self._fetch, at, min(at + self._size, end))))

        try:
            for _ in range(self._connections):
                begin_next()
            while under_way:
                with result_of(under_way.popleft()) as part:
                    part.seek(0)
                    yield from iter(partial(part.read, BLOCK), b"")
                begin_next()
        finally:
            under_way.clear()
            self._leave()

    def _fetch(self, start: int, end: int) -> mmap:
        """Read one part; where it breaks off it is gone on with."""
        # Of many threads' blocks the allocator would keep half as much again.
        part = mmap(-1, end - start, flags=MAP_PRIVATE | MAP_ANONYMOUS)
        for left in reversed(range(_TRIES)):
            try:
                with self._opened(start + part.tell(), end) as stream:
                    for block in stream.blocks(_BLOCK):
                        if part.tell() + len(block) > len(part):
                            raise NoPartsError("A part of the file is longer than was announced.")
                        part.write(block)
            except (ConnectionFailedError, ServerFaultError, SpentLinkError):
                if self._left or not left:
                    raise
            if part.tell() >= len(part):
                break
        if part.tell() != len(part):
            raise ConnectionFailedError("A part of the file is shorter than was announced.")
        return part

    @contextlib.contextmanager
    def _opened(self, start: int, end: int) -> Iterator[Stream]:
        with self._open(start, end) as stream:
            with self._lock:
                if self._left:
                    raise NoPartsError("Nobody wants the rest of the file.")
                self._reading.add(stream)
            try:
                yield stream
            finally:
                with self._lock:
                    self._reading.discard(stream)

    def _leave(self) -> None:
        """End what is under way: nobody waits for it any more."""
        with self._lock:
            self._left = True
            for stream in self._reading:
                stream.abort()
