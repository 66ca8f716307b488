"""Whether a body ends where its JSON ends, in flat memory."""

from __future__ import annotations

import json

import pytest

from airflow_provider_xbackup.contents import jsonend
from airflow_provider_xbackup.contents.jsonend import JsonEnd

BOT = json.dumps({"Name": "welcome", "steps": [{"id": n, "text": 'täglich \\ "oft"'} for n in range(50)]}).encode()


@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_only_the_whole_is_complete_and_every_beginning_of_it_cut_off(block: int):
    for length in (1, 2, 10, 40, 41, 42, 43, 1000, len(BOT) - 1, len(BOT)):
        end = JsonEnd(BOT[:1])
        for at in range(1, length, block):
            end.feed(BOT[at : min(at + block, length)])
        whole = length == len(BOT)
        assert (end.is_complete(), end.is_cut_off()) == (whole, not whole)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"PK\3\4", id="no JSON"),
        pytest.param(b'{"a" 1}', id="damaged"),
        pytest.param(b"[1]]", id="one bracket more"),
        pytest.param(b'{"a": NaN}', id="not quite JSON"),
    ],
)
def test_what_is_damaged_or_no_json_is_neither(body: bytes):
    end = JsonEnd(body)

    assert not end.is_complete()
    assert not end.is_cut_off()


def test_a_text_without_end_is_given_up_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jsonend, "_LONGEST_VALUE", 1 << 20)
    end = JsonEnd(b'{"short": "", "a": "')
    for _ in range(11):
        end.feed(b"x" * (100 << 10))

    assert not end.is_cut_off()
    assert not end.is_complete()


def test_many_texts_may_be_longer_together_than_one_may_be(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jsonend, "_LONGEST_VALUE", 1 << 20)
    end = JsonEnd(b"[1")
    for _ in range(30):
        end.feed(b', "' + b"x" * (100 << 10) + b'"')
    end.feed(b"]")

    assert end.is_complete()
