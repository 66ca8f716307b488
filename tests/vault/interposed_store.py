"""A store that something happens in: before or after a call, or instead of what follows it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from airflow_provider_xbackup.vault import Vault

CALLS = (
    "put",
    "put_stream",
    "open_stream",
    "create",
    "delete",
    "head",
    "exists",
    "read",
    "list",
    "list_folders",
    "clock",
    "leftovers",
    "clear",
)
WRITES = ("put", "put_stream", "create", "delete", "clear")


class Killed(BaseException):
    """The process is gone: nothing after this line runs."""


class Interposed:
    """The real store, with a callback around every call.

    :param store: the real one
    :param around: called with the moment (``before`` or ``after``), the call's name and its path
    """

    def __init__(self, store: Any, around: Callable[[str, str, str], None]) -> None:
        self._store = store
        self._around = around

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._store, name)
        if name not in CALLS:
            return value

        def call(*args: Any, **options: Any) -> Any:
            path = str(args[0]) if args else ""
            self._around("before", name, path)
            result = value(*args, **options)
            self._around("after", name, path)
            return result

        return call


def interposed(vault: Vault, around: Callable[[str, str, str], None]) -> Vault:
    """The same vault, seen by somebody to whom things happen."""
    return Vault(vault.url, Interposed(vault.store, around))  # type: ignore[arg-type]


def once(moment: str, name: str, end: str, action: Callable[[], object]) -> Callable[[str, str, str], None]:
    """Do something at the first such call, beside the one who makes it."""
    done = []

    def around(when: str, called: str, path: str) -> None:
        if (when, called) == (moment, name) and path.endswith(end) and not done:
            done.append(True)
            action()

    return around


class Counter:
    """Counts calls, and kills at one of them.

    :param kill_at: the number of the call, from 1; 0 for none
    :param moment: ``before`` or ``after`` it took effect
    :param names: the calls that count
    """

    def __init__(self, kill_at: int = 0, moment: str = "before", names: tuple[str, ...] = CALLS) -> None:
        self.number = 0
        self._kill_at = kill_at
        self._moment = moment
        self._names = names
        self._dead = False
        self._lock = threading.Lock()

    def __call__(self, moment: str, name: str, path: str) -> None:
        with self._lock:
            if self._dead:
                raise Killed
            if name not in self._names or moment != self._moment:
                return
            self.number += 1
            if self.number == self._kill_at:
                self._dead = True
                raise Killed
