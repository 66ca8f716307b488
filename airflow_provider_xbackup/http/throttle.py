"""Keeping below a vendor's requests a minute: many triggers, one budget."""

from __future__ import annotations

import asyncio
import time


class RateLimit:
    """Lets at most ``count`` turns begin within any ``period`` seconds, in the order in which they were asked for.

    A few may begin at once. All further ones are spread evenly: a budget that is spent in one go would leave
    everybody without an answer for the rest of the period.

    :param count: turns allowed
    :param period: seconds
    :param at_once: how many of them may begin at the same instant
    """

    def __init__(self, count: int, period: float, at_once: int = 10) -> None:
        at_once = min(at_once, count)
        self._gap = period / max(count - at_once, 1)
        self._ahead = (at_once - 1) * self._gap
        self._free_at = 0.0
        self._queue = asyncio.Lock()

    async def turn(self) -> None:
        """Wait until another request may be sent."""
        async with self._queue:
            wait = self._free_at - self._ahead - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            # Only now: who is cancelled while waiting takes no turn.
            self.borrow()

    def borrow(self) -> None:
        """Take a turn at once, ahead of all who wait: it is made up for by the ones that come later."""
        self._free_at = max(self._free_at, time.monotonic()) + self._gap
