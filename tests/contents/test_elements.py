"""Entities are decoded one by one while their file passes, as they stand in it, whatever form it has."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_xbackup.contents import elements as module
from airflow_provider_xbackup.contents.elements import Element, ElementFile
from airflow_provider_xbackup.contents.entities import EntityCounter, EntityFile

TESTS = EntityFile("tests", "10042")


def read(data: bytes, file: EntityFile = TESTS, block: int = 7) -> list[Element]:
    found: list[Element] = []
    reader = ElementFile(file, found.append)
    for start in range(0, len(data), block):
        reader.feed(memoryview(data)[start : start + block])
    reader.finish()
    return found


def values(data: bytes, file: EntityFile = TESTS, block: int = 7) -> list[Any]:
    return [element.value for element in read(data, file, block)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b'{"tests": [{"id": 1}, {"id": 2}]}', [{"id": 1}, {"id": 2}], id="an object with a list"),
        pytest.param(b' [{"id": 1}] \n', [{"id": 1}], id="a list alone"),
        pytest.param(b'\xef\xbb\xbf{"tests": [{}]}', [{}], id="a byte order mark"),
        pytest.param(b'{"total": 5, "tests": [1], "next": null}', [1], id="other members around the list"),
        pytest.param(b'{"tests": [1], "errors": [2]}', [1], id="a second list"),
        pytest.param(b'{"tests": []}', [], id="an empty list"),
        pytest.param(b"[]", [], id="an empty list alone"),
        pytest.param(b"{}", [], id="an empty object"),
        pytest.param(b'{"data": {"tests": [1]}}', [], id="a list that lies too deep"),
        pytest.param(b'"text"', [], id="no list at all"),
        pytest.param(b"[12345678901, 2]", [12345678901, 2], id="numbers cut by a block"),
        pytest.param('{"t": ["Ünïcödé 😀"]}'.encode(), ["Ünïcödé 😀"], id="characters cut by a block"),
        pytest.param(b'["\\u00e9\\n\\"\\\\", true, null]', ['é\n"\\', True, None], id="escapes and literals"),
    ],
)
@pytest.mark.parametrize("block", [1, 5, 1000])
def test_the_elements_of_the_one_list_are_read(data: bytes, expected: list[Any], block: int):
    assert values(data, block=block) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(
            b'{"testRepository": {"id": "root", "folders": []}}', {"id": "root", "folders": []}, id="named"
        ),
        pytest.param(b'{"id": "root", "path": "/"}', {"id": "root", "path": "/"}, id="bare"),
    ],
)
def test_a_test_repository_may_be_one_object(data: bytes, expected: dict[str, Any]):
    assert values(data, EntityFile("testRepository", "1")) == [expected]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"id": "10501"}, "10501", id="text"),
        pytest.param({"id": 10501}, "10501", id="number"),
        pytest.param({"issueId": 10501, "key": "CALC-1"}, "10501", id="another field"),
        pytest.param({"id": None, "issueId": "7"}, "7", id="an empty first field"),
        pytest.param({"id": True}, None, id="no id"),
        pytest.param(["10501"], None, id="no object"),
    ],
)
def test_an_id_may_be_text_or_number(value: Any, expected: str | None):
    (element,) = read(json.dumps([value]).encode())
    assert element.id == expected


def test_a_test_is_known_by_its_ids_and_its_key():
    (element,) = read(b'[{"id": "1", "issueId": 10501, "jira": {"key": "CALC-7"}}]')
    assert element.names == {"1", "10501", "CALC-7"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("7" * 30, int("7" * 30), id="an id of 30 digits keeps all of them"),
        pytest.param("9" * 5000, "9" * 5000, id="a number that int() refuses is text"),
        pytest.param("1.0", 1, id="a whole number with a point"),
        pytest.param("0.1", 0.1, id="a fraction"),
        pytest.param("1e400", "1e400", id="a number beyond every float is text"),
        pytest.param("0.1234567890123456789", "0.1234567890123456789", id="more digits than a float has are text"),
    ],
)
def test_no_digit_of_a_number_is_lost(text: str, expected: Any):
    # As text: 1 and 1.0 are equal and are written differently.
    assert str(values(f"[{text}]".encode())) == str([expected])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"tests": [{"id": 1}', id="cut off after an element"),
        pytest.param(b'{"tests": [{"id": "1', id="cut off in a text"),
        pytest.param(b'{"tests": [1,]}', id="a comma too many"),
        pytest.param(b'{"tests": [1 2]}', id="a comma missing"),
        pytest.param(b'{"tests" [1]}', id="a colon missing"),
        pytest.param(b"{tests: [1]}", id="a bare name"),
        pytest.param(b"[1] [2]", id="something behind it"),
        pytest.param(b"[NaN]", id="a number that is none"),
        pytest.param(b'["\xff"]', id="no UTF-8"),
        pytest.param(b'["\xc3', id="cut off in a character"),
        pytest.param(b"<html>", id="a web page"),
        pytest.param(b"[" + b"[" * 100_000, id="nested without end"),
        pytest.param(b'{"a":' * 100_000, id="objects nested without end"),
    ],
)
@pytest.mark.parametrize("block", [1, 10_000])
def test_what_is_no_json_is_told_at_the_end(data: bytes, block: int):
    reader = ElementFile(TESTS, lambda element: None)
    for start in range(0, len(data), block):
        reader.feed(data[start : start + block])
    with pytest.raises(ValueError, match=r"\w"):
        reader.finish()


def test_a_value_that_never_ends_is_given_up_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "LONGEST_ENTITY", 1 << 20)
    reader = ElementFile(TESTS, lambda element: None)
    reader.feed(b'["')
    tracemalloc.start()
    try:
        for _ in range(64):
            reader.feed(b"x" * (1 << 20))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20
    with pytest.raises(ValueError, match="longer than 1 MiB"):
        reader.finish()


def test_members_beside_the_list_of_a_repository_are_bounded_together(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "LONGEST_ENTITY", 100)
    document = json.dumps({str(number): "x" * 60 for number in range(3)}).encode()
    with pytest.raises(ValueError, match="longer than"):
        read(document, EntityFile("testRepository", "1"))


def test_a_string_of_megabytes_is_one_value():
    long = "äx" * (3 << 20)
    assert values(json.dumps([{"to": long}, 2], ensure_ascii=False).encode(), block=65_536) == [{"to": long}, 2]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(
    json_values,
    st.sampled_from([TESTS, EntityFile("testRepository", "1")]),
    st.integers(1, 40),
    st.booleans(),
)
def test_exactly_what_the_counter_counts_is_read(value: Any, file: EntityFile, block: int, ascii_only: bool):
    data = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    counter = EntityCounter(file)
    counter.feed(data)
    assert len(read(data, file, block)) == counter.finish()


@given(st.lists(json_values, max_size=5), st.integers(1, 40))
def test_every_value_comes_as_it_was_written(value: list[Any], block: int):
    assert values(json.dumps({"list": value}).encode(), block=block) == value
