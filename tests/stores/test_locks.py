"""Backups that are locked: by the rule, in the order, and as long as they were promised."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kinds import PREFIX, S3, Kind, stores
from servers.proxy import Proxy, Request, When, answer_with

from airflow_provider_xbackup.vault import RetentionPolicy, Vault
from airflow_provider_xbackup.vault.errors import UnlockableStoreError, VaultAccessError
from airflow_provider_xbackup.vault.expire import Outlook, apply_retention, plan_retention
from airflow_provider_xbackup.vault.locks import Lock
from airflow_provider_xbackup.vault.manifest import Producer
from airflow_provider_xbackup.vault.replicate import Outcome, Replication

row = pytest.mark.row
locking_stores = pytest.mark.parametrize("kind", stores("ministack", "radosgw"), indirect=True)
IDS = ("20261122T014500Z-full-1a2b3c4d", "20261123T014500Z-full-1a2b3c4d")
PARTIAL = "20261123T024500Z-partial-1a2b3c4d"
ONE = RetentionPolicy(keep_last=1, max_delete_fraction=1.0, min_verified=0)
NINETY = Lock.of("90d")


def now() -> datetime:
    return datetime.now(UTC)


def is_retention(request: Request) -> bool:
    return request.method == "PUT" and "retention" in request.target


def locks_of(kind: S3, bucket: str) -> dict[str, tuple[str, datetime]]:
    """Mode and end of the lock of every object that has one, by the name inside its backup's folder."""
    found = {}
    for key in kind.keys(bucket):
        head = kind.s3.head_object(Bucket=bucket, Key=key)
        if "ObjectLockMode" in head:
            name = key.removeprefix(f"{PREFIX}/xray/acme/").partition("/")[2]
            found[name] = (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"].astimezone(UTC))
    return found


@pytest.fixture
def bucket(kind: S3) -> str:
    """A bucket that locks its objects."""
    return kind.new_bucket(lock=True)


# -- what is locked ----------------------------------------------------------------------------------------


@row("lock_for: files and manifest are locked from when the files were stored")
@locking_stores
@pytest.mark.parametrize("mode", ["governance", "compliance"])
def test_all_objects_of_a_backup_are_locked_for_so_long(
    kind: S3, vault: Vault, bucket: str, store_backup: Callable[..., Any], mode: str
) -> None:
    backup = store_backup(vault, lock=Lock.of("90d", mode))
    vault.store.put(backup.path.hold, b"{}")

    found = locks_of(kind, bucket)

    name = backup.manifest.artifacts[0].name
    # Ceph's HEAD tells when a lock was set last; the listing, when the file was stored.
    stored = next(each for each in vault.store.list() if each.path == backup.path.file(name)).last_modified
    assert found == dict.fromkeys(
        (name, "manifest.json"), (mode.upper(), stored.replace(microsecond=0) + timedelta(days=90))
    )


@row("lock_for: a bucket or store without locks is refused before anything is written")
def test_what_cannot_lock_is_refused_before_anything_is_written(
    kind: Kind, open_vault: Callable[..., Vault], store_backup: Callable[..., Any]
) -> None:
    plain = kind.new_bucket()

    with pytest.raises(UnlockableStoreError, match="lock_for") as caught:
        store_backup(open_vault(plain), lock=NINETY)

    assert not caught.value.retryable
    assert kind.keys(plain) == []


@row("lock_for: where a lock is refused there is no backup, and where it comes late the retry sets it")
@locking_stores
def test_where_the_files_cannot_be_locked_there_is_no_backup(
    between: Proxy, beyond: Vault, store_backup: Callable[..., Any]
) -> None:
    between.rules.append(When(is_retention, answer_with(403, "AccessDenied"), times=1))

    with pytest.raises(VaultAccessError, match=r"refused to lock .*\.zip"):
        store_backup(beyond, lock=NINETY)

    assert list(beyond.backups()) == []


@row("lock_for: where a lock is refused there is no backup, and where it comes late the retry sets it")
@locking_stores
def test_a_retry_locks_what_the_first_try_did_not(
    kind: S3, between: Proxy, beyond: Vault, bucket: str, store_backup: Callable[..., Any]
) -> None:
    def of_manifest(request: Request) -> bool:
        return is_retention(request) and "manifest.json" in request.target

    between.rules.append(When(of_manifest, answer_with(403, "AccessDenied"), times=1))

    with pytest.raises(VaultAccessError, match=r"refused to lock .*manifest\.json"):
        store_backup(beyond, lock=NINETY)
    (stored,) = beyond.backups()
    assert "manifest.json" not in locks_of(kind, bucket)
    again = store_backup(beyond, lock=NINETY)

    assert again.manifest == stored.manifest
    assert set(locks_of(kind, bucket)) == {"manifest.json", stored.manifest.artifacts[0].name}


@row("lock_for: run again nothing changes; longer and harder locks stay, shorter ones are extended")
@locking_stores
def test_a_lock_is_only_ever_extended(
    kind: S3, vault: Vault, bucket: str, store_backup: Callable[..., Any]
) -> None:
    backup = store_backup(vault, lock=NINETY)
    ninety = locks_of(kind, bucket)

    for same in ("90d", "30d", "12h"):
        vault.keep_locked(backup, Lock.of(same))
        assert locks_of(kind, bucket) == ninety
    vault.keep_locked(backup, Lock.of("120d"))
    longer = {name: (mode, end + timedelta(days=30)) for name, (mode, end) in ninety.items()}
    assert locks_of(kind, bucket) == longer


@row("lock_for: run again nothing changes; longer and harder locks stay, shorter ones are extended")
@locking_stores
def test_a_lock_in_compliance_mode_stays_in_it(
    kind: S3, vault: Vault, bucket: str, store_backup: Callable[..., Any]
) -> None:
    backup = store_backup(vault, lock=Lock.of("30d", "compliance"))

    vault.keep_locked(backup, NINETY)

    assert {mode for mode, _ in locks_of(kind, bucket).values()} == {"COMPLIANCE"}
    assert all(end > now() + timedelta(days=89) for _, end in locks_of(kind, bucket).values())


@row("lock_for: run again nothing changes; longer and harder locks stay, shorter ones are extended")
@locking_stores
def test_a_bucket_that_locks_by_itself_for_longer_keeps_doing_so(
    kind: S3, vault: Vault, bucket: str, store_backup: Callable[..., Any]
) -> None:
    retention = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 365}}
    kind.s3.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": retention}
    )

    store_backup(vault, lock=NINETY)

    ends = [end for _, end in locks_of(kind, bucket).values()]
    assert len(ends) == 2
    assert min(ends) > now() + timedelta(days=364)


@row("lock_for: a lock that would be over is not set")
@locking_stores
def test_a_lock_that_would_be_over_is_not_set(
    kind: S3, vault: Vault, bucket: str, store_backup: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = store_backup(vault)
    monkeypatch.setattr(Lock, "end", lambda self, begin: begin - timedelta(seconds=1))

    vault.keep_locked(backup, NINETY)

    assert locks_of(kind, bucket) == {}


@row("lock_for: a partial locks the full that it builds on")
@locking_stores
def test_a_partial_locks_the_full_that_it_builds_on(
    kind: S3, vault: Vault, bucket: str, store_backup: Callable[..., Any]
) -> None:
    full = store_backup(vault, IDS[1])
    assert locks_of(kind, bucket) == {}

    store_backup(vault, PARTIAL, base=full.backup_id, modified_since=now(), lock=NINETY)

    folders = {key.split("/")[-2] for key in kind.keys(bucket)}
    assert folders == {IDS[1], PARTIAL}
    for key in kind.keys(bucket):
        assert kind.s3.head_object(Bucket=bucket, Key=key)["ObjectLockMode"] == "GOVERNANCE"


@row("replicate --lock-for: copies are locked, those that are there as well, and not again and again")
@locking_stores
def test_copies_are_locked_once(
    kind: S3, vault: Vault, bucket: str, scratch: Vault, store_backup: Callable[..., Any]
) -> None:
    def replicate(lock: Lock | None) -> list[Outcome]:
        replication = Replication(scratch, vault, producer=Producer(package_version="0"), now=now(), lock=lock)
        return [each.outcome for each in replication]

    store_backup(scratch, IDS[0])
    assert replicate(None) == [Outcome.COPIED]
    assert locks_of(kind, bucket) == {}
    store_backup(scratch, IDS[1])

    assert sorted(replicate(NINETY)) == [Outcome.COPIED, Outcome.PRESENT]
    first = {key: kind.s3.head_object(Bucket=bucket, Key=key) for key in kind.keys(bucket)}
    assert replicate(NINETY) == [Outcome.PRESENT] * 2

    backed = [key for key in first if "/checks/" not in key]
    assert len(backed) == 4
    for key in backed:
        again = kind.s3.head_object(Bucket=bucket, Key=key)["ObjectLockRetainUntilDate"]
        assert again == first[key]["ObjectLockRetainUntilDate"]


@row("replicate --lock-for: a target without locks is refused before anything is copied")
@locking_stores
def test_a_target_that_cannot_lock_is_refused_before_anything_is_copied(
    kind: S3, scratch: Vault, open_vault: Callable[..., Vault], store_backup: Callable[..., Any]
) -> None:
    store_backup(scratch)
    plain = kind.new_bucket()
    replication = Replication(
        scratch, open_vault(plain), producer=Producer(package_version="0"), now=now(), lock=NINETY
    )

    with pytest.raises(UnlockableStoreError, match="locks no objects"):
        list(replication)

    assert kind.keys(plain) == []


# -- retention ---------------------------------------------------------------------------------------------


@row("retention: a locked backup is kept and told as locked, and expires when its lock is over")
@locking_stores
def test_retention_keeps_what_is_locked_and_says_so(
    kind: S3, vault: Vault, bucket: str, store_backup: Callable[..., Any]
) -> None:
    old, new = (store_backup(vault, backup_id, lock=NINETY) for backup_id in IDS)
    end = locks_of(kind, bucket)["manifest.json"][1]

    for outlook in (Outlook.of(plan_retention(vault, ONE, now=now())), apply_retention(vault, ONE, now=now())):
        (planned,) = outlook.plans
        assert planned.expire == ()
        assert planned.reasons[old.backup_id] == (f"locked until {end:%Y-%m-%d %H:%M} UTC",)

    later = now() + timedelta(days=91)
    assert apply_retention(vault, ONE, now=later).expired == (old.path,)
    assert apply_retention(vault, ONE, now=later + timedelta(days=4)).removed == (old.path,)
    assert [backup.backup_id for backup in vault.backups()] == [new.backup_id]


@row("retention: a locked backup is kept and told as locked, and expires when its lock is over")
@locking_stores
def test_retention_keeps_what_is_under_a_legal_hold(
    kind: S3, vault: Vault, bucket: str, store_backup: Callable[..., Any]
) -> None:
    old, _ = (store_backup(vault, backup_id) for backup_id in IDS)
    assert apply_retention(vault, ONE, now=now()).expired == (old.path,)
    which = {"Bucket": bucket, "Key": f"{PREFIX}/{old.path.manifest}"}
    kind.s3.put_object_legal_hold(**which, LegalHold={"Status": "ON"})

    applied = apply_retention(vault, ONE, now=now() + timedelta(days=4))

    assert applied.removed == ()
    assert applied.revived == (old.path,)
    assert applied.plans[0].reasons[old.backup_id] == ("under a legal hold of the bucket",)
    kind.s3.put_object_legal_hold(**which, LegalHold={"Status": "OFF"})
    assert apply_retention(vault, ONE, now=now()).expired == (old.path,)


@row("retention: where locks go unseen the plan is refused, and nothing expires unless that is overridden")
@locking_stores
@pytest.mark.parametrize("question", ["object-lock", "retention", "legal-hold"])
def test_where_locks_go_unseen_nothing_expires_unless_that_is_overridden(
    between: Proxy, beyond: Vault, store_backup: Callable[..., Any], question: str
) -> None:
    old, _ = (store_backup(beyond, backup_id) for backup_id in IDS)

    def asks(request: Request) -> bool:
        return request.method == "GET" and request.target.endswith(f"?{question}")

    between.rules.append(When(asks, answer_with(403, "AccessDenied")))

    applied = apply_retention(beyond, ONE, now=now())
    assert [refusal.name for refusal in applied.plans[0].refusals] == ["unseen-locks"]
    assert applied.expired == ()
    assert apply_retention(beyond, ONE, now=now(), override=["unseen-locks"]).expired == (old.path,)
