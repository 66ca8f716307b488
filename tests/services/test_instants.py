"""Instants as people, servers and our own records write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.services.instants import format_instant, parse_instant, whole_seconds

INSTANT = datetime(2026, 11, 23, 1, 45, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-23T01:45:00Z", INSTANT),
        (" 2026-11-23 01:45 ", INSTANT),
        ("20261123T014500Z", INSTANT),
        ("2026-11-23T03:45:00+02:00", INSTANT),
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("20261123", datetime(2026, 11, 23, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_an_instant_is_read_as_utc(text, instant):
    parsed = parse_instant(text, "it")
    assert (parsed, type(parsed), parsed.tzinfo) == (instant, datetime, UTC)


@pytest.mark.parametrize(
    "value",
    [
        "now",
        "today",
        "12:30",
        "T12",
        "T12:30:00Z",
        "12",
        "1230",
        "P1D",
        "2026-11-23/2026-11-24",
        "2026-13-01",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
        "",
        "{{ ds }}",
        "\u0662\u0660\u0662\u0666-11-23",
        5,
        None,
        date(2026, 11, 23),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=12))),
    ],
    ids=repr,
)
def test_what_is_no_instant_is_refused_with_its_name(value):
    with pytest.raises(InvalidArgumentError, match=r"^since="):
        parse_instant(value, "since")


@given(st.text(max_size=40) | st.from_regex(r"\A\d{4}-?[0-9W-]{2,6}[T ]?[0-9:.]{0,12}([Z]|[+-]\d\d:?\d\d)?\Z"))
def test_any_text_is_an_instant_or_refused(text):
    try:
        instant = parse_instant(text, "it")
    except InvalidArgumentError:
        return
    assert instant.tzinfo is UTC


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_was_written_is_read_back(instant):
    assert parse_instant(format_instant(instant), "it") == whole_seconds(instant)
