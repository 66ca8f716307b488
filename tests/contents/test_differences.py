"""What differs between the entities of two backups, and names and texts that are found in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_xbackup.contents.differences import Change, Counts, Differences
from airflow_provider_xbackup.contents.elements import Element
from airflow_provider_xbackup.contents.filenames import safe_filename
from airflow_provider_xbackup.contents.search import Match, matches


def an_entity(id_: str | None, value: Any = None, project: str = "1", kind: str = "tests") -> Element:
    return Element(kind, project, id_, {"id": id_} if value is None else value)


@pytest.fixture
def differences() -> Iterator[Differences]:
    with Differences() as differences:
        yield differences


def compare(differences: Differences, old: list[Element], new: list[Element]) -> list[Change]:
    for element in old:
        differences.add("old", element)
    for element in new:
        differences.add("new", element)
    return list(differences.changes())


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param([], [an_entity("1")], [Change("added", "tests", "1", "1")], id="added"),
        pytest.param([an_entity("1")], [], [Change("removed", "tests", "1", "1")], id="removed"),
        pytest.param(
            [an_entity("1", {"a": 1})],
            [an_entity("1", {"a": 2})],
            [Change("changed", "tests", "1", "1")],
            id="changed",
        ),
        pytest.param([an_entity("1", {"a": 1, "b": 2})], [an_entity("1", {"b": 2, "a": 1})], [], id="other order"),
        pytest.param(
            [an_entity("1", {"a": [1, 2]})],
            [an_entity("1", {"a": [2, 1]})],
            [Change("changed", "tests", "1", "1")],
            id="a list in another order",
        ),
        pytest.param(
            [an_entity("1", project="1")],
            [an_entity("1", project="2")],
            [Change("removed", "tests", "1", "1"), Change("added", "tests", "2", "1")],
            id="another project",
        ),
        pytest.param([an_entity("1", kind="a")], [an_entity("1", kind="a")], [], id="the same"),
        pytest.param([an_entity(None, "x")], [an_entity(None, "x")], [], id="the same without an id"),
        pytest.param(
            [an_entity(None, "x")],
            [an_entity(None, "y")],
            [Change("added", "tests", "1", None), Change("removed", "tests", "1", None)],
            id="another without an id",
        ),
        pytest.param(
            [an_entity("1", "x"), an_entity("1", "y")],
            [an_entity("1", "x")],
            [Change("changed", "tests", "1", "1")],
            id="an id twice, once",
        ),
        pytest.param(
            [an_entity("1", "x"), an_entity("1", "y")], [an_entity("1", "x"), an_entity("1", "y")], [], id="twice"
        ),
        pytest.param(
            [an_entity("1", "x"), an_entity("1", "y")],
            [an_entity("1", "z"), an_entity("1", "y")],
            [Change("changed", "tests", "1", "1")],
            id="an id twice, the first changed",
        ),
        pytest.param([an_entity("\ud800")], [an_entity("\ud800")], [], id="half a character"),
    ],
)
def test_entities_are_compared_by_id_and_content(
    differences: Differences, old: list[Element], new: list[Element], expected: list[Change]
):
    assert sorted(map(str, compare(differences, old, new))) == sorted(map(str, expected))


def test_the_counts_are_those_of_the_changes(differences: Differences):
    old = [an_entity(str(number)) for number in range(5000)]
    new = [an_entity(str(number), {"new": number % 5} if number % 2 else None) for number in range(10, 6000)]
    changes = compare(differences, [*old, an_entity("1", kind="datasets")], new)
    tests = differences.counts()["tests"]
    assert tests == Counts(added=1000, removed=10, changed=2495, same=2495)
    assert differences.counts()["datasets"] == Counts(0, 1, 0, 0)
    assert len(changes) == 1000 + 10 + 2495 + 1


def test_some_of_the_changes_of_a_kind_can_be_had(differences: Differences):
    compare(differences, [], [an_entity(str(number), kind=kind) for kind in ("a", "b") for number in range(9)])
    assert [change.id for change in differences.changes("b", most=3)] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        pytest.param({"steps": [{"action": "Send INVOICE 7"}]}, "invoice", ["steps/0/action"], id="any case"),
        pytest.param({"a": "Straße", "b": "x"}, "STRASSE", ["a"], id="any case of any script"),
        pytest.param({"invoice": "x"}, "invoice", [], id="names of fields are no values"),
        pytest.param({"id": 10501}, "050", ["id"], id="numbers"),
        pytest.param({"a": True, "b": None}, "true", [], id="no literals"),
        pytest.param(
            {"a": ["x", {"b": "x"}], "c": "x"}, "x", ["a/0", "a/1/b", "c"], id="all places, in their order"
        ),
    ],
)
def test_a_text_is_found_in_values(value: Any, text: str, expected: list[str]):
    assert [match.path for match in matches(value, text)] == expected


def test_an_excerpt_shows_what_stands_around():
    (match,) = matches({"a": "b" * 100 + "\nneedle\n" + "c" * 100}, "NEEDLE")
    assert match == Match("a", "…" + "b" * 29 + " needle " + "c" * 49 + "…")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("screenshot 1.png", "screenshot 1.png", id="a good name"),
        pytest.param("../../etc/passwd", "passwd", id="climbing"),
        pytest.param("C:\\temp\\x.txt", "x.txt", id="a path of another system"),
        pytest.param("..", "unnamed", id="two dots"),
        pytest.param("", "unnamed", id="nothing"),
        pytest.param("a/", "unnamed", id="a folder"),
        pytest.param(".bashrc", "bashrc", id="hidden"),
        pytest.param("a\x00b\nc\x1b[31m.png", "a_b_c_[31m.png", id="control characters"),
        pytest.param("gpj\u202e.exe", "gpj_.exe", id="written backwards"),
        pytest.param("\ud800.png", "_.png", id="half a character"),
        pytest.param("CON.txt", "_CON.txt", id="a device"),
        pytest.param('a<b>:"|?*', "a_b______", id="what other systems forbid"),
        pytest.param("ü" * 200 + ".png", "ü" * 73 + ".png", id="too long"),
        pytest.param("x." + "y" * 400, "x." + "y" * 148, id="a long ending"),
    ],
)
def test_names_of_users_are_made_safe(name: str, expected: str):
    assert safe_filename(name) == expected
