"""How an account stands, in one word: what is told apart, and which word is the worst."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.checks import Check, append_check
from airflow_provider_xbackup.vault.conditions import Condition, stand
from airflow_provider_xbackup.vault.overview import look
from airflow_provider_xbackup.vault.records import Tombstone
from airflow_provider_xbackup.vault.status import AccountName, Promise

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FRESH = "20261123T014500Z-full-1a2b3c4d"
OLD = "20261120T014500Z-full-0a2b3c4d"
PROMISE = Promise((), timedelta(hours=26))


def checked(vault: Vault, backup: Any, *, code: str | None = None) -> None:
    finding = {"code": code or "", "text": "It is not what it was.", "kind": "error"}
    record = {
        "at": NOW - timedelta(minutes=1),
        "vault": str(vault.url.without_connection),
        "level": "digest",
        "reached": "digest",
        "passed": code is None,
        "findings": [finding] if code else [],
        "objects": 1,
        "bytes": 9,
        "producer": {"package_version": "0.1.0"},
    }
    append_check(vault.store, backup.path, Check.model_validate(record))


def conditions(vault: Vault, promise: Promise = PROMISE) -> list[Condition]:
    (standing,) = stand(look(vault, NOW), promise, NOW)
    return [condition for condition, _ in standing.found]


def verified(vault: Vault, take: Callable[..., Any]) -> None:
    checked(vault, take(vault))


def late(vault: Vault, take: Callable[..., Any]) -> None:
    checked(vault, take(vault, backup_id=OLD))


def suspect(vault: Vault, take: Callable[..., Any]) -> None:
    take(vault, condition={"state": "suspect", "reasons": ["tests fell from 10 to 1"]})


def incomplete(vault: Vault, take: Callable[..., Any]) -> None:
    take(vault, condition={"state": "incomplete", "reasons": ["Attachments are missing."]})


def failed_check(vault: Vault, take: Callable[..., Any]) -> None:
    checked(vault, take(vault), code="wrong-digest")


def fell(vault: Vault, take: Callable[..., Any]) -> None:
    checked(vault, take(vault), code="drop")


def lost_file(vault: Vault, take: Callable[..., Any]) -> None:
    backup = take(vault)
    vault.store.delete(backup.path.file(backup.manifest.artifacts[0].name))


def damaged_manifest(vault: Vault, take: Callable[..., Any]) -> None:
    vault.store.put(take(vault).path.manifest, b"{", media_type="application/json")


def nothing_in_it(vault: Vault, take: Callable[..., Any]) -> None:
    checked(vault, take(vault, entities={"tests": 0}))


def all_expired(vault: Vault, take: Callable[..., Any]) -> None:
    backup = take(vault)
    vault.store.create(backup.path.tombstone, Tombstone(at=NOW, why="no rule keeps it").to_json())


@pytest.mark.parametrize(
    ("arrange", "found"),
    [
        pytest.param(verified, [], id="verified and new"),
        pytest.param(lambda vault, take: take(vault), ["unverified"], id="never checked"),
        pytest.param(late, ["late"], id="older than promised"),
        pytest.param(suspect, ["suspect", "late"], id="suspect"),
        pytest.param(incomplete, ["damaged", "late"], id="incomplete"),
        pytest.param(failed_check, ["damaged", "late"], id="the newest check failed"),
        pytest.param(fell, ["suspect", "late"], id="a check found that it fell"),
        pytest.param(lost_file, ["damaged", "late"], id="a file is gone"),
        pytest.param(damaged_manifest, ["damaged"], id="the manifest is damaged"),
        pytest.param(nothing_in_it, ["empty"], id="there is nothing in it"),
        pytest.param(all_expired, ["empty"], id="all have expired"),
    ],
)
def test_what_is_wrong_with_an_account_is_told_apart_the_worst_first(
    local: Vault, take, arrange: Callable[..., None], found: list[str]
):
    arrange(local, take)

    assert conditions(local) == found


def test_an_account_that_is_expected_and_was_never_backed_up_is_told(local: Vault):
    local.prepare()

    (standing,) = stand(look(local, NOW), Promise((AccountName("xray", "acme"),)), NOW)

    assert standing.condition is Condition.NEVER
    assert "xray/acme" in standing.found[0][1]


def test_a_damaged_backup_is_not_the_newest_whole_one(local: Vault, take):
    checked(local, take(local, backup_id="20261122T204500Z-full-1a2b3c4e"))
    failed_check(local, take)

    (standing,) = stand(look(local, NOW), PROMISE, NOW)

    assert standing.condition is Condition.DAMAGED
    assert standing.status.newest is not None
    assert standing.status.newest.backup_id == "20261122T204500Z-full-1a2b3c4e"
    assert standing.status.last is not None
    assert standing.status.last.backup_id == FRESH


def test_the_next_look_reads_only_what_is_new(local: Vault, take, monkeypatch: pytest.MonkeyPatch):
    checked(local, take(local, backup_id=OLD))
    first = look(local, NOW)
    checked(local, take(local))
    read: list[str] = []
    original = local.store.read
    monkeypatch.setattr(local.store, "read", lambda path: (read.append(path), original(path))[1])

    second = look(local, NOW, first)

    assert [seen.backup_id for seen in second.backups] == [FRESH, OLD]
    assert all(FRESH in path for path in read)


def test_a_new_check_of_an_old_backup_is_noticed(local: Vault, take):
    backup = take(local)
    first = look(local, NOW)
    checked(local, backup)

    assert [seen.verified for seen in first.backups] == [False]
    assert [seen.verified for seen in look(local, NOW, first).backups] == [True]
