from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from airflow_provider_xbackup.vault import Manifest
from airflow_provider_xbackup.vault.errors import ManifestError
from airflow_provider_xbackup.vault.manifest import json_schema

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "manifest.schema.json"


def fields(**changes: Any) -> dict[str, Any]:
    return {
        "service": "xray",
        "account": "acme",
        "backup_id": "20261123T014500Z-partial-1a2b3c4d",
        "kind": "partial",
        "modified_since": datetime(2026, 11, 22, 2, 45, tzinfo=timezone(timedelta(hours=1))),
        "base": "20261120T014500Z-full-00000000",
        "scope": {"project_ids": ["10042"], "attachments": True},
        "requested_at": datetime(2026, 11, 23, 1, 45, tzinfo=UTC),
        "completed_at": datetime(2026, 11, 23, 1, 50, 0, 120_000, tzinfo=UTC),
        "condition": {"state": "incomplete", "reasons": ["the attachments are missing"]},
        "remote": {"job_id": "j", "host": "xray.example", "etag": '"e"', "last_modified": None},
        "artifacts": [
            {
                "name": "backup.01234567.zip",
                "role": "backup",
                "size": 9,
                "sha256": "0" * 64,
                "stored_size": 9,
                "stored_sha256": "0" * 64,
                "media_type": "application/zip",
            }
        ],
        "entities": {"tests": 3},
        "producer": {"package_version": "0.1.0", "map_index": -1},
        **changes,
    }


def test_a_manifest_survives_its_file() -> None:
    manifest = Manifest.model_validate(fields())
    data = manifest.to_json()
    assert Manifest.from_json(data) == manifest
    assert Manifest.from_json(data).to_json() == data


def test_instants_are_written_in_utc() -> None:
    written = json.loads(Manifest.model_validate(fields()).to_json())
    assert written["modified_since"] == "2026-11-22T01:45:00Z"
    assert written["completed_at"] == "2026-11-23T01:50:00.120000Z"


def test_the_file_has_exactly_the_fields_of_the_format() -> None:
    written = json.loads(Manifest.model_validate(fields()).to_json())
    assert written["schema"] == "xbackup/manifest/v1"
    assert list(written) == [
        "schema", "service", "account", "backup_id", "kind", "modified_since", "base", "scope", "requested_at",
        "completed_at", "condition", "remote", "artifacts", "entities", "projects", "producer",
    ]  # fmt: skip


def test_the_file_is_valid_by_its_own_schema() -> None:
    written = json.loads(Manifest.model_validate(fields()).to_json())
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.Draft202012Validator(json_schema()).validate(written)


def test_the_published_schema_is_up_to_date() -> None:
    # To renew it: python -m airflow_provider_xbackup.vault.manifest > docs/manifest.schema.json
    assert json.loads(SCHEMA_FILE.read_text()) == json_schema()


def test_unknown_fields_and_minor_versions_are_read_over() -> None:
    written = json.loads(Manifest.model_validate(fields()).to_json())
    written |= {"schema": "xbackup/manifest/v1.7", "later": {"x": 1}}
    written["artifacts"][0]["blake3"] = "?"
    assert Manifest.from_json(json.dumps(written).encode()).account == "acme"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        pytest.param({"schema": "xbackup/manifest/v2"}, "version 1", id="a later major version"),
        pytest.param({"schema": "restic/1"}, "not one of xbackup", id="another program's"),
        pytest.param({"schema": None}, "not one of xbackup", id="no schema"),
        pytest.param({"account": None}, "account", id="a field of another type"),
        pytest.param({"requested_at": "2026-11-23T01:45:00"}, "requested_at", id="no time zone"),
        pytest.param({"requested_at": "0001-01-01T00:00:00+01:00"}, "calendar", id="before the calendar"),
        pytest.param({"artifacts": []}, "artifacts", id="no artifacts"),
    ],
)
def test_a_manifest_that_cannot_be_meant_is_refused(change: dict[str, Any], word: str) -> None:
    written = json.loads(Manifest.model_validate(fields()).to_json()) | change
    with pytest.raises(ManifestError, match=word):
        Manifest.from_json(json.dumps(written).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_damaged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ManifestError):
        Manifest.from_json(data)


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "", "a\\b", "a\nb"])
def test_an_artifact_cannot_lie_outside_its_folder(name: str) -> None:
    artifact = fields()["artifacts"][0] | {"name": name}
    with pytest.raises(ValidationError):
        Manifest.model_validate(fields(artifacts=[artifact]))


def test_a_manifest_cannot_be_changed() -> None:
    manifest = Manifest.model_validate(fields())
    with pytest.raises(ValidationError):
        manifest.account = "other"  # type: ignore[misc]
