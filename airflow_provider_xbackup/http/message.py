"""What goes over the wire, as values: a request to send and the answer that came. No I/O here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

# Whatever a server says, more than a month is no pause but an error.
_LONGEST_PAUSE = timedelta(days=31)
_LONGEST_NUMBER = 18
_UNSATISFIED_RANGE = re.compile(r"bytes \*/([0-9]{1,18})", re.IGNORECASE)
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Request:
    """One call of a vendor's endpoint, still without host and credentials.

    :param method: the HTTP method
    :param path: path and query below the connection's host, starting with ``/``
    :param json: a value to send as JSON body, or None
    :param body: bytes to send as they are, or None
    :param headers: further headers
    :param authenticated: whether the call carries the bearer token
    :param repeatable: whether sending it twice has the effect of sending it once. A request that is
        not repeatable is never sent again once the server may have seen it.
    :param secrets: what of it must not be seen, should the server repeat it
    """

    method: str
    path: str
    json: Any = field(default=None, repr=False)
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    authenticated: bool = True
    repeatable: bool = True
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def with_headers(self, **headers: str) -> Request:
        """Return the same request with these headers added; underscores in the names become dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **named})


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, read completely. Bodies of files are not read into an answer.

    :param status: the HTTP status
    :param headers: the headers, names in lower case
    :param body: the body, cut at a size no honest answer of these endpoints has
    :param received_at: when it came, by this machine's clock, aware
    :param secrets: what the request held that must not be seen, should the answer repeat it
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    received_at: datetime
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def date(self) -> datetime:
        """The server's own instant, from its ``Date`` header; this machine's where there is none."""
        return read_http_date(self.headers.get("date")) or self.received_at

    @property
    def text(self) -> str:
        """The body as text; bytes that are no UTF-8 are replaced."""
        return self.body.decode("utf-8", errors="replace")

    @property
    def length(self) -> int | None:
        """The bytes that ``Content-Length`` announces, or None where it is missing or no number."""
        value = self.headers.get("content-length", "").strip()
        return int(value) if value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER else None

    @property
    def retry_after(self) -> timedelta | None:
        """How long the server asks to wait (``Retry-After`` in seconds or as a date), or None."""
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit():
            return min(timedelta(seconds=int(value[:12])), _LONGEST_PAUSE)
        instant = read_http_date(value)
        return None if instant is None else min(max(instant - self.date, timedelta(0)), _LONGEST_PAUSE)

    def parse_json(self) -> Any:
        """Parse the body as JSON.

        :raises ValueError: when it is not JSON
        """
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("JSON nested too deeply") from None


def read_http_date(value: str | None) -> datetime | None:
    """Read an HTTP date such as ``Mon, 23 Nov 2026 01:45:00 GMT``.

    :param value: the header's value, or None
    :return: the instant in UTC, or None where there is none or it is no date
    """
    try:
        instant = parsedate_to_datetime(value or "")
        # The last hours of the year 9999 may not exist in UTC.
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def read_content_range(value: str | None) -> tuple[int, int | None] | None:
    """Read a ``Content-Range`` such as ``bytes 100-199/200``.

    :param value: the header's value, or None
    :return: the first byte, and the length of the whole where it is told; None where the header is none
    """
    found = _CONTENT_RANGE.fullmatch((value or "").strip())
    if found is None:
        return None
    return int(found[1]), None if found[2] == "*" else int(found[2])


def read_unsatisfied_range(value: str | None) -> int | None:
    """Read the ``Content-Range`` of a 416, such as ``bytes */200``.

    :param value: the header's value, or None
    :return: the length of the whole, or None where the header does not tell
    """
    found = _UNSATISFIED_RANGE.fullmatch((value or "").strip())
    return None if found is None else int(found[1])
