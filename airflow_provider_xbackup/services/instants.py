"""Instants as both vendors and our own records write them: UTC, whole seconds, ``Z``."""

from __future__ import annotations

from datetime import UTC, datetime

import pendulum
from pendulum.parsing.exceptions import ParserError

from airflow_provider_xbackup.errors import InvalidArgumentError


def whole_seconds(instant: datetime) -> datetime:
    """Return the instant in UTC without its fraction of a second."""
    return instant.astimezone(UTC).replace(microsecond=0)


def format_instant(instant: datetime) -> str:
    """Write an aware instant, for example ``2026-11-23T01:45:00Z``."""
    return f"{whole_seconds(instant):%Y-%m-%dT%H:%M:%SZ}"


def parse_instant(value: str | datetime, name: str) -> datetime:
    """Read an ISO 8601 instant; without an offset it is UTC.

    :param value: the text, or a datetime
    :param name: what the value is, for the error
    :return: the aware instant in UTC
    :raises InvalidArgumentError: when it is no instant
    """
    parsed: object = value
    if isinstance(value, str):
        try:
            parsed = pendulum.parse(value.strip(), strict=True)
        except (ParserError, ValueError, OverflowError):
            parsed = None
    if not isinstance(parsed, datetime):
        raise InvalidArgumentError(
            f"{name}={value!r} is no instant. Write it as ISO 8601, for example 2026-11-23T00:00:00Z."
        )
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return datetime.fromtimestamp(aware.timestamp(), UTC)
