"""Check records, and which backups count as verified."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.checks import Check, CheckFinding, Level, is_verified, read_checks, write_check
from airflow_provider_xbackup.vault.errors import ObjectMissingError, RecordError

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SUSPECT = {"state": "suspect", "reasons": ["tests fell from 100 to 1"]}
INCOMPLETE = {"state": "incomplete", "reasons": ["no attachments"]}


def check(local: Vault, /, hours: float = 0, **fields: Any) -> Check:
    passed = fields.get("passed", True)
    values = {
        "at": NOON + timedelta(hours=hours),
        "vault": str(local.url.without_connection),
        "level": "digest",
        "reached": "digest",
        "passed": passed,
        "findings": () if passed else (CheckFinding(code="stored-digest", text="other bytes"),),
        "objects": 1,
        "bytes": 9,
        "producer": {"package_version": "0.1.0"},
        **fields,
    }
    return Check.model_validate(values)


def listed(vault: Vault) -> Any:
    return next(iter(vault.backups()))


def verified(vault: Vault, hours: int = 100) -> bool:
    return is_verified(vault.store, listed(vault), NOON + timedelta(hours=hours))


def test_a_record_is_read_as_it_was_written(vault: Vault, take) -> None:
    backup = take(vault)
    written = check(vault, passed=False, level=Level.CONTENT, reached="presence", entities={"tests": 3})
    path = write_check(vault.store, backup.path, written)
    assert path.startswith(f"{backup.path.folder}/checks/20261124T120000Z-")
    assert list(read_checks(vault.store, listed(vault))) == [written]
    assert json.loads(vault.store.read(path))["schema"] == "xbackup/check/v1"


def test_records_are_read_newest_first(local: Vault, take) -> None:
    backup = take(local)
    for hours in (1, 3, 2):
        write_check(local.store, backup.path, check(local, hours))
    assert [found.at.hour for found in read_checks(local.store, listed(local))] == [15, 14, 13]


def test_no_record_is_written_for_a_backup_that_is_gone(local: Vault, take) -> None:
    backup = take(local)
    local.store.delete(backup.path.manifest)
    with pytest.raises(ObjectMissingError):
        write_check(local.store, backup.path, check(local))
    assert not [found for found in local.store.list() if "/checks/" in found.path]


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        pytest.param([], False, id="never checked"),
        pytest.param([{}], True, id="passed"),
        pytest.param([{"reached": "stored-digest"}], True, id="passed without the key"),
        pytest.param([{"reached": "presence"}], False, id="only looked for the objects"),
        pytest.param([{"reached": "presence", "level": "content"}], False, id="meant to look deeper"),
        pytest.param([{"passed": False}], False, id="failed"),
        pytest.param([{}, {"passed": False, "hours": 1}], False, id="failed since"),
        pytest.param([{}, {"passed": False, "hours": 1, "reached": "none"}], False, id="missing since"),
        pytest.param([{"passed": False}, {"hours": 1}], True, id="passed since"),
        pytest.param([{}, {"reached": "presence", "hours": 1}], True, id="looked for the objects since"),
        pytest.param(
            [{}, {"passed": False, "hours": 1}, {"reached": "presence", "hours": 2}],
            False,
            id="failed, and then only looked for the objects",
        ),
        pytest.param([{}, {"passed": False}], False, id="both at one instant"),
        pytest.param([{"passed": False}, {"hours": 1e-6}], True, id="passed since in the same second"),
        pytest.param([{}, {"passed": False, "hours": 1e-6}], False, id="failed since in the same second"),
        pytest.param([{"vault": "file:///elsewhere"}], False, id="checked elsewhere"),
        pytest.param([{}, {"passed": False, "hours": 1, "vault": "s3://other"}], True, id="failed elsewhere"),
        pytest.param([{"hours": 200}], False, id="passed in the future"),
        pytest.param([{}, {"passed": False, "hours": 200}], False, id="failed in the future"),
    ],
)
def test_a_backup_is_verified_by_its_newest_check_unless_one_failed_since(
    local: Vault, take, checks: list[dict[str, Any]], expected: bool
) -> None:
    backup = take(local)
    for fields in checks:
        write_check(local.store, backup.path, check(local, **fields))
    assert verified(local) is expected


@pytest.mark.parametrize(
    ("fields", "beside", "expected"),
    [
        pytest.param({"condition": SUSPECT}, [], False, id="suspect"),
        pytest.param({"condition": SUSPECT}, ["accepted.json"], True, id="suspect and accepted"),
        pytest.param({"condition": SUSPECT}, ["hold.json"], False, id="suspect and held"),
        pytest.param({"condition": INCOMPLETE}, [], False, id="incomplete"),
        pytest.param({"condition": INCOMPLETE}, ["accepted.json"], False, id="incomplete and accepted"),
        pytest.param({}, ["tombstone.json"], False, id="expired"),
        pytest.param({}, ["hold.json"], True, id="held"),
    ],
)
def test_what_cannot_be_relied_on_is_not_verified_whatever_its_check_says(
    local: Vault, take, fields: dict[str, Any], beside: list[str], expected: bool
) -> None:
    backup = take(local, **fields)
    for name in beside:
        local.store.put(backup.path.file(name), b"{}")
    write_check(local.store, backup.path, check(local))
    assert verified(local) is expected


def test_a_backup_from_the_future_is_not_verified(local: Vault, take) -> None:
    backup = take(local, backup_id="29991123T014500Z-full-1a2b3c4d")
    write_check(local.store, backup.path, check(local))
    assert not verified(local)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"schema": "xbackup/check/v2"}'], ids=["empty", "bare", "other"])
def test_a_record_that_cannot_be_read_proves_nothing(local: Vault, take, data: bytes) -> None:
    backup = take(local)
    write_check(local.store, backup.path, check(local))
    local.store.put(backup.path.check(NOON + timedelta(hours=1), "00000000"), data)
    assert not verified(local)
    with pytest.raises(RecordError, match="cannot be used"):
        list(read_checks(local.store, listed(local)))


def test_a_later_minor_version_is_read(local: Vault, take) -> None:
    backup = take(local)
    value = json.loads(check(local).to_json()) | {"schema": "xbackup/check/v1.3", "mood": "good"}
    local.store.put(backup.path.check(NOON, "00000000"), json.dumps(value).encode())
    assert verified(local)
