"""Two bots compared: what differs, and what a copy's ids must."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_xbackup.contents.sameness import MOST_TOLD, compare

BOT = {
    "Name": "welcome",
    "Behaviours": [
        {"Id": "a1", "Name": "greet", "Next": "a2"},
        {"Id": "a2", "Name": "part", "Next": "a1"},
    ],
    "Limits": {"hours": 1, "share": 0.5},
}


def bot(**fields: Any) -> dict[str, Any]:
    return json.loads(json.dumps({**BOT, **fields}))


def differences(old: Any, new: Any) -> list[tuple[str, str]]:
    found = compare(json.dumps(old).encode(), json.dumps(new).encode())
    assert found.count == len(found.differences)
    return [(each.what, each.path) for each in found.differences]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(json.dumps(BOT, indent=4), id="white space"),
        pytest.param(json.dumps(dict(reversed(BOT.items()))), id="the order of fields"),
        pytest.param(json.dumps(BOT).replace("0.5", "5.0e-1").replace("welcome", "\\u0077elcome"), id="spelling"),
        pytest.param("\ufeff" + json.dumps(BOT), id="a byte order mark"),
    ],
)
def test_how_json_is_written_does_not_matter(text: str):
    found = compare(json.dumps(BOT).encode(), text.encode())

    assert found.same
    assert not found.new_ids
    assert not found.identical


@pytest.mark.parametrize(
    ("new", "told"),
    [
        pytest.param(bot(Name="hello"), [("changed", "/Name")], id="another value"),
        pytest.param(bot(More=1), [("added", "/More")], id="a field more"),
        pytest.param({"Name": "welcome", "Behaviours": BOT["Behaviours"]}, [("removed", "/Limits")], id="less"),
        pytest.param(bot(Limits=None), [("changed", "/Limits")], id="nothing in the place of something"),
        pytest.param(bot(Limits={"hours": True, "share": 0.5}), [("changed", "/Limits/hours")], id="true, not 1"),
        pytest.param(bot(Limits={"hours": "1", "share": 0.5}), [("changed", "/Limits/hours")], id="a text"),
        pytest.param(bot(**{"a/b~": 1}), [("added", "/a~1b~0")], id="a name with a slash"),
        pytest.param(
            bot(Behaviours=BOT["Behaviours"][::-1]),
            [
                ("changed", "/Behaviours/0/Name"),
                ("changed", "/Behaviours/1/Name"),
            ],
            id="the order of a list, whose ids changed places",
        ),
    ],
)
def test_what_differs_is_told_by_its_place(new: Any, told: list[tuple[str, str]]):
    assert differences(BOT, new) == told


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        pytest.param([1, 2, 3], [1, 9, 2, 3], [("added", "/1")], id="inserted"),
        pytest.param([1, 2, 3], [2, 3], [("removed", "/0")], id="taken from the front"),
        pytest.param([1, 2, 3], [1, 2, 3, 4], [("added", "/3")], id="appended"),
        pytest.param([1, 1], [1], [("removed", "/1")], id="one of two equal ones"),
        pytest.param([1, 2, 3], [1, 8, 9, 3], [("changed", "/1"), ("added", "/2")], id="changed and inserted"),
        pytest.param([], [1], [("added", "/0")], id="the first"),
    ],
)
def test_in_lists_of_other_length_only_what_stands_between_their_common_ends_differs(old, new, told):
    assert differences(old, new) == told


def test_ids_that_are_others_throughout_are_counted_apart():
    text = json.dumps(BOT)

    found = compare(text.encode(), text.replace("a1", "x7").replace("a2", "x8").encode())

    assert found.same
    assert found.new_ids == 4


def test_an_id_with_two_new_values_is_a_difference():
    new = bot()
    new["Behaviours"][0] |= {"Id": "x7", "Next": "x8"}
    new["Behaviours"][1] |= {"Id": "x8", "Next": "x9"}

    assert differences(BOT, new) == [("changed", "/Behaviours/1/Next")]


def test_two_ids_that_became_one_are_differences():
    new = bot()
    for each in new["Behaviours"]:
        each["Id"] = "x7"

    assert {path for _, path in differences(BOT, new)} == {"/Behaviours/0/Id", "/Behaviours/1/Id"}


@pytest.mark.parametrize("name", ["Valid", "Paid", "Grid", "Idea", "Identity"])
def test_a_field_that_only_sounds_like_an_id_is_none(name: str):
    assert differences({name: "a"}, {name: "b"}) == [("changed", f"/{name}")]


@pytest.mark.parametrize("name", ["Id", "id", "BotId", "bot_id", "BotID", "Guid", "uuid", "APIKey", "ids"])
def test_a_field_that_holds_an_id_may_differ(name: str):
    assert differences({name: "a"}, {name: "b"}) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(b"\x00\x01", b"\x00\x02", id="no JSON"),
        pytest.param(b'{"a": 1}', b'{"a": 1', id="one cut off"),
        pytest.param(b"[" * 100_000, b"[" * 100_001, id="too deep"),
        pytest.param(b"", b"{}", id="nothing"),
    ],
)
def test_what_is_no_json_can_only_be_the_same_byte_for_byte(old: bytes, new: bytes):
    assert compare(old, old).identical
    assert [each.path for each in compare(old, new).differences] == [""]


def test_many_differences_are_counted_and_some_are_told():
    found = compare(json.dumps([0] * 500).encode(), json.dumps([1] * 500).encode())

    assert (found.count, len(found.differences)) == (500, MOST_TOLD)


def test_no_value_is_told():
    found = compare(b'{"ApiPassword": "s3cret-1"}', b'{"ApiPassword": "s3cret-2"}')

    assert "s3cret" not in repr(found)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcI"), inner, max_size=4),
    max_leaves=12,
)


@given(values, values)
def test_two_values_without_ids_are_the_same_exactly_when_json_says_so(old: Any, new: Any):
    same = json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)

    assert compare(json.dumps(old).encode(), json.dumps(new).encode()).same is same
