from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_xbackup.tasks.arguments import is_literal


class Later:
    """What Airflow fills in when the task runs."""

    def iter_references(self) -> Any:
        return iter(())


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        pytest.param("acme", True, id="text"),
        pytest.param("{{ var.value.x }}", False, id="template"),
        pytest.param("s3://x/{% if a %}b{% endif %}", False, id="template block"),
        pytest.param(None, True, id="None"),
        pytest.param(["1", "2"], True, id="list"),
        pytest.param(["1", "{{ x }}"], False, id="list with a template"),
        pytest.param(("1", Later()), False, id="tuple with an output"),
        pytest.param({"a": {"b": "{{ x }}"}}, False, id="nested template"),
        pytest.param(Later(), False, id="output of a task"),
        pytest.param(ObjectStoragePath("file:///srv/x"), True, id="path"),
        pytest.param(ObjectStoragePath("file:///srv/{{ ds }}"), False, id="path with a template"),
        pytest.param(SimpleNamespace(resolve=1), True, id="anything else"),
    ],
)
def test_what_is_known_when_the_dag_is_parsed(value: Any, literal: bool):
    assert is_literal(value) is literal
