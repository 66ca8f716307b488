"""Tests in the form that Xray's bulk import takes: docs/vendor-apis.md#xray-bulk-import."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from airflow_provider_xbackup.contents.elements import Element
from airflow_provider_xbackup.contents.references import ID_FIELDS, TEST_LISTS

#: How many tests one call takes.
MOST_TESTS = 1000

_GHERKIN = ("gherkin", "gherkin_def", "gherkinDefinition")
_UNSTRUCTURED = ("unstructured", "unstructured_def", "genericDefinition", "definition")
_CALLS = ("callTestIssueId", "calledTestIssueId", "callTestId", "calledTestId", "callTestKey")
_CHILDREN = ("folders", "children", "subFolders", "subfolders")
_FILENAMES = ("filename", "fileName", "name")


@dataclass(frozen=True, slots=True)
class BulkTest:
    """A test for the bulk import.

    :param value: an element of the list that the endpoint takes
    :param left_out: what the form cannot take along or the backup does not hold, for people
    """

    value: dict[str, Any]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepAttachment:
    """A file that a step names.

    :param id: its id: its name in the attachments zip
    :param filename: what the user called it; None where the step does not say
    """

    id: str
    filename: str | None


def bulk_test(test: Element, *, project_key: str | None = None, folder: str | None = None) -> BulkTest:
    """Write a test in the form of the bulk import.

    :param test: the test
    :param project_key: the key of the project it is to be made in; None for the one it came from, by its id
    :param folder: its folder in the test repository
    """
    value = test.value if isinstance(test.value, dict) else {}
    left_out: list[str] = []
    gherkin, unstructured = _first_text(value, _GHERKIN), _first_text(value, _UNSTRUCTURED)
    steps = [step for step in _list(value.get("steps")) if isinstance(step, dict)]
    kind = _type_of(value)
    if kind is None:
        kind = "Manual" if steps else "Cucumber" if gherkin else "Generic"
        left_out.append("the type, guessed from the content")
    summary = _text(value.get("summary"))
    if not summary.strip():
        summary = f"Restored test {test.id}"
        left_out.append("the summary, which is Jira's")
    fields: dict[str, Any] = {
        "summary": " ".join(summary.split())[:255],
        "project": {"id": test.project} if project_key is None else {"key": project_key},
    }
    if description := _text(value.get("description")):
        fields["description"] = description
    # Jira refuses a label with a blank in it, and the whole test with it.
    labels = [each for each in _list(value.get("labels")) if isinstance(each, str) and each.split() == [each]]
    if labels:
        fields["labels"] = labels
    if len(labels) < len(_list(value.get("labels"))):
        left_out.append("labels that Jira does not take")
    made: dict[str, Any] = {"testtype": kind, "fields": fields}
    if steps:
        made["steps"] = [{name: _text(step.get(name)) for name in ("action", "data", "result")} for step in steps]
    if gherkin:
        made["gherkin_def"] = gherkin
    if unstructured:
        made["unstructured_def"] = unstructured
    if not (steps or gherkin or unstructured):
        left_out.append("steps or a definition: the backup has none")
    if folder:
        made["xray_test_repository_folder"] = folder
    left_out += _left_out(value, steps)
    return BulkTest(made, tuple(left_out))


def _left_out(value: dict[str, Any], steps: list[dict[str, Any]]) -> Iterator[str]:
    if any(True for _ in attachments_of(value)):
        yield "attachments of steps"
    if any(step.get(name) for step in steps for name in _CALLS):
        yield "calls of other tests"
    if any(step.get("customFields") for step in steps):
        yield "custom fields of steps"
    if value.get("preconditions"):
        yield "preconditions"


def attachments_of(test: Any) -> Iterator[StepAttachment]:
    """Yield the files that the steps of a test name, each once."""
    seen = set()
    stack: list[Any] = [test.get("steps") if isinstance(test, dict) else None]
    while stack:
        each = stack.pop()
        if isinstance(each, list):
            stack += reversed(each)
        elif isinstance(each, dict):
            for found in map(_attachment, _list(each.get("attachments"))):
                if found is not None and found.id not in seen:
                    seen.add(found.id)
                    yield found
            stack += [inner for name, inner in reversed(each.items()) if name != "attachments"]


def folders_of(repository: Any) -> Iterator[tuple[str, str]]:
    """Yield the tests of a test repository, each with the path of its folder.

    :param repository: a folder with its ``path``, or a tree of folders with names
    """
    stack: list[tuple[str, Any]] = [("", repository)]
    while stack:
        above, folder = stack.pop()
        if not isinstance(folder, dict):
            continue
        path, name = folder.get("path"), folder.get("name")
        here = path if isinstance(path, str) and path else f"{above}/{name}" if isinstance(name, str) else above
        for test in (test for lists in TEST_LISTS for test in _list(folder.get(lists))):
            found = _id_of(test)
            if found is not None and here.strip("/"):
                yield found, "/" + here.strip("/")
        stack += [(here, child) for lists in _CHILDREN for child in _list(folder.get(lists))]


def _attachment(value: Any) -> StepAttachment | None:
    found = _id_of(value)
    if found is None:
        return None
    return StepAttachment(found, _first_text(value, _FILENAMES) or None if isinstance(value, dict) else None)


def _id_of(value: Any) -> str | None:
    candidates: Iterable[Any] = [value.get(name) for name in ID_FIELDS] if isinstance(value, dict) else [value]
    found = (str(each) for each in candidates if isinstance(each, (str, int)) and not isinstance(each, bool))
    return next((each for each in found if each), None)


def _type_of(value: dict[str, Any]) -> str | None:
    for name in ("type", "testType", "testtype"):
        kind = value.get(name)
        if isinstance(kind, dict):
            kind = kind.get("name")
        if isinstance(kind, str) and kind.strip():
            return kind
    return None


def _first_text(value: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((text for name in names if (text := _text(value.get(name)))), "")


def _text(value: Any) -> str:
    """Return a value as text; what is more than text, such as a document of Jira's editor, as its JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
