"""Ending a task that Airflow wants to end: what its ``on_kill`` does."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from airflow_provider_xbackup.exceptions import XBackupError


class _Ended(BaseException):
    """The task is to end now. Like KeyboardInterrupt, it is no error that anybody may handle."""


class Interrupt:
    """What ends a transfer when Airflow calls ``on_kill``.

    Airflow calls it in the handler of SIGTERM, lets the task go on as if nothing had happened, and kills it
    five seconds later. So the only way to an orderly end is an exception out of the handler: it passes
    through everything that is under way and undoes it.
    """

    def __init__(self) -> None:
        self._thread: int | None = None

    @contextlib.contextmanager
    def heeded(self, about: str, outlook: Callable[[], str]) -> Iterator[None]:
        """Let :meth:`end` end this block, in the thread it runs in.

        :param about: whom the transfer is for, for example ``Xray account 'acme'``
        :param outlook: tells in a sentence what the next try will find
        :raises XBackupError: when it was ended; Airflow may try again
        """
        self._thread = threading.get_ident()
        try:
            yield
        except _Ended:
            raise XBackupError(
                f"{about}: the transfer was told to end (SIGTERM) and has ended. The task was marked or cleared, "
                "or its worker shuts down. What it could not remove in time is garbage and is collected. "
                f"{outlook()}"
            ) from None
        finally:
            self._thread = None

    def end(self) -> None:
        """End the block that heeds this; without effect where none does, and while one is ending already.

        After an ``execution_timeout`` Airflow calls ``on_kill`` too, when everything has ended.
        """
        if self._thread == threading.get_ident():
            self._thread = None
            raise _Ended
