"""Doing many things at once and taking their results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def read_ahead(
    read: Callable[[K], V], keys: Iterable[K], readers: int, stop: Callable[[], None] = lambda: None
) -> Iterator[tuple[K, V]]:
    """Read many things at once and yield them in their order, holding few of them.

    :param read: reads one of them
    :param keys: what to read
    :param readers: how many are read at once
    :param stop: called when no more results are taken, so that what still runs can end early
    :return: every key with what was read
    """
    remaining = iter(keys)
    with ThreadPoolExecutor(readers, thread_name_prefix="xbackup-ahead") as pool:
        ahead: deque[tuple[K, Future[V]]] = deque()
        try:
            while True:
                for key in islice(remaining, 2 * readers - len(ahead)):
                    ahead.append((key, pool.submit(read, key)))
                if not ahead:
                    return
                key, future = ahead.popleft()
                yield key, future.result()
        finally:
            stop()
            for _, future in ahead:
                future.cancel()
