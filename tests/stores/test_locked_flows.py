"""Tasks and commands that lock what they store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kinds import S3, stores
from stand_in import connect, connections, finished_job, make_context, naps, sim, spool_dir

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.exceptions import XBackupFailError
from airflow_provider_xbackup.operators.vault import ReplicateBackupsOperator
from airflow_provider_xbackup.operators.xray import XrayCreateBackupOperator
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault

__all__ = ["connect", "connections", "finished_job", "naps", "sim", "spool_dir"]

pytestmark = [
    pytest.mark.row("lock_for of tasks and of xbackup replicate"),
    pytest.mark.parametrize("kind", stores("ministack", "radosgw"), indirect=True),
]
DAY = timedelta(days=1)


@pytest.fixture
def bucket(kind: S3) -> str:
    return kind.new_bucket(lock=True)


def days_locked(kind: S3, bucket: str) -> set[tuple[str, int]]:
    """Mode and length of the locks of all objects, None where one has none."""
    heads = [kind.s3.head_object(Bucket=bucket, Key=key) for key in kind.keys(bucket) if "/checks/" not in key]
    assert len(heads) > 1
    return {
        (head["ObjectLockMode"], round((head["ObjectLockRetainUntilDate"] - head["LastModified"]) / DAY))
        for head in heads
    }


@pytest.mark.parametrize("lock_for", ["90d", timedelta(days=90)])
def test_a_stored_xray_backup_is_locked(
    kind: S3, vault: Vault, bucket: str, finished_job: Callable[..., Any], lock_for: object
) -> None:
    arguments = {"task_id": "store", "job": finished_job(), "vault": kind.url(bucket), "xray_conn_id": "acme"}
    store = XrayToObjectStorageOperator(**arguments, lock_for=lock_for)

    first = store.execute(make_context())
    assert days_locked(kind, bucket) == {("GOVERNANCE", 90)}
    assert store.execute(make_context()) == first
    assert days_locked(kind, bucket) == {("GOVERNANCE", 90)}


def test_a_retry_with_a_lock_locks_what_is_stored(
    kind: S3, vault: Vault, bucket: str, finished_job: Callable[..., Any]
) -> None:
    arguments = {"task_id": "store", "job": finished_job(), "vault": kind.url(bucket), "xray_conn_id": "acme"}
    first = XrayToObjectStorageOperator(**arguments).execute(make_context())

    again = XrayToObjectStorageOperator(**arguments, lock_for="30d", lock_mode="compliance")

    assert again.execute(make_context()) == first
    assert days_locked(kind, bucket) == {("COMPLIANCE", 30)}


def test_a_stored_bot_is_locked_also_by_a_retry(
    kind: S3, vault: Vault, bucket: str, sim: Simulator, spool_dir: Path
) -> None:
    arguments = {"task_id": "store", "vault": kind.url(bucket), "xenioo_conn_id": "welcome"}
    first = XeniooToObjectStorageOperator(**arguments).execute(make_context())

    again = XeniooToObjectStorageOperator(**arguments, lock_for="1m").execute(make_context())

    assert again == first
    assert days_locked(kind, bucket) <= {("GOVERNANCE", days) for days in (28, 29, 30, 31)}
    assert len(sim.journal.entries(path="/bots/backup")) == 1


def test_nothing_is_asked_for_while_the_bucket_locks_nothing(
    kind: S3, vault: Vault, sim: Simulator, spool_dir: Path
) -> None:
    plain = kind.new_bucket()
    create = XrayCreateBackupOperator(task_id="create", vault=kind.url(plain), lock_for="90d", xray_conn_id="acme")
    store = XeniooToObjectStorageOperator(
        task_id="store", vault=kind.url(plain), lock_for="90d", xenioo_conn_id="welcome"
    )

    for task in (create, store):
        with pytest.raises(XBackupFailError, match="locks no objects, so lock_for cannot be kept"):
            task.execute(make_context())

    assert sim.journal.entries(path="/api/v2/backup$") == []
    assert sim.journal.entries(path="/bots/backup") == []
    assert kind.keys(plain) == []


def test_copies_are_locked_by_task_and_command(
    kind: S3, vault: Vault, bucket: str, scratch: Vault, store_backup: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    store_backup(scratch, "20261122T014500Z-full-1a2b3c4d")
    urls = {"source": str(scratch.url), "target": kind.url(bucket)}
    replicate = ReplicateBackupsOperator(task_id="copy", **urls, lock_for="90d")
    assert replicate.execute(make_context())["copied"] == 1
    assert days_locked(kind, bucket) == {("GOVERNANCE", 90)}

    store_backup(scratch, "20261123T014500Z-full-1a2b3c4d")
    command = ["replicate", *urls.values(), "--lock-for", "120d", "--lock-mode", "governance"]
    assert main(command) == 0, capsys.readouterr().err

    assert days_locked(kind, bucket) == {("GOVERNANCE", 120)}
