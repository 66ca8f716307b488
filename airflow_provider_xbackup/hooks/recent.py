"""What was read a moment ago: once for all who ask for it on an event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")


class Recent(Generic[T]):
    """Keeps what was read for a while, so that ten thousand triggers do not read their connections one by one.

    What could not be read is not kept.

    :param lifetime: seconds after which it is read anew
    """

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Reading[T]]] = WeakKeyDictionary()

    async def get(self, name: str, read: Callable[[], Awaitable[T]]) -> T:
        """Return what was read under a name; only one at a time reads it.

        :param name: the name
        :param read: reads it
        """
        readings = self._loops.setdefault(asyncio.get_running_loop(), {})
        reading = readings.setdefault(name, _Reading())
        async with reading.lock:
            if reading.kept is None or time.monotonic() >= reading.kept[1]:
                reading.kept = await read(), time.monotonic() + self._lifetime
            return reading.kept[0]


class _Reading(Generic[T]):
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.kept: tuple[T, float] | None = None
