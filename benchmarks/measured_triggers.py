"""Triggers that measure the triggerer they run in, and the cheapest one there can be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

_EVERY = 0.02
_AT_ONCE = 25


class SleepingTrigger(BaseTrigger):
    """Sleep until somebody stops it: what Airflow itself takes for a trigger."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path; there are no arguments."""
        return f"{__name__}.{type(self).__qualname__}", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep."""
        await asyncio.Event().wait()
        yield TriggerEvent(None)


class HereTrigger(BaseTrigger):
    """Tell that it runs, and so all do that were handed over before."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path; there are no arguments."""
        return f"{__name__}.{type(self).__qualname__}", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event at once."""
        yield TriggerEvent(None)


class LagTrigger(BaseTrigger):
    """Sleep for a moment again and again, and tell by how much each was too long: how busy the event loop is."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path; there are no arguments."""
        return f"{__name__}.{type(self).__qualname__}", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the lags of some moments at a time."""
        while True:
            lags = []
            for _ in range(_AT_ONCE):
                began = time.perf_counter()
                await asyncio.sleep(_EVERY)
                lags.append(time.perf_counter() - began - _EVERY)
            yield TriggerEvent(lags)
