"""Instants as both vendors and our own records write them: UTC, whole seconds, ``Z``."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pendulum
from pendulum.parsing.exceptions import ParserError

from airflow_provider_xbackup.errors import InvalidArgumentError

# Without a date, pendulum would take the one of today.
_BEGINS_WITH_A_DATE = re.compile(r"\d{4}(?:-|\d{4}(?:[T ]|$))", re.ASCII)


def whole_seconds(instant: datetime) -> datetime:
    """Return the instant in UTC without its fraction of a second."""
    return instant.astimezone(UTC).replace(microsecond=0)


def format_instant(instant: datetime) -> str:
    """Write an aware instant, for example ``2026-11-23T01:45:00Z``."""
    return whole_seconds(instant).replace(tzinfo=None).isoformat() + "Z"


def parse_instant(value: str | datetime, name: str) -> datetime:
    """Read an ISO 8601 instant; without an offset it is UTC, without a time midnight.

    :param value: the text, or a datetime
    :param name: what the value is, for the error
    :return: the aware instant in UTC
    :raises InvalidArgumentError: when it is no instant
    """
    try:
        return _in_utc(_parsed(value))
    except (ParserError, ValueError, OverflowError):
        # Overflow: the first and the last hours of the calendar exist in some zones only.
        raise InvalidArgumentError(
            f"{name}={value!r} is no instant. Write it as ISO 8601, for example 2026-11-23T00:00:00Z."
        ) from None


def _parsed(value: object) -> datetime:
    parsed: object = value
    if isinstance(value, str):
        text = value.strip()
        parsed = pendulum.parse(text, strict=True) if _BEGINS_WITH_A_DATE.match(text) else None
    if not isinstance(parsed, datetime):
        raise ValueError("no instant")  # noqa: TRY004 - told to the user by parse_instant
    return parsed


def _in_utc(instant: datetime) -> datetime:
    aware = instant if instant.utcoffset() is not None else instant.replace(tzinfo=UTC)
    utc = aware.astimezone(UTC)
    # Pendulum's own class stays out of what is compared and kept.
    return datetime(utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond, UTC)
