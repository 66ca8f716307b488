"""The few GraphQL queries that count what a tenant holds."""

from __future__ import annotations

import json
import re
from typing import Any

from airflow_provider_xbackup.simulator.data import TenantData

_ENTITIES = {
    "getTests": "tests",
    "getTestSets": "testSets",
    "getTestPlans": "testPlans",
    "getPreconditions": "preconditions",
    "getTestExecutions": "testExecutions",
}
_OPERATION = re.compile(r"\s*(?:query\b\s*\w*\s*(?:\([^)]*\))?\s*)?\{(?P<fields>.*)\}\s*", re.DOTALL)
_FIELD = re.compile(
    r"[\s,]*(?:(?P<alias>\w+)\s*:\s*)?(?P<name>\w+)\s*(?:\((?P<arguments>[^)]*)\))?\s*"
    r"(?:\{(?P<selection>[^{}]*)\})?"
)
_ARGUMENT = re.compile(r'(?P<name>\w+)\s*:\s*(?P<value>"(?:[^"\\]|\\.)*"|\$\w+|-?\d+|\w+)')
_LARGEST_LIMIT = 100


class QueryError(Exception):
    """A query that cannot be answered; the text is the GraphQL message."""


def totals(
    query: str, variables: dict[str, Any], data: TenantData, *, counts_tenant: bool = True
) -> dict[str, dict[str, int]]:
    """Answer a query for totals.

    :param query: one or more fields such as ``a: getTests(projectId: "10042", limit: 1) { total }``
    :param variables: values of ``$names`` in the query
    :param data: what is counted
    :param counts_tenant: all projects are counted where a field names none, or that is refused
    :raises QueryError: on anything else
    """
    operation = _OPERATION.fullmatch(query)
    if operation is None:
        raise QueryError("Syntax Error: Expected a query.")
    answer, position, fields = {}, 0, operation["fields"].strip()
    while position < len(fields):
        found = _FIELD.match(fields, position)
        if found is None:
            raise QueryError(f"Syntax Error: Unexpected {fields[position : position + 10]!r}.")
        answer[found["alias"] or found["name"]] = {"total": _total(found, variables, data, counts_tenant)}
        position = found.end()
    if not answer:
        raise QueryError("Syntax Error: Expected Name, found }.")
    return answer


def _total(found: re.Match[str], variables: dict[str, Any], data: TenantData, counts_tenant: bool) -> int:
    name = found["name"]
    if name not in _ENTITIES:
        raise QueryError(f'Cannot query field "{name}" on type "Query".')
    if (found["selection"] or "").split() != ["total"]:
        raise QueryError(f'Only the total of "{name}" can be queried here.')
    arguments = {
        argument["name"]: _value(argument["value"], variables)
        for argument in _ARGUMENT.finditer(found["arguments"] or "")
    }
    limit = arguments.get("limit")
    if not isinstance(limit, int) or not 1 <= limit <= _LARGEST_LIMIT:
        raise QueryError(f"The limit must be between 1 and {_LARGEST_LIMIT}.")
    project = arguments.get("projectId")
    if project is None and not counts_tenant:
        raise QueryError(f'"{name}" needs a projectId or a jql.')
    projects = data.settings.projects if project is None else (str(project),)
    return sum(data.count(each, _ENTITIES[name]) for each in projects)


def _value(text: str, variables: dict[str, Any]) -> Any:
    if text.startswith("$"):
        return variables.get(text[1:])
    try:
        return json.loads(text)
    except ValueError:
        return text
