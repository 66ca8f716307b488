"""Tests in the form of the vendor's bulk import, from whatever form the backup has them in."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_xbackup.contents.bulkimport import StepAttachment, attachments_of, bulk_test, folders_of
from airflow_provider_xbackup.contents.elements import Element

STEP = {"action": "Press", "data": "7", "result": "Shown"}


def element(**value: Any) -> Element:
    return Element("tests", "10042", "10501", {"id": "10501", **value})


def test_a_manual_test_keeps_its_steps():
    made = bulk_test(element(type="Manual", steps=[{"id": "x", **STEP, "attachments": []}]))
    assert made.value == {
        "testtype": "Manual",
        "fields": {"summary": "Restored test 10501", "project": {"id": "10042"}},
        "steps": [STEP],
    }


def test_a_key_says_where_it_is_to_be_made():
    fields = bulk_test(element(type="Manual"), project_key="CALC").value["fields"]
    assert fields["project"] == {"key": "CALC"}


def test_what_jira_keeps_is_taken_where_the_backup_has_it():
    fields = bulk_test(
        element(type="Manual", summary="Adds\ntwo  numbers", description="Long", labels=["new", "very long"])
    ).value["fields"]
    assert fields == {
        "summary": "Adds two numbers",
        "description": "Long",
        "labels": ["new"],
        "project": {"id": "10042"},
    }


def test_a_summary_is_cut_to_what_jira_takes():
    assert len(bulk_test(element(summary="x" * 300)).value["fields"]["summary"]) == 255


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"type": "Exploratory"}, "Exploratory", id="a name"),
        pytest.param(
            {"testType": {"name": "Cucumber", "kind": "Gherkin"}}, "Cucumber", id="an object with a name"
        ),
        pytest.param({"steps": [STEP]}, "Manual", id="none, with steps"),
        pytest.param({"gherkin": "Given x"}, "Cucumber", id="none, with gherkin"),
        pytest.param({"type": None}, "Generic", id="none at all"),
    ],
)
def test_the_type_comes_from_the_test_or_its_content(value: dict[str, Any], expected: str):
    assert bulk_test(element(**value)).value["testtype"] == expected


def test_definitions_and_the_folder_have_fields_of_their_own():
    made = bulk_test(element(type="Cucumber", gherkin="Given x", unstructured="y"), folder="/a/b").value
    assert made["gherkin_def"] == "Given x"
    assert made["unstructured_def"] == "y"
    assert made["xray_test_repository_folder"] == "/a/b"


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        pytest.param(None, "", id="nothing"),
        pytest.param(7, "7", id="a number"),
        pytest.param({"type": "doc"}, '{"type": "doc"}', id="a document"),
    ],
)
def test_a_field_of_a_step_is_always_text(field: Any, expected: str):
    (step,) = bulk_test(element(type="Manual", steps=[{"action": field}])).value["steps"]
    assert step == {"action": expected, "data": "", "result": ""}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(
            {"steps": [{**STEP, "attachments": [{"id": "a"}]}]}, "attachments of steps", id="attachments"
        ),
        pytest.param({"steps": [{"callTestIssueId": "10502"}]}, "calls of other tests", id="calls"),
        pytest.param({"steps": [{**STEP, "customFields": [1]}]}, "custom fields of steps", id="custom fields"),
        pytest.param({"preconditions": ["1"]}, "preconditions", id="preconditions"),
        pytest.param({"summary": ""}, "the summary, which is Jira's", id="no summary"),
        pytest.param({"labels": ["a b"]}, "labels that Jira does not take", id="labels"),
        pytest.param({"type": None}, "the type, guessed from the content", id="no type"),
        pytest.param({"steps": []}, "steps or a definition: the backup has none", id="nothing to do"),
    ],
)
def test_what_is_not_taken_along_is_said(value: dict[str, Any], expected: str):
    whole = {"type": "Manual", "summary": "Adds", "unstructured": "x"}
    assert expected not in bulk_test(element(**whole)).left_out
    if value == {"steps": []}:
        del whole["unstructured"]
    assert expected in bulk_test(element(**{**whole, **value})).left_out


@pytest.mark.parametrize(
    ("attachments", "expected"),
    [
        pytest.param([{"id": "a", "filename": "x.png"}], [StepAttachment("a", "x.png")], id="objects"),
        pytest.param(["a", 7], [StepAttachment("a", None), StepAttachment("7", None)], id="ids"),
        pytest.param([{"id": 7, "fileName": "y"}], [StepAttachment("7", "y")], id="other spellings"),
        pytest.param([{"id": "a"}, {"id": "a"}], [StepAttachment("a", None)], id="the same twice"),
        pytest.param([None, {}, [], True, ""], [], id="nothing that could be one"),
    ],
)
def test_the_attachments_of_steps_are_found(attachments: Any, expected: list[StepAttachment]):
    assert list(attachments_of({"steps": [{"attachments": attachments}]})) == expected


def test_attachments_of_steps_within_steps_are_found():
    test = {"steps": [{"steps": [{"attachments": ["inner"]}], "attachments": ["outer"]}]}
    assert {each.id for each in attachments_of(test)} == {"outer", "inner"}


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        pytest.param(
            {"path": "/a/b", "tests": ["1", 2]}, [("1", "/a/b"), ("2", "/a/b")], id="a folder with its path"
        ),
        pytest.param({"path": "a/b", "tests": [{"id": "1"}]}, [("1", "/a/b")], id="a path without a slash"),
        pytest.param(
            {"name": "root", "folders": [{"name": "a", "testIds": ["1"]}]},
            [("1", "/root/a")],
            id="a tree of names",
        ),
        pytest.param({"path": "/", "tests": ["1"]}, [], id="tests that are in no folder"),
        pytest.param(["no", "folder"], [], id="something else"),
    ],
)
def test_the_folders_of_tests_are_found(repository: Any, expected: list[tuple[str, str]]):
    assert list(folders_of(repository)) == expected


def test_a_tree_may_be_deeper_than_functions_can_call_themselves():
    tree: dict[str, Any] = {"name": "leaf", "tests": ["1"]}
    for _ in range(5000):
        tree = {"name": "a", "folders": [tree]}
    ((test, path),) = folders_of(tree)
    assert test == "1"
    assert path.endswith("/a/leaf")
