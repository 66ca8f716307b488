"""Waiting for a store so that a signal can end the wait.

Python runs the handlers of signals between two of its own instructions, in the main thread. A call into
obstore is none: against a store that does not answer it takes minutes, all its retries together, and a
task that was told to stop has seconds. So such calls run in threads of their own and are waited for here.
"""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from typing import Any, TypeVar

T = TypeVar("T")

GRACE = 2.0
"""Seconds that an interrupted process gives a call under way to end, and its cleaning up.

Airflow kills a task five seconds after it told it to stop.
"""

LONGEST_WAIT = 0.2
"""Seconds. A signal that comes just before a wait does not end it: its handler runs when the wait is over."""

_BLOCKS_AHEAD = 2


def begin(call: Callable[[], T]) -> Future[T]:
    """Begin a call in a thread of its own, for which not even the end of the process waits.

    :param call: what to do
    :return: what becomes of it
    """
    future: Future[T] = Future()
    context = contextvars.copy_context()
    arguments = (fulfil, future, call)
    threading.Thread(target=context.run, args=arguments, name="xbackup-store", daemon=True).start()
    return future


def fulfil(future: Future[T], call: Callable[[], T]) -> None:
    """Do a call in this thread, for somebody who waits for it in another one.

    :param future: what is to become of it; raising is left to it
    :param call: what to do
    """
    try:
        result = call()
    except BaseException as exc:  # noqa: BLE001 - raised again where the result is asked for
        future.set_exception(exc)
        # Else the error keeps this frame, this frame the future, and that the error, with all bytes under way.
        del future
    else:
        future.set_result(result)


def result_of(future: Future[T]) -> T:
    """Wait for what becomes of a call, and let a signal end the wait.

    :param future: the call; who keeps it when this raises keeps what the error refers to
    :return: what it returned
    :raises BaseException: what it raised, or what a signal's handler raised
    """
    try:
        await_end([future])
        return future.result()
    finally:
        del future


def await_end(futures: Iterable[Future[Any]]) -> None:
    """Wait until calls have ended, and let a signal end the wait.

    :param futures: the calls
    :raises BaseException: what a signal's handler raised
    """
    for future in futures:
        while not future.done():
            wait([future], LONGEST_WAIT)


def interruptible(call: Callable[[], T]) -> T:
    """Do a blocking call, and let a signal end the wait for it.

    :param call: what to do; what it raises is raised
    :raises BaseException: what a signal's handler raised, once the call has ended or had its grace
    """
    if threading.current_thread() is not threading.main_thread():  # no signal ever comes here
        return call()
    future = begin(call)
    try:
        return result_of(future)
    except BaseException:
        wait([future], GRACE)
        raise
    finally:
        del future


def within(seconds: float, call: Callable[[], object]) -> None:
    """Do a call, and wait for its end no longer than so many seconds, whatever becomes of it."""
    wait([begin(call)], seconds)


def handed_over(blocks: Iterable[bytes], store: Callable[[Iterator[bytes]], T]) -> T:
    """Fetch blocks in this thread and let another one store them.

    What the blocks raise is this thread's own, signals included. The iterator of the storing thread raises
    then as well, so that what it has begun is undone; that is waited for, by an interrupted process for its
    grace only.

    :param blocks: the blocks
    :param store: stores an iterator of blocks
    :return: what it returned
    :raises BaseException: what the blocks raised, or else what the storing raised
    """
    handover = _Handover()

    def work() -> T:
        try:
            return store(handover)
        finally:
            handover.leave()

    future = begin(work)
    try:
        for block in blocks:
            if not handover.put(block):
                break
        handover.finish()
        return result_of(future)
    except BaseException as error:
        handover.give_up()
        if isinstance(error, Exception):
            await_end([future])
        else:
            wait([future], GRACE)
        raise
    finally:
        del future


class _GivenUpError(Exception):
    """The blocks have ended before their end."""


class _Handover:
    """Blocks between two threads, a few at a time: one puts them, the other iterates."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._blocks: deque[bytes] = deque()
        self._finished = self._given_up = self._left = False

    def put(self, block: bytes) -> bool:
        """Hand a block over; False when nobody takes any more."""
        with self._changed:
            while not self._left and len(self._blocks) >= _BLOCKS_AHEAD:
                self._changed.wait(LONGEST_WAIT)
            self._blocks.append(block)
            self._changed.notify_all()
            return not self._left

    def finish(self) -> None:
        """Say that there are no more blocks."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def give_up(self) -> None:
        """Say that the blocks have ended before their end."""
        with self._changed:
            self._given_up = True
            self._changed.notify_all()

    def leave(self) -> None:
        """Say that no more blocks are taken."""
        with self._changed:
            self._left = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._changed:
            self._changed.wait_for(lambda: self._blocks or self._finished or self._given_up)
            if self._given_up:
                raise _GivenUpError
            if not self._blocks:
                raise StopIteration
            self._changed.notify_all()
            return self._blocks.popleft()
