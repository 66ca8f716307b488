"""At which call of a run something happens, and what."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

FAILS = ("fail before", "fail after", "fail from")
KILLS = ("kill before", "kill after")


@dataclass
class Plan:
    """Counts the storage calls of this process, and lets one go wrong.

    ``fail before``: the call is not done and reports an error. ``fail after``: it is done and reports an error
    all the same. ``fail from``: neither this call nor any later one is done. ``kill before`` and ``kill after``:
    the process dies. ``hold before``: the process waits until it is let go.

    :param at: the number of the call, from 1, or the beginning of its name; 0 lets all pass
    :param mode: what happens
    :param once: the beginning of another call's name, which has to be done before the process is killed
    :param log: descriptor that takes a line for every call, before it is made
    :param held: FIFO that is told when the process waits, or ends without
    :param go: FIFO that lets the process go
    :param streams: whether every block that a store takes of a stream counts as a call too
    """

    at: int | str = 0
    mode: str = ""
    once: str = ""
    log: int = -1
    held: str = ""
    go: str = ""
    streams: bool = False
    seen: int = 0
    hit: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _once_done: threading.Event = field(default_factory=threading.Event)

    @property
    def _name(self) -> tuple[str, ...]:
        return (self.at,) if isinstance(self.at, str) else ()

    def call(self, name: str, do: Callable[[], T], fail: Callable[[], Any]) -> T:
        """Make a call, or let it go wrong.

        :param name: what it is, for people
        :param do: the call
        :param fail: raises or returns its failure
        """
        with self._lock:
            self.seen += 1
            os.write(self.log, f"{name}\n".encode())
            here = not self.hit and (self.seen == self.at or name.startswith(self._name))
            self.hit = self.hit or here
            fails = (here and self.mode == "fail before") or (self.hit and self.mode == "fail from")
        if here and self.mode == "kill before":
            die()
        if here and self.mode == "hold before":
            self._hold()
        if fails:
            return fail()  # type: ignore[no-any-return]
        if here and self.mode in ("fail after", "kill after"):
            with contextlib.suppress(Exception):  # nobody hears how it ended
                do()
            if self.mode == "kill after":
                if self.once:
                    assert self._once_done.wait(60), f"{self.once} never came"
                die()
            return fail()  # type: ignore[no-any-return]
        done = do()
        if name.startswith(self.once):
            self._once_done.set()
        return done

    def end(self) -> None:
        """Tell whoever waits for a call that it never came."""
        if self.held and not self.hit:
            os.write(os.open(self.held, os.O_WRONLY), b".")

    def _hold(self) -> None:
        held, go = os.open(self.held, os.O_WRONLY), os.open(self.go, os.O_RDONLY)
        os.write(held, b".")
        os.read(go, 1)


def die() -> None:
    """End as a process does that is killed: nothing more runs, not even in other threads."""
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()
