"""Which full backup others are compared with and built on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.chain import find_base, newest_reliable_full
from airflow_provider_xbackup.vault.checks import Check
from airflow_provider_xbackup.vault.manifest import Scope

OLDER, NEWER = "20261121T014500Z-full-1a2b3c4d", "20261122T014500Z-full-1a2b3c4d"
SUSPECT = {"state": "suspect", "reasons": ["fell by 90 %"]}


@pytest.fixture
def older(local: Vault, take) -> Any:
    return take(local, backup_id=OLDER)


def newest(vault: Vault, scope: Scope = Scope()) -> str | None:  # noqa: B008 - immutable
    found = newest_reliable_full(vault.backups("xray", "acme"), scope)
    return None if found is None else found.backup_id


def test_an_empty_vault_has_none(local: Vault) -> None:
    assert newest(local) is None


def test_the_newest_is_taken(local: Vault, take, older) -> None:
    take(local, backup_id=NEWER)

    assert newest(local) == NEWER


@pytest.mark.parametrize(
    ("backup_id", "fields"),
    [
        pytest.param(NEWER.replace("full", "partial"), {"base": OLDER}, id="a partial"),
        pytest.param(NEWER, {"scope": {"project_ids": ["1"]}}, id="another scope"),
        pytest.param(NEWER, {"condition": SUSPECT}, id="a suspect"),
        pytest.param(NEWER, {"condition": {"state": "incomplete"}}, id="an incomplete one"),
        pytest.param(
            f"{datetime.now(UTC) + timedelta(days=2):%Y%m%dT%H%M%SZ}-full-0000000f", {}, id="of the future"
        ),
    ],
)
def test_what_cannot_be_relied_on_is_passed_over(local: Vault, take, older, backup_id: str, fields) -> None:
    take(local, backup_id=backup_id, **fields)

    assert newest(local) == OLDER


def test_an_expired_one_is_passed_over(local: Vault, take, older) -> None:
    local.store.create(take(local, backup_id=NEWER).path.tombstone, b"{}")

    assert newest(local) == OLDER


@pytest.mark.parametrize(
    ("mark", "fields"),
    [
        pytest.param("hold", {}, id="held"),
        pytest.param("accepted", {"condition": SUSPECT}, id="a suspect that a person accepted"),
    ],
)
def test_marks_that_speak_for_a_backup_count(local: Vault, take, older, mark: str, fields) -> None:
    backup = take(local, backup_id=NEWER, **fields)
    local.store.create(getattr(backup.path, mark), b"{}")

    assert newest(local) == NEWER


@pytest.mark.parametrize(("days", "found"), [(7, True), (1, False)])
def test_a_base_is_the_newest_reliable_full_while_it_is_young(
    local: Vault, take, older, days: int, found: bool
) -> None:
    take(local, backup_id=NEWER, condition=SUSPECT)
    now = older.manifest.requested_at + timedelta(days=2)

    assert base_of(local, now=now, full_every=timedelta(days=days)) == (OLDER if found else None)


def base_of(vault: Vault, **arguments: Any) -> str | None:
    defaults = {"now": datetime(2026, 11, 23, tzinfo=UTC), "full_every": timedelta(days=7)}
    base = find_base(vault.backups(), Scope(), **defaults | arguments)
    return None if base is None else base.backup_id


def check(at: Vault, backup: Any, *codes: str, minute: int = 0, **fields: Any) -> None:
    """Write the record of a check that found these errors."""
    findings = [{"code": code, "text": "because"} for code in codes]
    record = {
        "at": datetime(2026, 11, 22, 12, minute, tzinfo=UTC),
        "vault": str(at.url.without_connection),
        "level": "content",
        "reached": "content",
        "passed": not codes,
        "findings": findings,
        "objects": 1,
        "bytes": 1,
        "producer": {"package_version": "1"},
    }
    path = backup.path.check(record["at"], f"{minute:08x}")
    at.store.create(path, Check.model_validate(record | fields).to_json())


def test_a_full_with_a_missing_file_is_no_base(local: Vault, take, older) -> None:
    newer = take(local, backup_id=NEWER)
    local.store.delete(newer.path.file(newer.manifest.artifacts[0].name))

    assert base_of(local) == OLDER


def test_a_full_whose_newest_check_failed_is_no_base(local: Vault, take, older) -> None:
    newer = take(local, backup_id=NEWER)
    check(local, newer)
    assert base_of(local) == NEWER

    check(local, newer, "wrong-digest", minute=1)
    assert base_of(local) == OLDER

    check(local, newer, minute=2)
    assert base_of(local) == NEWER


def test_a_check_that_failed_in_another_vault_says_nothing(local: Vault, take, older) -> None:
    check(local, take(local, backup_id=NEWER), "wrong-digest", vault="s3://other")

    assert base_of(local) == NEWER


def test_a_check_that_cannot_be_read_speaks_against_a_base(local: Vault, take, older) -> None:
    newer = take(local, backup_id=NEWER)
    local.store.create(newer.path.check(datetime(2026, 11, 22, 12, tzinfo=UTC), "0000000a"), b"no JSON")

    assert base_of(local) == OLDER


@pytest.mark.parametrize(
    ("codes", "found"),
    [
        pytest.param(["drop"], NEWER, id="a fall"),
        pytest.param(["drop", "wrong-digest"], OLDER, id="a fall and damage"),
    ],
)
def test_a_persons_word_goes_over_what_a_check_judged_and_not_over_damage(
    local: Vault, take, older, codes: list[str], found: str
) -> None:
    newer = take(local, backup_id=NEWER)
    check(local, newer, *codes)
    assert base_of(local) == OLDER

    local.store.create(newer.path.accepted, b"{}")
    assert base_of(local) == found
