"""The records beside a manifest, as files."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from airflow_provider_xbackup.vault.checks import Check
from airflow_provider_xbackup.vault.errors import RecordError
from airflow_provider_xbackup.vault.record_schema import json_schema
from airflow_provider_xbackup.vault.records import Acceptance, Hold, Record, Tombstone

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "records.schema.json"
NOW = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
RECORDS = [
    pytest.param(Acceptance(who="ada", why="split", at=NOW), id="acceptance"),
    pytest.param(Hold(who="ada", why="audit", at=NOW), id="hold"),
    pytest.param(Tombstone(at=NOW, why="not kept"), id="tombstone"),
    pytest.param(
        Check.model_validate(
            {"at": NOW, "vault": "file:///v", "level": "digest", "reached": "digest", "passed": True, "objects": 1,
             "bytes": 9, "producer": {"package_version": "1"}}
        ),
        id="check",
    ),
]  # fmt: skip


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_is_valid_by_the_published_schema_and_comes_back_as_it_was(record: Record) -> None:
    written = record.to_json()
    jsonschema.Draft202012Validator(json_schema()).validate(json.loads(written))
    assert type(record).from_json(written) == record


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_of_a_later_minor_version_is_read_and_of_a_major_one_is_not(record: Record) -> None:
    value: dict[str, Any] = record.to_dict()
    later = {**value, "schema": f"{value['schema']}.7", "later": {"x": 1}}
    type(record).from_json(json.dumps(later).encode())
    with pytest.raises(RecordError, match="schema"):
        type(record).from_json(json.dumps({**value, "schema": value["schema"].replace("v1", "v2")}).encode())


def test_the_published_schema_is_up_to_date() -> None:
    # To renew it: python -m airflow_provider_xbackup.vault.record_schema > docs/records.schema.json
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert json.loads(SCHEMA_FILE.read_text()) == json_schema()
