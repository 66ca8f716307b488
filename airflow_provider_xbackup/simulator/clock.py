"""The time the simulator believes in. It can be moved, so that six hours pass at once."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime


class Clock:
    """A clock that runs like the real one until it is moved or frozen.

    It runs on the monotonic clock: a step of the machine's time does not end a cooldown.

    :param start: what it shows first; default the real time
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._frozen = False
        self._shown = datetime.now(UTC)
        self._since = time.monotonic()
        if start is not None:
            self.set(start)

    def now(self) -> datetime:
        """The present instant in UTC."""
        if self._frozen:
            return self._shown
        return self._shown + timedelta(seconds=time.monotonic() - self._since)

    def advance(self, seconds: float) -> None:
        """Move the clock, forwards or (negative) backwards."""
        self.set(self.now() + timedelta(seconds=seconds))

    def set(self, instant: datetime) -> None:
        """Make the clock show an instant.

        :raises ValueError: when the instant has no time zone
        """
        if instant.tzinfo is None:
            raise ValueError("the clock needs an instant with a time zone, for example 2026-11-23T01:45:00Z")
        self._shown, self._since = instant.astimezone(UTC), time.monotonic()

    def freeze(self) -> None:
        """Stop the clock where it is; it still moves when told to."""
        self._shown, self._frozen = self.now(), True

    def run(self) -> None:
        """Let a frozen clock run again."""
        self.set(self.now())
        self._frozen = False

    @property
    def frozen(self) -> bool:
        """Whether the clock stands still."""
        return self._frozen


def http_date(instant: datetime) -> str:
    """The instant as HTTP headers write it."""
    return format_datetime(instant.astimezone(UTC), usegmt=True)
