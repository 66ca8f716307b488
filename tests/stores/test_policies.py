"""The bucket policies of the documentation: each role can do its work with them, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kinds import CONN_ID, S3, policy, stores
from servers.proxy import Answer, Request, Send, When, proxy
from stand_in import connect, connections, make_context, naps, sim, spool_dir

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.exceptions import XBackupFailError
from airflow_provider_xbackup.hooks.vault import VaultHook
from airflow_provider_xbackup.hooks.xray import XrayHook
from airflow_provider_xbackup.notifications import tell_of_late_backups
from airflow_provider_xbackup.operators.vault import (
    ApplyRetentionOperator,
    FetchBackupOperator,
    ReplicateBackupsOperator,
    VerifyBackupOperator,
)
from airflow_provider_xbackup.operators.xray import XrayCreateBackupOperator
from airflow_provider_xbackup.sensors.vault import BackupFreshnessSensor
from airflow_provider_xbackup.services.xray_jobs import XrayBackupJob
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.errors import IncompleteWriteError, VaultAccessError
from airflow_provider_xbackup.vault.holds import hold
from airflow_provider_xbackup.vault.locks import Lock

__all__ = ["connect", "connections", "naps", "sim", "spool_dir"]

row = pytest.mark.row
pytestmark = pytest.mark.parametrize("kind", stores("ministack", "radosgw"), indirect=True)

POLICIES = Path(__file__).resolve().parents[2] / "docs" / "policies"
ROLES = ("worker", "verification", "retention", "reader", "replication", "undelete")
IDS = ("20261121T014500Z-full-1a2b3c4d", "20261122T014500Z-full-1a2b3c4d", "20261123T014500Z-full-1a2b3c4d")
MIB = 1024 * 1024
AGES = timedelta(days=36_500)

object_lock = pytest.mark.parametrize("bucket", [pytest.param(True, id="Object Lock")], indirect=True)


@pytest.fixture
def bucket(request: pytest.FixtureRequest, kind: S3) -> str:
    """A bucket, which locks objects where the test says so."""
    return kind.new_bucket(lock=getattr(request, "param", False))


@pytest.fixture
def url(kind: S3, bucket: str) -> str:
    return f"s3://{CONN_ID}@{bucket}/vault"


@pytest.fixture
def owner(kind: S3, url: str, define: Callable[..., None]) -> Vault:
    """The vault of who owns the bucket."""
    define(**kind.connection())
    return VaultHook(url).vault


@pytest.fixture
def act_as(kind: S3, bucket: str, url: str, define: Callable[..., None]) -> Callable[..., Vault]:
    """Lets the connection be a role's, and the bucket have all policies of the documentation."""

    def act_as(role: str, *, without: str = "") -> Vault:
        keys = {name: kind.make_user(f"xbackup-{name}") for name in ROLES}
        text = policy(*statements(without))
        for name in ROLES:
            text = text.replace(f"arn:aws:iam::111122223333:role/xbackup-{name}", kind.user(f"xbackup-{name}"))
        kind.s3.put_bucket_policy(Bucket=bucket, Policy=text.replace("acme-backups", bucket))
        define(**kind.connection() | keys[role])
        return VaultHook(url).vault

    return act_as


def statements(without: str = "") -> Iterator[dict[str, Any]]:
    """All statements of the documentation.

    :param without: a file or an action that is left out
    """
    for file in sorted(POLICIES.glob("*.json")):
        for each in json.loads(file.read_text())["Statement"] if file.stem != without else ():
            named = [each["Action"]] if isinstance(each["Action"], str) else each["Action"]
            actions = [action for action in named if action != without]
            if actions:
                yield {**each, "Action": actions}


def refused(*calls: Callable[[], object]) -> None:
    """Demand that the store refuses each of these."""
    for call in calls:
        with pytest.raises(VaultAccessError):
            call()


def file_of(backup: Any) -> str:
    path: str = backup.path.file(backup.manifest.artifacts[0].name)
    return path


# -- workers -----------------------------------------------------------------------------------------------


@row("policy for workers: stores, retries, builds on fulls; reads and deletes nothing")
def test_a_worker_backs_up_and_can_neither_read_nor_delete_nor_mark(
    kind: S3, url: str, owner: Vault, act_as: Callable[..., Vault], sim: Simulator, spool_dir: Path
) -> None:
    worker = act_as("worker")

    def back_up(**arguments: Any) -> dict[str, Any]:
        create = XrayCreateBackupOperator(
            task_id="create", vault=url, account="acme", xray_conn_id="acme", **arguments
        )
        job = create.execute(make_context())
        sim.finish_jobs()
        done = XrayHook("acme").get_backup_status(job["job_id"]).at
        finished = XrayBackupJob.from_dict(job).finished(done).to_dict()
        store = XrayToObjectStorageOperator(
            task_id="store", job=finished, vault=url, account="acme", xray_conn_id="acme"
        )
        stored = store.execute(make_context())
        assert store.execute(make_context()) == stored
        return stored

    sim.configure({"xray": {"cooldown_seconds": 0}})
    full = back_up(with_attachments=True)
    changes = back_up(with_attachments=True, modified_since="auto")
    bot = XeniooToObjectStorageOperator(task_id="store", vault=url, xenioo_conn_id="welcome")
    assert bot.execute(make_context()) == bot.execute(make_context())

    stored = {backup.backup_id: backup for backup in worker.backups()}
    assert stored[changes["backup_id"]].manifest.base == full["backup_id"]
    assert len(stored) == 3
    backup = stored[full["backup_id"]]
    owner.store.put(backup.path.hold, b"of somebody else")
    assert worker.store.read(backup.path.manifest)
    refused(
        lambda: worker.store.read(file_of(backup)),
        lambda: worker.store.head(file_of(backup)),
        lambda: worker.store.read(backup.path.hold),
        lambda: worker.store.delete(file_of(backup)),
        lambda: worker.store.delete(backup.path.manifest),
    )
    records = ("tombstone.json", "hold.json", "accepted.json", "checks/20261123T014500Z-0000000a.json")
    refused(*(partial(worker.store.put, backup.path.file(name), b"{}") for name in records))
    reader = act_as("reader")
    assert reader.store.read(file_of(backup))
    assert {each.backup_id for each in reader.backups()} == set(stored)
    assert command("explore", url, changes["backup_id"]) == 0


@row("policy for workers: a large upload, and one that fails")
def test_a_worker_uploads_in_parts_and_aborts_what_fails(
    kind: S3, bucket: str, act_as: Callable[..., Vault], store_backup: Callable[..., Any]
) -> None:
    worker = act_as("worker")

    def blocks() -> Iterator[bytes]:
        yield b"x" * (25 * MIB)
        raise ConnectionError("the download broke")

    with pytest.raises(ConnectionError):
        store_backup(worker, IDS[0], blocks=blocks())
    store_backup(worker, IDS[1], blocks=[b"x" * (25 * MIB)])

    assert kind.unfinished(bucket) == []
    assert [backup.backup_id for backup in worker.backups()] == [IDS[1]]


@row("policy for workers: a large upload, and one that fails")
def test_a_worker_that_cannot_take_back_a_manifest_says_that_the_backup_is_damaged(
    kind: S3, bucket: str, act_as: Callable[..., Vault], define: Callable[..., None], url: str,
    store_backup: Callable[..., Any],
) -> None:  # fmt: skip
    def let_files_go(request: Request, send: Send) -> Answer:
        answer = send(request)
        for key in kind.keys(bucket):
            if key.endswith(".zip"):
                kind.s3.delete_object(Bucket=bucket, Key=key)
        return answer

    act_as("worker")
    with proxy(int(kind.address.rpartition(":")[2])) as between:
        is_manifest = lambda request: request.method == "PUT" and "manifest.json" in request.target  # noqa: E731
        fault = When(is_manifest, let_files_go)
        between.rules.append(fault)
        define(**kind.connection(between.address) | kind.make_user("xbackup-worker"))

        with pytest.raises(IncompleteWriteError, match=r"could not be taken back.*Have its folder"):
            store_backup(VaultHook(url).vault)
        assert fault.is_spent


@row("policy for workers that lock; without it lock_for is refused beforehand")
@object_lock
def test_a_worker_locks_what_it_stores(
    kind: S3, bucket: str, act_as: Callable[..., Vault], store_backup: Callable[..., Any]
) -> None:
    lock = Lock.of("90d")
    with pytest.raises(VaultAccessError, match="refused to ask for the object locks"):
        store_backup(act_as("worker", without="locks"), lock=lock)
    assert kind.keys(bucket) == []

    worker = act_as("worker")
    backup = store_backup(worker, lock=lock)
    worker.keep_locked(backup, lock)
    refused(lambda: worker.store.read(file_of(backup)))

    assert_all_locked(kind, bucket, "xbackup-worker")


def assert_all_locked(kind: S3, bucket: str, name: str) -> None:
    """Demand that everything in a bucket is locked for 90 days, but checks. On Ceph nobody else sees it."""
    client = kind.client_of(kind.make_user(name))
    backed = [key for key in kind.keys(bucket) if "/checks/" not in key]
    assert len(backed) == 2
    for key in backed:
        told = client.get_object_retention(Bucket=bucket, Key=key)["Retention"]
        assert told["RetainUntilDate"] > datetime.now(UTC) + timedelta(days=89)


def command(*words: object) -> int:
    """Run ``xbackup``; returns its exit code."""
    return main([str(word) for word in words])


def retain(url: str, **arguments: Any) -> dict[str, Any]:
    """Run the task that keeps the newest backup."""
    task = ApplyRetentionOperator(
        task_id="retention", vault=url, keep_last=1, max_delete_fraction=1.0, **arguments
    )
    return task.execute(make_context())


# -- the others --------------------------------------------------------------------------------------------


@pytest.fixture
def backups(owner: Vault, store_backup: Callable[..., Any]) -> list[Any]:
    return [store_backup(owner, backup_id) for backup_id in IDS]


@row("policy for verification: reads all, writes checks, changes nothing else")
async def test_late_backups_are_told_of_by_verification(
    url: str, backups: list[Any], act_as: Callable[..., Vault]
) -> None:
    act_as("verification")

    told = await tell_of_late_backups(url, rpo_hours=1, expect=["xray/gone"])

    assert "xray/gone" in told


@row("policy for verification: reads all, writes checks, changes nothing else")
def test_verification_reads_and_writes_its_checks(
    url: str, owner: Vault, backups: list[Any], act_as: Callable[..., Vault]
) -> None:
    verification = act_as("verification")

    done = VerifyBackupOperator(task_id="verify", vault=url, level="digest").execute(make_context())

    assert done["backups"] == 3
    sensor = BackupFreshnessSensor(task_id="fresh", vault=url, rpo=AGES, verified_rpo=AGES, expect=["xray/acme"])
    assert sensor.poke(make_context())
    assert command("verify", url, "--level", "digest") == 0
    assert command("status", url, "--expect", "xray/acme") == 0
    assert command("list", url, "--checks") == 0
    newest = backups[-1]
    refused(
        lambda: verification.store.put(file_of(newest), b"other bytes"),
        lambda: verification.store.put(newest.path.manifest, b"{}"),
        lambda: verification.store.put(newest.path.hold, b"{}"),
        lambda: verification.store.delete(file_of(newest)),
    )
    assert owner.store.read(file_of(newest)) == b"some" * 1000 + b"thing"


@row("policy for retention: expires, removes and collects; reads no files, destroys no versions")
@pytest.mark.parametrize("versions", [False, True], ids=["plain", "with versions"])
def test_retention_removes_and_reads_no_files(
    kind: S3, bucket: str, url: str, owner: Vault, backups: list[Any], act_as: Callable[..., Vault],
    store_backup: Callable[..., Any], versions: bool,
) -> None:  # fmt: skip
    if versions:
        kind.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    hold(owner, backups[1].path, who="ada", why="an audit", now=datetime.now(UTC))
    owner.store.put(f"{backups[2].path.folder}/backup.00000000.zip", b"of another attempt")
    key = f"vault/{backups[2].path.folder}/backup.00000001.zip"
    kind.s3.create_multipart_upload(Bucket=bucket, Key=key)
    retention = act_as("retention")

    done = retain(url, grace=timedelta(0), garbage_after=timedelta(0))

    assert (done["expired"], done["removed"], done["not_let_go"]) == (1, 1, 0)
    assert {backup.backup_id for backup in owner.backups()} == {IDS[1], IDS[2]}
    assert not owner.store.exists(f"{backups[2].path.folder}/backup.00000000.zip")
    assert kind.unfinished(bucket) == []
    keep = ("--keep-last", "1", "--max-delete-fraction", "1")
    assert command("retention", "plan", url, *keep) == 0
    assert command("retention", "apply", url, *keep) == 0
    assert command("garbage", url, "--older-than", "1h", "--apply") == 0
    refused(lambda: retention.store.read(file_of(backups[2])))
    client = kind.client_of(kind.make_user("xbackup-retention"))
    found = kind.s3.list_object_versions(Bucket=bucket, Prefix=f"vault/{file_of(backups[2])}")["Versions"][0]
    with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
        client.delete_object(Bucket=bucket, Key=found["Key"], VersionId=found["VersionId"])


@row("policy for retention: keeps what is locked, expires the rest, and refuses to plan without seeing locks")
@object_lock
def test_retention_sees_locks_with_its_policy(
    kind: S3, bucket: str, url: str, owner: Vault, act_as: Callable[..., Vault],
    store_backup: Callable[..., Any],
) -> None:  # fmt: skip
    for backup_id, lock in zip(IDS, (None, Lock.of("90d"), None), strict=True):
        store_backup(owner, backup_id, lock=lock)
    act_as("retention")

    assert retain(url, grace=timedelta(0))["removed"] == 1

    assert [backup.backup_id for backup in owner.backups()] == [IDS[2], IDS[1]]


@row("policy for retention: keeps what is locked, expires the rest, and refuses to plan without seeing locks")
@object_lock
@pytest.mark.parametrize(
    "right", ["s3:GetBucketObjectLockConfiguration", "s3:GetObjectRetention", "s3:GetObjectLegalHold"]
)
def test_retention_without_a_right_to_see_locks_expires_nothing(
    url: str, owner: Vault, backups: list[Any], act_as: Callable[..., Vault], right: str
) -> None:
    act_as("retention", without=right)

    with pytest.raises(XBackupFailError, match="unseen-locks"):
        retain(url, grace=timedelta(0))

    assert len(list(owner.backups())) == len(IDS)


@row("policy for readers: fetches and is copied from; changes nothing")
def test_a_reader_fetches_and_is_copied_from(
    url: str, backups: list[Any], act_as: Callable[..., Vault], scratch: Vault, tmp_path: Path
) -> None:
    reader = act_as("reader")

    fetched = FetchBackupOperator(task_id="fetch", vault=url, directory=str(tmp_path), backup_id="latest")
    copied = ReplicateBackupsOperator(task_id="copy", source=url, target=str(scratch.url))
    assert Path(fetched.execute(make_context())["files"]["backup"]).exists()
    assert copied.execute(make_context())["copied"] == 3
    assert command("fetch", url, "latest", tmp_path / "by command") == 0

    refused(
        lambda: reader.store.put("x", b""),
        lambda: reader.store.put(backups[0].path.hold, b"{}"),
        lambda: reader.store.delete(file_of(backups[0])),
    )


@row("policy for replication: writes copies and reads them back; deletes nothing")
def test_replication_writes_copies_and_deletes_nothing(
    kind: S3, url: str, act_as: Callable[..., Vault], scratch: Vault, store_backup: Callable[..., Any]
) -> None:
    store_backup(scratch, IDS[0])
    store_backup(scratch, IDS[1], blocks=[b"x" * (11 * MIB)])
    replication = act_as("replication")

    task = ReplicateBackupsOperator(task_id="copy", source=str(scratch.url), target=url)
    assert task.execute(make_context())["copied"] == 2
    assert task.execute(make_context())["present"] == 2
    assert command("replicate", scratch.url, url) == 0
    backup = next(iter(replication.backups()))
    refused(
        lambda: replication.store.delete(file_of(backup)),
        lambda: replication.store.delete(backup.path.manifest),
    )


@row("policy for replication that locks; without it lock_for is refused beforehand")
@object_lock
def test_replication_locks_its_copies(
    kind: S3, bucket: str, url: str, act_as: Callable[..., Vault], scratch: Vault,
    store_backup: Callable[..., Any],
) -> None:  # fmt: skip
    store_backup(scratch)
    task = ReplicateBackupsOperator(task_id="copy", source=str(scratch.url), target=url, lock_for="90d")
    act_as("replication", without="locks")
    with pytest.raises(XBackupFailError, match="refused to ask for the object locks"):
        task.execute(make_context())
    assert kind.keys(bucket) == []

    act_as("replication")
    assert task.execute(make_context())["copied"] == 1
    assert task.execute(make_context())["present"] == 1

    assert_all_locked(kind, bucket, "xbackup-replication")


@row("policy for undelete: brings back what has expired")
def test_undelete_brings_back_what_has_expired(
    url: str, owner: Vault, backups: list[Any], act_as: Callable[..., Vault]
) -> None:
    assert retain(url)["expired"] == 2
    act_as("undelete")

    assert command("undelete", url, IDS[0], "--who", "ada", "--why", "needed") == 0

    expired = [owner.store.exists(backup.path.tombstone) for backup in backups]
    assert expired == [False, True, False]


@row("policy for undelete: brings back what a versioned bucket keeps")
def test_undelete_brings_back_what_the_bucket_keeps(
    kind: S3, bucket: str, url: str, owner: Vault, act_as: Callable[..., Vault], store_backup: Callable[..., Any]
) -> None:
    kind.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    backup = store_backup(owner)
    for path in (backup.path.manifest, file_of(backup)):
        owner.store.delete(path)

    act_as("undelete")
    assert command("undelete", url, "--versions") == 0
    assert command("undelete", url, backup.backup_id, "--versions", "--who", "ada", "--why", "needed") == 0

    assert [each.manifest for each in owner.backups()] == [backup.manifest]


@row("without a policy everything is refused")
def test_who_is_in_no_policy_is_refused(
    kind: S3, url: str, backups: list[Any], act_as: Callable[..., Vault], define: Callable[..., None]
) -> None:
    act_as("worker")
    define(**kind.connection() | kind.make_user("stranger"))

    with pytest.raises(
        XBackupFailError, match="Check the Airflow connection 'store' and what it is allowed to do"
    ):
        VerifyBackupOperator(task_id="verify", vault=url).execute(make_context())
