"""Tables of any length."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from rich.table import Column
from rich.text import Text

from airflow_provider_xbackup.cli import text

COLUMNS = (Column("Name", no_wrap=True), Column("Size", no_wrap=True, justify="right"), Column("Why"))


def test_a_table_of_many_pages_is_one_to_the_eye(capsys: pytest.CaptureFixture[str]):
    rows = [("a long name", "1", "first"), *[("n", str(number), "x") for number in range(2500)]]

    text.print_table(COLUMNS, [tuple(map(Text, row)) for row in rows])

    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["Name", "Size", "Why"], ["a", "long", "name", "1", "first"]] + [
        list(row) for row in rows[1:]
    ]
    assert {line.rstrip().rindex(" ") for line in lines} == {lines[0].rstrip().rindex(" ")}


def test_a_table_is_printed_while_its_rows_come(capsys: pytest.CaptureFixture[str]):
    printed = []

    def rows() -> Iterator[tuple[Text, ...]]:
        for _ in range(3000):
            yield (Text("a"), Text("b"), Text("c"))
        printed.append(len(capsys.readouterr().out.splitlines()))

    text.print_table(COLUMNS, rows())

    assert printed[0] >= 2000


def test_without_rows_there_is_no_table(capsys: pytest.CaptureFixture[str]):
    text.print_table(COLUMNS, [])

    assert capsys.readouterr().out == ""


def broken(number: int) -> Iterator[dict[str, int]]:
    """So many values, and then an error."""
    yield from ({"n": each} for each in range(number))
    raise ValueError("the store does not answer")


@pytest.mark.parametrize("number", [0, 1, 3])
def test_an_array_is_closed_whatever_happens(capsys: pytest.CaptureFixture[str], number: int):
    with pytest.raises(ValueError, match="does not answer"):
        text.write_array(broken(number))

    assert json.loads(capsys.readouterr().out) == [{"n": each} for each in range(number)]


@pytest.mark.parametrize("number", [0, 1, 3])
def test_an_object_is_closed_whatever_happens(capsys: pytest.CaptureFixture[str], number: int):
    with pytest.raises(ValueError, match="does not answer"):
        text.write_object({"a": 1}, changes=broken(number), others=[])

    assert json.loads(capsys.readouterr().out) == {"a": 1, "changes": [{"n": each} for each in range(number)]}


def test_the_arrays_of_an_object_are_asked_for_one_after_the_other(capsys: pytest.CaptureFixture[str]):
    met: list[int] = []

    def meeting() -> Iterator[int]:
        for each in (1, 2):
            met.append(each)
            yield each

    def all_that_were_met() -> Iterator[list[int]]:
        yield met

    text.write_object({"a": 1}, values=meeting(), met=all_that_were_met())

    assert json.loads(capsys.readouterr().out) == {"a": 1, "values": [1, 2], "met": [[1, 2]]}
