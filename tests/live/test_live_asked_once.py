"""Whatever is killed, retried and cleared: a backup is asked for once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psutil
import pytest
from airflow_api import Run
from live_flows import BOTS, TENANTS, Flows, Gate, accepted, objects, remembers, whole_backups
from processes import kill_all, wait_for

from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.vault import Vault

WEEK = timedelta(days=7)


@remembers
@pytest.mark.parametrize(
    "machine", [pytest.param(False, id="the task's process"), pytest.param(True, id="the worker with it")]
)
def test_a_task_killed_once_its_job_is_remembered_is_retried_with_this_job(
    flows: Flows, sim: Simulator, vault: Vault, gate: Gate, machine: bool
):
    gate.hold("after-remembering")
    run = flows.tenant()
    task = psutil.Process(gate.wait_for("after-remembering"))

    kill_all({task.pid, task.ppid()} if machine else {task.pid})
    gate.open()
    sim.finish_jobs()

    assert run.wait_for_end() == "success"
    assert run.task("create")["try_number"] > 1
    assert len(sim.journal.entries("/backup", "POST")) == 1
    assert len(whole_backups(vault)) == 1


@remembers
def test_a_task_killed_before_its_job_is_remembered_asks_again_once_the_cooldown_is_over(
    flows: Flows, sim: Simulator, vault: Vault, gate: Gate
):
    sim.settings.xray.cooldown_seconds = 8
    gate.hold("before-remembering")
    run = flows.tenant()
    task = gate.wait_for("before-remembering")

    sim.finish_jobs()
    kill_all({task})
    gate.open()
    wait_for("a second job", lambda: len(accepted(sim)) == 2)
    sim.finish_jobs()

    assert run.wait_for_end() == "success"
    first, second = accepted(sim)
    assert second - first >= timedelta(seconds=8)
    assert len(whole_backups(vault)) == 1


def test_a_task_killed_before_the_answer_came_does_not_ask_again_within_the_cooldown(
    flows: Flows, sim: Simulator, vault: Vault
):
    sim.add_fault(action="stall", method="POST", path="/backup$")
    run = flows.tenant(on_cooldown="skip")
    wait_for("a job", lambda: accepted(sim))

    kill_all({run.pid("create")})

    assert run.wait_for_end() == "success"
    assert run.states() == {"create": "skipped", "wait": "skipped", "store": "skipped"}
    assert len(accepted(sim)) == 1
    assert not objects(vault)


def test_a_sensor_killed_between_two_questions_waits_for_the_same_job(flows: Flows, sim: Simulator, vault: Vault):
    run = flows.tenant("poked_tenant")
    wait_for("a question", lambda: sim.journal.entries("/status"))

    kill_all({run.pid("wait")})
    wait_for("the next try", lambda: run.task("wait")["try_number"] > 1)
    sim.finish_jobs()

    assert run.wait_for_end() == "success"
    assert len(sim.journal.entries("/backup", "POST")) == 1
    assert len(whole_backups(vault)) == 1


def test_a_transfer_killed_on_its_way_is_retried_with_the_same_job(flows: Flows, sim: Simulator, vault: Vault):
    run = flows.stalled_transfer()

    kill_all({run.pid("store")})

    assert run.wait_for_end() == "success"
    assert run.task("store")["try_number"] > 1
    assert len(sim.journal.entries("/backup", "POST")) == 1
    assert len(whole_backups(vault)) == 1


@remembers
def test_mapped_flows_killed_and_cleared_as_a_whole_ask_each_tenant_and_each_bot_once(
    flows: Flows, sim: Simulator, vault: Vault
):
    sim.settings.xray.job_seconds = 1
    sim.add_fault(action="stall", path="/_storage/", after_bytes=1000, times=len(TENANTS))
    run = flows.many()
    wait_for("the transfers", lambda: len(sim.journal.entries("/_storage/…")) == len(TENANTS))
    kill_all({task["pid"] for task in run.tasks() if task["task_id"] == "xray_backup.store"})
    assert run.wait_for_end() == "success"
    stored = objects(vault)

    run.clear()

    assert run.wait_for_end() == "success"
    posts = sim.journal.entries("/backup", "POST")
    assert sorted(str(entry.tenant) for entry in posts) == ["demo-client", "globex-client", "initech-client"]
    answers = sim.journal.entries("/bots/backup", "GET")
    assert sorted(str(entry.bot) for entry in answers) == sorted(BOTS)
    assert len(whole_backups(vault)) == 5
    assert objects(vault) == stored


def test_a_task_cleared_with_other_projects_asks_for_another_job(flows: Flows, sim: Simulator, vault: Vault):
    sim.settings.xray.job_seconds = 1
    sim.settings.xray.cooldown_seconds = 0
    flows.set_scope("10042")
    run = flows.tenant()
    assert run.wait_for_end() == "success"

    flows.set_scope("10042", "10077")
    run.clear()

    assert run.wait_for_end() == "success"
    assert len(accepted(sim)) == 2
    scopes = {backup.manifest.scope.project_ids for backup in vault.backups()}
    assert scopes == {("10042",), ("10042", "10077")}


@remembers
def test_last_weeks_run_cleared_finds_the_backup_it_stored_and_asks_for_nothing(
    flows: Flows, sim: Simulator, vault: Vault, gate: Gate
):
    run = _run_last_week(flows, sim, gate)
    # Without a date, clocks cannot be compared: the transfer of last week goes through today.
    sim.settings.date_header = False
    gate.open()
    assert run.wait_for_end() == "success"
    stored = whole_backups(vault)
    _return_to_today(sim)

    run.clear()

    assert run.wait_for_end() == "success"
    assert len(accepted(sim)) == 1
    assert whole_backups(vault) == stored
    assert stored[0].startswith(f"{datetime.now(UTC) - WEEK:%Y%m%d}")


def test_last_weeks_run_that_stored_nothing_asks_anew_when_it_is_cleared(
    flows: Flows, sim: Simulator, vault: Vault, gate: Gate
):
    run = _run_last_week(flows, sim, gate)
    gate.open()
    assert run.wait_for_end() == "failed"
    _return_to_today(sim)

    sim.settings.xray.job_seconds = 1
    run.clear()

    assert run.wait_for_end() == "success"
    assert len(accepted(sim)) == 2
    (stored,) = whole_backups(vault)
    assert stored.startswith(f"{accepted(sim)[1]:%Y%m%dT%H%M}")


def test_last_weeks_transfer_cleared_today_does_not_store_todays_file_as_its_own(
    flows: Flows, sim: Simulator, vault: Vault, gate: Gate
):
    run = _run_last_week(flows, sim, gate)
    gate.open()
    assert run.wait_for_end() == "failed"
    _return_to_today(sim)
    sim.other_client_backup()

    run.clear("store")

    assert run.wait_for_end() == "failed"
    assert "a later backup of the tenant took its place" in run.log("store")
    assert not objects(vault)
    assert len(accepted(sim)) == 1


def _run_last_week(flows: Flows, sim: Simulator, gate: Gate) -> Run:
    """Run a flow a week ago, by the service's clock, up to its transfer."""
    gate.hold("before-transfer")
    sim.advance(-WEEK.total_seconds())
    run = flows.tenant()
    run.wait_for_task("wait", "deferred")
    sim.finish_jobs()
    gate.wait_for("before-transfer")
    return run


def _return_to_today(sim: Simulator) -> None:
    sim.settings.date_header = True
    sim.advance(WEEK.total_seconds())
