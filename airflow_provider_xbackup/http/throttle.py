"""Keeping below a vendor's requests a minute: many triggers, one budget."""

from __future__ import annotations

import asyncio
import time
from collections import deque


class RateLimit:
    """Lets at most ``count`` turns begin within any ``period`` seconds; further ones wait in order.

    :param count: turns allowed
    :param period: seconds
    """

    def __init__(self, count: int, period: float) -> None:
        self._count = count
        self._period = period
        self._turns: deque[float] = deque()
        self._queue = asyncio.Lock()

    async def turn(self) -> None:
        """Wait until another request may be sent."""
        async with self._queue:
            now = time.monotonic()
            if len(self._turns) >= self._count:
                free_at = self._turns[0] + self._period
                if free_at > now:
                    await asyncio.sleep(free_at - now)
                # Only now: who is cancelled while waiting must not take the oldest turn away.
                self._turns.popleft()
            self._turns.append(time.monotonic())
