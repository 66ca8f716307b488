"""Buckets that keep versions, and buckets that lock them: what a delete hides, and what nobody can destroy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from kinds import PREFIX, S3

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
    need("locks" if lock else "versions")
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


@row("Object Lock, governance: who may bypass it destroys, nobody else does")
def test_a_version_in_governance_mode_goes_only_with_the_right_to_bypass(
    kind: S3, locking: str, open_vault: Callable[..., Vault]
) -> None:
    store = open_vault(locking).store
    key, version = f"{PREFIX}/a", lock(kind, locking, store.put("a", b"locked"), "GOVERNANCE")

    with pytest.raises(ClientError, match="AccessDenied"):
        kind.s3.delete_object(Bucket=locking, Key=key, VersionId=version)
    store.delete("a")
    assert kind.versions(locking, "a")[0] == [version]
    kind.s3.delete_object(Bucket=locking, Key=key, VersionId=version, BypassGovernanceRetention=True)
    assert kind.versions(locking, "a")[0] == []


@row("Object Lock, compliance: nobody destroys it, nobody shortens it")
def test_a_version_in_compliance_mode_stays(kind: S3, locking: str, open_vault: Callable[..., Vault]) -> None:
    store = open_vault(locking).store
    key, version = f"{PREFIX}/a", lock(kind, locking, store.put("a", b"locked"), "COMPLIANCE")
    which = {"Bucket": locking, "Key": key, "VersionId": version}
    tomorrow = {"Mode": "COMPLIANCE", "RetainUntilDate": now() + timedelta(days=1)}

    with pytest.raises(ClientError, match="AccessDenied"):
        kind.s3.delete_object(**which, BypassGovernanceRetention=True)
    if kind.column != "moto":  # which lets a lock be shortened
        with pytest.raises(ClientError, match="AccessDenied"):
            kind.s3.put_object_retention(**which, Retention=tomorrow, BypassGovernanceRetention=True)
    store.put("a", b"over it")
    store.delete("a")
    assert version in kind.versions(locking, "a")[0]
    assert kind.s3.get_object(**which)["Body"].read() == b"locked"


@row("Object Lock: a legal hold keeps a version until it is taken away")
def test_a_legal_hold_keeps_a_version(kind: S3, locking: str, open_vault: Callable[..., Vault]) -> None:
    store = open_vault(locking).store
    which = {"Bucket": locking, "Key": f"{PREFIX}/a", "VersionId": store.put("a", b"held").version_id}
    kind.s3.put_object_legal_hold(**which, LegalHold={"Status": "ON"})

    assert store.locks.look("a").legal_hold
    with pytest.raises(ClientError, match="AccessDenied"):
        kind.s3.delete_object(**which, BypassGovernanceRetention=True)
    store.delete("a")
    assert kind.s3.get_object(**which)["Body"].read() == b"held"
    kind.s3.put_object_legal_hold(**which, LegalHold={"Status": "OFF"})
    kind.s3.delete_object(**which)
    assert kind.versions(locking, "a")[0] == []


def lock(kind: S3, bucket: str, stored: Any, mode: str) -> str:
    """Lock an object for a week, as its owner does."""
    kind.s3.put_object_retention(
        Bucket=bucket, Key=f"{PREFIX}/{stored.path}", VersionId=stored.version_id,
        Retention={"Mode": mode, "RetainUntilDate": now() + timedelta(days=7)},
    )  # fmt: skip
    version: str = stored.version_id
    return version
