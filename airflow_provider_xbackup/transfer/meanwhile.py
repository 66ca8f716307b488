"""Doing one thing in another thread while this one does something else, and giving it up with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.vault.waiting import GRACE, begin, result_of

T = TypeVar("T")


class Meanwhile(Generic[T]):
    """Work that is under way from when this is entered. Left before its end, it is given up.

    :param work: the work; it passes its blocks through :meth:`while_wanted`
    """

    def __init__(self, work: Callable[[Meanwhile[T]], T]) -> None:
        self._work = work
        self._given_up = threading.Event()
        self._future: Future[T] | None = None

    def __enter__(self) -> Meanwhile[T]:
        self._future = begin(lambda: self._work(self))
        return self

    def __exit__(self, *_: object) -> None:
        self._given_up.set()
        if self._future is not None:
            # It ends with its next block. What it has stored later than that is garbage, which retention collects.
            wait([self._future], GRACE)
            self._future = None

    def result(self) -> T:
        """Wait for the end of the work, and let a signal end the wait.

        :return: what the work returned
        :raises BaseException: what it raised, or what a signal's handler raised
        """
        if self._future is None:
            raise ValueError("there is no work under way")
        return result_of(self._future)

    def while_wanted(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass blocks on, as long as the work has not been given up.

        :param blocks: the blocks
        :return: the same blocks
        :raises BackupError: when it has
        """
        for block in blocks:
            if self._given_up.is_set():
                raise BackupError("The file is not needed any more: what it belongs to could not be stored.")
            yield block
