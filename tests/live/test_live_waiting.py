"""Waiting holds no worker, and outlives whoever waits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from live_deployment import Deployment
from live_flows import Flows, accepted, remembers, whole_backups
from processes import is_alive, wait_for

from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.vault import Vault

COOLDOWN = 12
"""Seconds; long enough that the deferral can be looked at."""


def test_a_deferred_sensor_goes_on_when_the_triggerer_was_killed_and_started_again(
    flows: Flows, airflow: Deployment, sim: Simulator, vault: Vault
):
    run = flows.tenant()
    run.wait_for_task("wait", "deferred")
    wait_for("a question of the trigger", lambda: len(sim.journal.entries("/status")) > 1)

    airflow.processes.kill("triggerer")
    sim.journal.clear()
    airflow.start("triggerer")
    wait_for("a question of the next triggerer", lambda: sim.journal.entries("/status"))
    sim.finish_jobs()

    assert run.wait_for_end() == "success"
    assert run.task("wait")["try_number"] == 1
    assert not sim.journal.entries("/backup", "POST")
    assert len(whole_backups(vault)) == 1


def test_a_sensor_cleared_while_it_is_deferred_waits_for_the_same_job(flows: Flows, sim: Simulator, vault: Vault):
    run = flows.tenant()
    run.wait_for_task("wait", "deferred")

    run.clear("wait")
    wait_for("the next try", lambda: run.task("wait")["try_number"] > 1)
    run.wait_for_task("wait", "deferred")
    sim.finish_jobs()

    assert run.wait_for_end() == "success"
    assert len(sim.journal.entries("/backup", "POST")) == 1
    assert len(whole_backups(vault)) == 1


@remembers
def test_a_run_cleared_while_its_sensor_is_deferred_finds_its_job_again(
    flows: Flows, sim: Simulator, vault: Vault
):
    run = flows.tenant()
    run.wait_for_task("wait", "deferred")

    run.clear()
    wait_for("the next try", lambda: run.task("create")["try_number"] > 1)
    run.wait_for_task("create", "success")
    sim.finish_jobs()

    assert run.wait_for_end() == "success"
    assert len(sim.journal.entries("/backup", "POST")) == 1
    assert len(whole_backups(vault)) == 1


def test_a_tenant_waits_for_its_cooldown_without_a_worker_and_is_then_backed_up(
    flows: Flows, airflow: Deployment, sim: Simulator, vault: Vault
):
    sim.settings.xray.cooldown_seconds = COOLDOWN
    sim.other_client_backup()
    sim.settings.xray.job_seconds = 1
    with _cooldown_of_a_deferral(sim):
        run = flows.tenant()
        _assert_deferred_without_a_worker(airflow, run.wait_for_task("create", "deferred"))

    assert run.wait_for_end() == "success"
    assert len(accepted(sim)) == 1
    assert len(whole_backups(vault)) == 1


def test_a_tenant_in_its_cooldown_leaves_the_one_slot_of_a_pool_to_the_transfer_of_another(
    flows: Flows, airflow: Deployment, sim: Simulator, vault: Vault
):
    sim.settings.xray.cooldown_seconds = COOLDOWN
    sim.settings.xray.job_seconds = 0
    sim.other_client_backup("demo-client")
    sim.add_fault(action="stall", path="/_storage/", after_bytes=0, seconds=20)
    with _cooldown_of_a_deferral(sim):
        run = flows.pooled("demo-client", "globex-client")
        first = run.wait_for_task("xray_backup.create", "deferred", 0)
        second = run.wait_for_task("xray_backup.create", "success", 1)
        store = run.wait_for_task("xray_backup.store", "running", 1)

        assert [task["pool"] for task in (first, second, store)] == ["default_pool", "default_pool", "one_slot"]
        assert airflow.api.pool("one_slot")["running_slots"] == 1
        assert run.wait_for_task("xray_backup.create", "deferred", 0)
        run.wait_for_task("xray_backup.store", "success", 1)
        assert run.wait_for_task("xray_backup.create", "deferred", 0)

    assert run.wait_for_end() == "success"
    assert len(whole_backups(vault)) == 2


def test_a_bot_waits_for_its_hour_without_a_worker_and_is_then_backed_up(
    flows: Flows, airflow: Deployment, sim: Simulator, vault: Vault
):
    sim.settings.xenioo.cooldown_seconds = COOLDOWN
    sim.settings.xenioo.throttled_retry_after = True
    with _cooldown_of_a_deferral(sim):
        assert flows.bot().wait_for_end() == "success"
        run = flows.bot()
        _assert_deferred_without_a_worker(airflow, run.wait_for_task("store", "deferred"))

    assert run.wait_for_end() == "success"
    assert len(whole_backups(vault)) == 2


@contextlib.contextmanager
def _cooldown_of_a_deferral(sim: Simulator) -> Iterator[None]:
    """Let the service's time stand still, so that however slow Airflow is, it meets the cooldown."""
    sim.clock.freeze()
    yield
    sim.advance(COOLDOWN)
    sim.clock.run()


def _assert_deferred_without_a_worker(airflow: Deployment, task: dict[str, Any]) -> None:
    wait_for("the end of the process", lambda: not is_alive(task["pid"]))
    pool = airflow.api.pool()
    assert (pool["running_slots"], pool["deferred_slots"]) == (0, 1)
