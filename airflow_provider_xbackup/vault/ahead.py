"""Doing many things at once and taking their results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from functools import partial
from itertools import islice
from queue import SimpleQueue
from typing import Generic, TypeVar

from airflow_provider_xbackup.vault.waiting import GRACE, await_end, begin, fulfil, result_of

K = TypeVar("K")
V = TypeVar("V")

READERS = 64
"""How many small objects are read at once: enough that a store's 20 ms do not set the pace."""


def read_ahead(
    read: Callable[[K], V], keys: Iterable[K], readers: int, stop: Callable[[], None] = lambda: None
) -> Iterator[tuple[K, V]]:
    """Read many things at once and yield them in their order, holding few of them.

    When one cannot be read, those under way are waited for. An interrupted process gives them its grace, and
    who takes no more results does not wait: they end, if ever, in threads that do not keep the process.

    :param read: reads one of them
    :param keys: what to read
    :param readers: how many are read at once
    :param stop: called when no more results are taken, so that what still runs can end early
    :return: every key with what was read
    :raises BaseException: what reading raised, or what a signal's handler raised meanwhile
    """
    remaining = iter(keys)
    with _Readers(read, readers, stop) as reading:
        while True:
            for key in islice(remaining, 2 * readers - reading.ahead):
                reading.begin(key)
            if not reading.ahead:
                return
            yield reading.take()


class _Readers(Generic[K, V]):
    """Threads that read what is queued, begun as they are needed.

    :param read: reads one thing
    :param most: how many threads there are at most
    :param stop: called at the end, so that what still runs can end early
    """

    def __init__(self, read: Callable[[K], V], most: int, stop: Callable[[], None]) -> None:
        self._read = read
        self._most = most
        self._stop = stop
        self._queue: SimpleQueue[tuple[K, Future[V]] | None] = SimpleQueue()
        self._ahead: deque[tuple[K, Future[V]]] = deque()
        self._threads: list[Future[None]] = []

    @property
    def ahead(self) -> int:
        """How many have been begun and not been taken."""
        return len(self._ahead)

    def begin(self, key: K) -> None:
        """Have one more thing read."""
        future: Future[V] = Future()
        self._ahead.append((key, future))
        self._queue.put((key, future))
        if len(self._threads) < self._most:
            self._threads.append(begin(partial(_work, self._read, self._queue)))

    def take(self) -> tuple[K, V]:
        """Wait for the oldest; a signal can end the wait."""
        key, future = self._ahead[0]
        try:
            result = result_of(future)
        finally:
            del future  # see fulfil
        self._ahead.popleft()
        return key, result

    def __enter__(self) -> _Readers[K, V]:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop()
        for _key, future in self._ahead:
            future.cancel()
        self._ahead.clear()
        for _thread in self._threads:
            self._queue.put(None)
        # A generator that is closed swallows what a signal's handler raises, so nothing is waited for then.
        if kind is None or issubclass(kind, GeneratorExit):
            return
        if issubclass(kind, Exception):
            await_end(self._threads)
        else:
            wait(self._threads, GRACE)


def _work(read: Callable[[K], V], queue: SimpleQueue[tuple[K, Future[V]] | None]) -> None:
    while (task := queue.get()) is not None:
        key, future = task
        if future.set_running_or_notify_cancel():
            fulfil(future, partial(read, key))
        del task, key, future  # nothing is kept while this waits for more
