"""A bot's name, found in its backup as far as that tells it."""

from __future__ import annotations

import json

import ijson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_xbackup.contents.botname import BotName


def name_of(*blocks: bytes) -> str | None:
    name = BotName()
    for block in blocks:
        name.feed(block)
    return name.text


@pytest.mark.parametrize(
    "backup",
    [
        pytest.param(b'{"Name": "welcome"}', id="as its api writes names"),
        pytest.param(b'{"name": "welcome"}', id="in lower case"),
        pytest.param(b'\xef\xbb\xbf \n{"NAME": " welcome "}', id="behind a mark and blanks"),
        pytest.param(b'{"NLP": {"Name": "x"}, "L": [{"Name": "y"}], "Name": "welcome"}', id="behind other names"),
        pytest.param(b'{"Name": "welcome", "name": "later"}', id="the first of two"),
        pytest.param(b'{"Name": "welcome", broken', id="before what is broken"),
    ],
)
def test_the_name_at_the_top_is_the_bots(backup: bytes):
    assert name_of(backup) == "welcome"


@pytest.mark.parametrize("size", [1, 2, 7])
def test_however_the_bytes_are_cut_the_name_is_found(size: int):
    backup = json.dumps({"Version": 1, "Flow": [{"Name": "x"}], "Name": "welcome ☀"}).encode()

    assert name_of(*(backup[at : at + size] for at in range(0, len(backup), size))) == "welcome ☀"


@pytest.mark.parametrize(
    "backup",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"PK\x03\x04", id="no JSON"),
        pytest.param(b'[{"Name": "welcome"}]', id="a list"),
        pytest.param(b'{"Bot": {"Name": "welcome"}}', id="deeper"),
        pytest.param(b'{"Name": ["welcome"]}', id="no text"),
        pytest.param(b'{"Name": ""}', id="empty"),
        pytest.param(b'{"Name": "%s"}' % (b"x" * 201), id="far too long"),
        pytest.param(b'{"N": 1' + b"0" * 5000 + b'e9, "Name": 1}', id="a number without end"),
        pytest.param(b'{"A": ' + b"[" * 200_000, id="very deep"),
    ],
)
def test_what_tells_no_name_leaves_it_unknown(backup: bytes):
    assert name_of(backup) is None


def test_half_a_character_cannot_get_into_a_manifest():
    assert (name_of(b'{"Name": "\\ud800"}') or "").isprintable()


def test_only_the_beginning_of_a_large_bot_is_looked_at():
    block = b'{"A": "x"}, ' * 1000
    start = b'{"List": [' + block

    assert name_of(start, *([block] * 1500), b'1], "Name": "welcome"}') is None


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_have_a_name_or_none(first: bytes, second: bytes):
    name = name_of(b'{"Name"' + first, second)

    assert name is None or 0 < len(name.encode()) <= 800


def test_a_name_is_found_also_where_ijson_has_no_part_in_c(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ijson, "basic_parse_coro", ijson.get_backend("python").basic_parse_coro)

    assert name_of(b'{"Version": 1, "Na', b'me": "welcome", "NLP": [1, 2', b', "and more"]}') == "welcome"
