"""Data and attachments of a job come at the same time, and each on its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from stand_in import ATTACHMENTS, DATA, Naps, files_of, make_context, objects

from airflow_provider_xbackup.exceptions import XBackupError
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfer import download
from airflow_provider_xbackup.transfer.download import Resume
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault

MakeJob = Callable[..., dict[str, Any]]
FILE = f"{DATA}$"


def transfer(job: dict[str, Any], vault: Vault, **options: Any) -> Any:
    task = XrayToObjectStorageOperator(
        task_id="store", job=job, vault=str(vault.url), account="acme", xray_conn_id="acme", **options
    )
    return vault.find("xray", "acme", task.execute(make_context())["backup_id"])


def test_attachments_come_while_the_data_is_still_waited_for(
    sim: Simulator, finished_job: MakeJob, served: Callable[..., bytes], vault: Vault, naps: Naps
):
    job = finished_job(with_attachments=True)
    content = {"backup": served(), "attachments": served(ATTACHMENTS)}
    sim.journal.clear()
    sim.add_fault(action="status", status=404, path=FILE, body='{"error": "not yet"}', times=None)

    def wake() -> None:
        if any("attachments" in path.name for path in objects(vault)):
            sim.clear_faults()
        else:
            naps.pauses.clear()

    naps.wake = wake

    assert files_of(vault, transfer(job, vault)) == content
    assert len(sim.journal.entries(path=ATTACHMENTS)) == 1


def test_data_comes_while_the_attachments_are_still_waited_for(
    sim: Simulator, finished_job: MakeJob, vault: Vault, naps: Naps
):
    job = finished_job(with_attachments=True)
    sim.add_fault(action="status", status=404, path=f"{ATTACHMENTS}$", body='{"error": "not yet"}', times=None)

    def wake() -> None:
        if any("backup" in path.name for path in objects(vault)):
            sim.clear_faults()
        else:
            naps.pauses.clear()

    naps.wake = wake

    assert set(files_of(vault, transfer(job, vault))) == {"backup", "attachments"}


def test_data_that_is_refused_leaves_no_attachments(sim: Simulator, finished_job: MakeJob, vault: Vault):
    job = finished_job(with_attachments=True)
    sim.add_fault(action="status", status=401, path=FILE, times=None)

    with pytest.raises(XBackupError):
        transfer(job, vault)

    assert objects(vault) == []


def test_attachments_that_stall_do_not_hold_up_the_end_of_a_task_without_data(
    sim: Simulator, finished_job: MakeJob, vault: Vault
):
    job = finished_job(with_attachments=True)
    sim.add_fault(action="stall", path=f"{ATTACHMENTS}$", seconds=1, times=None)
    sim.add_fault(action="status", status=401, path=FILE, times=None)

    with pytest.raises(XBackupError):
        transfer(job, vault)

    assert objects(vault) == []


def test_data_that_equals_another_jobs_gives_its_place_to_the_jobs_own(
    sim: Simulator, finished_job: MakeJob, served: Callable[..., bytes], vault: Vault, naps: Naps
):
    sim.settings.xray.cooldown_seconds = 0
    sim.settings.xray.download.last_modified = False
    transfer(finished_job(), vault)
    sim.advance(5)
    job = finished_job(with_attachments=True)
    before = len(objects(vault))

    def change() -> None:
        sim.settings.xray.tenants["demo-client"].data.revision = 1
        finished_job(with_attachments=True)

    naps.wake = change
    sim.settings.xray.cooldown_seconds = 0

    backup = transfer(job, vault)

    assert files_of(vault, backup)["backup"] == served()
    assert len(objects(vault)) == before + 3


def test_what_both_files_cost_of_the_services_requests_is_bounded_together(
    sim: Simulator,
    finished_job: MakeJob,
    served: Callable[..., bytes],
    vault: Vault,
    several_connections: None,
    monkeypatch: pytest.MonkeyPatch,
):
    data = sim.settings.xray.tenants["demo-client"].data
    data.padding_bytes = data.attachment_bytes = 3_000_000
    job = finished_job(with_attachments=True)
    content = {"backup": served(), "attachments": served(ATTACHMENTS)}
    monkeypatch.setattr("airflow_provider_xbackup.transfer.parts.REQUESTS", 6)
    sim.journal.clear()

    assert files_of(vault, transfer(job, vault)) == content
    asked = [entry for entry in sim.journal.entries() if entry.path in (DATA, ATTACHMENTS)]
    assert 8 <= len(asked) <= 2 + 6 + 2


@pytest.mark.parametrize(
    ("with_attachments", "redirect", "longest"),
    [
        pytest.param(False, True, 200_000, id="a file alone"),
        pytest.param(True, True, 100_000, id="two files"),
        pytest.param(True, False, 200_000, id="two files, each part a request to the service"),
    ],
)
def test_parts_are_shorter_where_two_files_come_unless_each_costs_a_request(
    sim: Simulator,
    finished_job: MakeJob,
    vault: Vault,
    several_connections: None,
    monkeypatch: pytest.MonkeyPatch,
    with_attachments: bool,
    redirect: bool,
    longest: int,
):
    data = sim.settings.xray.tenants["demo-client"].data
    data.padding_bytes = data.attachment_bytes = 3_000_000
    sim.settings.xray.download.link_one_time = False
    sim.settings.xray.download.redirect = redirect
    job = finished_job(with_attachments=with_attachments)
    asked: list[Resume] = []

    def note(*arguments: Any) -> Any:
        asked.extend(one for one in arguments if isinstance(one, Resume))
        return open_file(*arguments)

    open_file = download.open_file
    monkeypatch.setattr(download, "open_file", note)

    transfer(job, vault)

    assert max((part.end or 0) - part.offset for part in asked) == longest
