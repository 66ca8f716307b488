"""Backups that look odd and are good: none of them may be refused or marked."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from stand_in import ATTACHMENTS, Naps, files_of, make_context, objects

from airflow_provider_xbackup.exceptions import XBackupError
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault

MakeJob = Callable[..., dict[str, Any]]
Store = Callable[[dict[str, Any]], Any]


@pytest.fixture
def store(vault: Vault) -> Store:
    def store(job: dict[str, Any]) -> Any:
        task = XrayToObjectStorageOperator(
            task_id="store", job=job, vault=str(vault.url), account="acme", xray_conn_id="acme"
        )
        return vault.find("xray", "acme", task.execute(make_context())["backup_id"])

    return store


@pytest.mark.parametrize("seconds", [-60, 60])
def test_a_file_server_whose_clock_is_a_minute_off_is_borne(
    sim: Simulator, finished_job: MakeJob, store: Store, seconds: int
):
    job = finished_job()
    sim.settings.xray.download.last_modified_offset = seconds

    assert store(job).manifest.condition.state == "ok"


def test_a_file_of_the_second_in_which_its_job_was_asked_for_and_done_is_taken(
    sim: Simulator, finished_job: MakeJob, store: Store
):
    sim.clock.set(sim.clock.now().replace(microsecond=999_000))
    sim.clock.freeze()
    job = finished_job()

    manifest = store(job).manifest

    assert job["requested_at"] == job["finished_at"]
    assert manifest.remote.last_modified == manifest.requested_at
    assert manifest.condition.state == "ok"


def test_attachments_of_a_tenant_that_never_used_any_are_whole(
    sim: Simulator, finished_job: MakeJob, store: Store, vault: Vault, served: Callable[..., bytes]
):
    sim.change_data(attachment_bytes=0)

    backup = store(finished_job(with_attachments=True))

    assert backup.manifest.condition.state == "ok"
    assert files_of(vault, backup)["attachments"] == served(ATTACHMENTS)


def test_attachments_that_did_not_change_are_taken_again(sim: Simulator, finished_job: MakeJob, store: Store):
    sim.settings.xray.cooldown_seconds = 0
    first = store(finished_job(with_attachments=True))
    sim.advance(5)
    sim.change_data(revision=1)
    sim.settings.xray.download.last_modified = False

    second = store(finished_job(with_attachments=True))

    assert second.manifest.condition.state == "ok"
    assert first.backup_id != second.backup_id


def test_an_unchanged_tenant_whose_zip_is_new_is_taken(sim: Simulator, finished_job: MakeJob, store: Store):
    sim.settings.xray.cooldown_seconds = 0
    sim.settings.xray.download.last_modified = False
    first = store(finished_job())
    sim.advance(5)

    second = store(finished_job())

    assert second.manifest.condition.state == "ok"
    assert second.manifest.entities == first.manifest.entities
    assert second.manifest.artifacts[0].sha256 != first.manifest.artifacts[0].sha256


def test_a_partial_with_nothing_in_it_after_a_full_is_whole(sim: Simulator, finished_job: MakeJob, store: Store):
    sim.settings.xray.cooldown_seconds = 0
    full = store(finished_job())
    sim.advance(5)

    partial = store(finished_job(modified_since=datetime.now(UTC).isoformat(), base=full.backup_id))

    assert partial.manifest.condition.state == "ok"
    assert sum((partial.manifest.entities or {}).values()) == 0


def test_a_file_identical_to_another_jobs_is_asked_for_ten_minutes_long_before_it_is_refused(
    sim: Simulator, finished_job: MakeJob, store: Store, vault: Vault, naps: Naps
):
    sim.settings.xray.cooldown_seconds = 0
    sim.settings.xray.tenants["demo-client"].data.zip_varies = False
    sim.settings.xray.download.last_modified = False
    store(finished_job())
    before = {path: path.read_bytes() for path in objects(vault)}
    sim.advance(5)
    job = finished_job()

    with pytest.raises(XBackupError, match="byte for byte"):
        store(job)

    assert 600 <= naps.slept < 700
    assert {path: path.read_bytes() for path in objects(vault)} == before


@pytest.fixture
def twin(sim: Simulator, finished_job: MakeJob, store: Store) -> dict[str, Any]:
    """A job whose file is another's, which is stored: nothing tells that it was written anew."""
    sim.settings.xray.cooldown_seconds = 0
    sim.settings.xray.tenants["demo-client"].data.zip_varies = False
    sim.settings.xray.download.last_modified = False
    store(finished_job())
    sim.advance(5)
    twin = finished_job()
    sim.journal.clear()
    return twin


def asked_and_transferred(sim: Simulator, caplog: pytest.LogCaptureFixture) -> tuple[int, int]:
    """How often the file was asked for, and how often its bytes went on into the vault."""
    return len(sim.journal.entries(path="/_storage/…")), caplog.text.count("Storing the data file")


def test_a_file_that_was_refused_as_anothers_is_not_transferred_again_while_it_is_the_same(
    sim: Simulator, store: Store, twin: dict[str, Any], caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.INFO), pytest.raises(XBackupError, match=r"byte for byte.*accept_identical"):
        store(twin)

    asked, transferred = asked_and_transferred(sim, caplog)
    assert asked > 10
    assert transferred == 1


@pytest.mark.parametrize("etag", ["weak", "none"])
def test_a_file_that_nothing_identifies_is_transferred_each_time(
    sim: Simulator, store: Store, twin: dict[str, Any], caplog: pytest.LogCaptureFixture, etag: Any
):
    sim.settings.xray.download.etag = etag

    with caplog.at_level(logging.INFO), pytest.raises(XBackupError, match="byte for byte"):
        store(twin)

    asked, transferred = asked_and_transferred(sim, caplog)
    assert asked == transferred > 10


def test_a_file_that_takes_the_place_of_a_refused_one_is_stored(
    sim: Simulator, store: Store, twin: dict[str, Any], vault: Vault, served: Callable[..., bytes], naps: Naps
):
    def replace() -> None:
        if naps.slept > 60 and not replaced:
            sim._world.tenants.replace_files()
            replaced.append(True)

    replaced: list[bool] = []
    naps.wake = replace

    backup = store(twin)

    assert files_of(vault, backup)["backup"] == served()


def test_a_file_like_a_refused_one_that_was_written_anew_is_stored(
    sim: Simulator, store: Store, twin: dict[str, Any], naps: Naps
):
    def catch_up() -> None:
        if naps.slept > 60:
            sim.settings.xray.file_served = "latest"

    sim.settings.xray.download.last_modified = True
    sim.settings.xray.file_served = "previous"
    naps.wake = catch_up

    assert store(twin).manifest.condition.state == "ok"
