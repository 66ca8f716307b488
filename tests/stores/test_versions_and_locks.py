"""Buckets that keep versions, and buckets that lock them: what a delete hides, and what nobody can destroy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from kinds import PREFIX, S3, policy

from airflow_provider_xbackup.vault import RetentionPolicy, Vault
from airflow_provider_xbackup.vault.errors import ObjectExistsError
from airflow_provider_xbackup.vault.expire import apply_retention
from airflow_provider_xbackup.vault.undelete import find_removed, undelete_versions

row = pytest.mark.row
IDS = ("20261122T014500Z-full-1a2b3c4d", "20261123T014500Z-full-1a2b3c4d")
ONE = RetentionPolicy(keep_last=1, max_delete_fraction=1.0, min_verified=0)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def versioned(kind: S3, need: Callable[..., None]) -> str:
    need("versions")
    return kind.new_bucket(versions=True)


@pytest.fixture
def locking(kind: S3, need: Callable[..., None]) -> str:
    need("locks")
    return kind.new_bucket(lock=True)


@row("versioned bucket: every write is a version, a delete hides")
def test_a_versioned_bucket_keeps_what_was_there(
    kind: S3, versioned: str, open_vault: Callable[..., Vault]
) -> None:
    store = open_vault(versioned).store
    first, second = store.put("a", b"1"), store.put("a", b"2")
    large = store.put_stream("b", [b"x" * (11 << 20)])
    store.delete("a")

    assert first.version_id != second.version_id
    assert first.version_id
    assert large.version_id
    versions, markers = kind.versions(versioned, "a")
    assert set(versions) == {first.version_id, second.version_id}
    assert len(markers) == 1
    assert not store.exists("a")
    assert [found.path for found in store.list()] == ["b"]


@row("versioned bucket: create-only")
def test_what_exists_in_a_versioned_bucket_is_not_created_again(
    kind: S3, versioned: str, open_vault: Callable[..., Vault], outcome_note: Callable[[str], None]
) -> None:
    if "conditions on versions" in kind.lacks:
        outcome_note(f"{kind.lacks['conditions on versions']}: of two creators at the same instant both may win")
    store = open_vault(versioned).store
    store.create("m.json", b"first")
    with pytest.raises(ObjectExistsError):
        store.create("m.json", b"second")
    assert store.read("m.json") == b"first"
    store.delete("m.json")
    store.create("m.json", b"after a removal")
    assert store.read("m.json") == b"after a removal"


@row("versioned bucket: removed is hidden, bytes remain, undelete --versions brings it back")
@pytest.mark.parametrize("lock", [False, True], ids=["versions", "versions and Object Lock"])
def test_what_was_removed_from_a_versioned_bucket_comes_back(
    kind: S3, need: Callable[..., None], open_vault: Callable[..., Vault], store_backup: Callable[..., Any],
    lock: bool,
) -> None:  # fmt: skip
    need(*("locks", "lock queries") if lock else ("versions",))
    vault = open_vault(kind.new_bucket(versions=not lock, lock=lock))
    old, _ = (store_backup(vault, backup_id, blocks=[b"x" * 1000]) for backup_id in IDS)
    apply_retention(vault, ONE, now=now())

    applied = apply_retention(vault, ONE, now=now() + timedelta(days=4))

    assert applied.removed == (old.path,)
    assert applied.hidden
    assert [backup.backup_id for backup in vault.backups()] == [IDS[1]]
    assert find_removed(vault, IDS[0]) == old.path
    hidden = {each.path: each for each in vault.store.versions.hidden(old.path.folder)}
    assert vault.store.versions.read(hidden[old.path.manifest]) == old.manifest.to_json()
    undelete_versions(vault, old.path, who="ada", why="needed", now=now())
    assert {backup.backup_id for backup in vault.backups()} == set(IDS)
    assert vault.store.read(old.path.file(old.manifest.artifacts[0].name)) == b"x" * 1000


@row("Object Lock, governance: nobody destroys it without asking to bypass the lock")
def test_a_version_in_governance_mode_goes_only_where_bypassing_is_asked_for(
    kind: S3, locking: str, open_vault: Callable[..., Vault]
) -> None:
    store = open_vault(locking).store
    which = locked(kind, locking, store.put("a", b"locked"), "GOVERNANCE")

    with pytest.raises(ClientError, match="AccessDenied"):
        kind.s3.delete_object(**which)
    store.delete("a")
    assert kind.versions(locking, "a")[0] == [which["VersionId"]]
    kind.s3.delete_object(**which, BypassGovernanceRetention=True)
    assert kind.versions(locking, "a")[0] == []


@row("Object Lock, governance: who asks to bypass it without the right destroys nothing")
def test_a_version_in_governance_mode_stays_for_who_has_no_right_to_bypass(
    kind: S3, need: Callable[..., None], locking: str, open_vault: Callable[..., Vault]
) -> None:
    need("bypass rights")

    assert_destroys_unlocked_versions_alone(kind, locking, open_vault(locking), may_destroy(kind, locking))


@row("Object Lock, governance: who asks to bypass it and is denied to destroys nothing")
def test_a_version_in_governance_mode_stays_for_who_is_denied_to_bypass(
    kind: S3, need: Callable[..., None], locking: str, open_vault: Callable[..., Vault]
) -> None:
    need("bypass denials")
    allowed = may_destroy(kind, locking)
    places = [f"arn:aws:s3:::{locking}", f"arn:aws:s3:::{locking}/*"]
    denied = {**allowed, "Effect": "Deny", "Action": "s3:BypassGovernanceRetention", "Resource": places}

    assert_destroys_unlocked_versions_alone(kind, locking, open_vault(locking), allowed, denied)


def may_destroy(kind: S3, bucket: str) -> dict[str, Any]:
    """The statement that somebody may destroy versions."""
    actions = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
    who = {"AWS": kind.user("someone")}
    return {"Effect": "Allow", "Principal": who, "Action": actions, "Resource": f"arn:aws:s3:::{bucket}/*"}


def assert_destroys_unlocked_versions_alone(kind: S3, bucket: str, vault: Vault, *statements: Any) -> None:
    """Demand it of somebody of whom a bucket's policy says this."""
    someone = kind.client_of(kind.make_user("someone"))
    kind.s3.put_bucket_policy(Bucket=bucket, Policy=policy(*statements))
    which = locked(kind, bucket, vault.store.put("a", b"locked"), "GOVERNANCE")
    free = {**which, "VersionId": vault.store.put("a", b"not locked").version_id}

    someone.delete_object(**free)
    with pytest.raises(ClientError, match="AccessDenied"):
        someone.delete_object(**which, BypassGovernanceRetention=True)

    assert kind.versions(bucket, "a")[0] == [which["VersionId"]]


@row("Object Lock, compliance: nobody destroys it")
def test_a_version_in_compliance_mode_stays(kind: S3, locking: str, open_vault: Callable[..., Vault]) -> None:
    store = open_vault(locking).store
    which = locked(kind, locking, store.put("a", b"locked"), "COMPLIANCE")

    with pytest.raises(ClientError, match="AccessDenied"):
        kind.s3.delete_object(**which, BypassGovernanceRetention=True)
    store.put("a", b"over it")
    store.delete("a")
    assert which["VersionId"] in kind.versions(locking, "a")[0]
    assert kind.s3.get_object(**which)["Body"].read() == b"locked"


@row("Object Lock, compliance: nobody shortens it")
def test_a_lock_in_compliance_mode_is_not_shortened(
    kind: S3, need: Callable[..., None], locking: str, open_vault: Callable[..., Vault]
) -> None:
    need("lasting locks")
    store = open_vault(locking).store
    which = locked(kind, locking, store.put("a", b"locked"), "COMPLIANCE")
    tomorrow = {"Mode": "COMPLIANCE", "RetainUntilDate": now() + timedelta(days=1)}

    with pytest.raises(ClientError, match="AccessDenied"):
        kind.s3.put_object_retention(**which, Retention=tomorrow, BypassGovernanceRetention=True)

    assert kind.s3.head_object(**which)["ObjectLockRetainUntilDate"] > now() + timedelta(days=6)


@row("Object Lock: a legal hold keeps a version until it is taken away")
def test_a_legal_hold_keeps_a_version(kind: S3, locking: str, open_vault: Callable[..., Vault]) -> None:
    store = open_vault(locking).store
    which = {"Bucket": locking, "Key": f"{PREFIX}/a", "VersionId": store.put("a", b"held").version_id}
    kind.s3.put_object_legal_hold(**which, LegalHold={"Status": "ON"})

    with pytest.raises(ClientError, match="AccessDenied"):
        kind.s3.delete_object(**which, BypassGovernanceRetention=True)
    store.delete("a")
    assert kind.s3.get_object(**which)["Body"].read() == b"held"
    kind.s3.put_object_legal_hold(**which, LegalHold={"Status": "OFF"})
    kind.s3.delete_object(**which)
    assert kind.versions(locking, "a")[0] == []


def locked(kind: S3, bucket: str, stored: Any, mode: str) -> dict[str, str]:
    """Lock an object for a week, as its owner does; returns how the version is named."""
    which = {"Bucket": bucket, "Key": f"{PREFIX}/{stored.path}", "VersionId": stored.version_id}
    retention = {"Mode": mode, "RetainUntilDate": now() + timedelta(days=7)}
    kind.s3.put_object_retention(**which, Retention=retention)
    return which
