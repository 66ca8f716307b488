"""What refers to what, in flat memory."""

from __future__ import annotations

import pytest

from airflow_provider_xbackup.contents.references import ReferenceLedger, names_of_blob


def test_what_is_there_is_found_whenever_it_is_noted() -> None:
    with ReferenceLedger() as ledger:
        for number in range(5000):
            ledger.name("test", f"T{number}", "sets.json")
        for number in range(4000):
            ledger.know("test", f"T{number}", "tests.json")
        (found,) = ledger.results()
    assert (found.known, found.named, found.missing, found.recognised) == (4000, 5000, 1000, True)
    assert found.examples[0] == ("T4000", "sets.json")


def test_a_kind_that_nothing_refers_to_is_left_out() -> None:
    with ReferenceLedger() as ledger:
        ledger.know("attachment", "a", "a")
        assert ledger.results() == ()


@pytest.mark.parametrize("name", ["\ud800", "x" * 1000, "a\0b", "ü"])
def test_any_text_can_be_a_name(name: str) -> None:
    with ReferenceLedger() as ledger:
        ledger.know("test", name, "tests.json")
        ledger.name("test", name, "sets.json")
        (found,) = ledger.results()
    assert found.missing == 0


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("abc", {"abc"}),
        ("abc.png", {"abc.png", "abc"}),
        ("10042/abc/shot 1.png", {"10042", "abc", "shot 1.png", "shot 1"}),
        ("1234567890123456789012.png", {"1" * 18 + ".png", "1" * 18}),
    ],
)
def test_a_blob_goes_by_every_part_of_its_name(entry: str, expected: set[str]) -> None:
    assert set(names_of_blob(entry)) == expected
