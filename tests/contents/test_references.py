"""What refers to what, in flat memory."""

from __future__ import annotations

import pytest

from airflow_provider_xbackup.contents.inventory import Inventory
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
    ],
)
def test_a_blob_goes_by_every_part_of_its_name(entry: str, expected: set[str]) -> None:
    assert set(names_of_blob(entry)) == expected


def test_ids_with_more_digits_than_the_parser_takes_are_still_found() -> None:
    """Long runs of digits are cut down before the parser sees them, so names are cut down alike."""
    blob = "1234567890123456789012"
    with Inventory() as inventory:
        tests = inventory.open_data("tests_1_0.json")
        assert tests is not None
        tests.feed(b'{"tests": [{"id": "T1", "steps": [{"attachments": [{"id": "%s"}]}]}]}' % blob.encode())
        tests.finish()
        inventory.open_attachment(f"{blob}.png")
        (found,) = inventory.references()
    assert (found.named, found.missing) == (1, 0)
