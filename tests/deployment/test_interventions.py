"""People and Airflow itself step in: what was asked for is found again, and nothing is half there."""

from __future__ import annotations

import pytest
from celery_deployment import Deployment
from deployed_flows import Flows
from processes import is_alive, wait_for


@pytest.mark.row("running transfers cleared")
def test_transfers_that_are_cleared_end_and_are_done_again(airflow: Deployment, flows: Flows):
    airflow.vendors.add_fault(action="stall", path="/_storage/", after_bytes=1_000_000)
    airflow.vendors.add_fault(action="stall", path="/bots/backup$", after_bytes=1000)
    run = flows.start(["tenant-1"], ["bot-01"])
    pids = {run.pid("xray_backup.store", 0), run.pid("xenioo_backup.store", 0)}
    wait_for("the answer of the bot", airflow.vendors.answered)

    run.clear("xray_backup.store", "xenioo_backup.store")
    wait_for("the end of both processes", lambda: not any(map(is_alive, pids)))

    flows.conclude(run, tenants=["tenant-1"], bots=["bot-01"], asked_again=1)
    assert airflow.vendors.answered() == ["bot-01"] * 2


@pytest.mark.row("finished run cleared")
def test_a_run_that_is_cleared_when_it_is_over_finds_everything_stored(airflow: Deployment, flows: Flows):
    run = flows.start(["tenant-1"], ["bot-01"])
    assert run.wait_for_end() == "success"
    stored = airflow.bucket.names(flows.vault)

    run.clear()

    flows.conclude(run, tenants=["tenant-1"], bots=["bot-01"])
    assert airflow.bucket.names(flows.vault) == stored


@pytest.mark.row("deferred sensor marked as failed, then cleared")
def test_a_sensor_that_is_marked_as_failed_leaves_its_job_to_the_next_try(airflow: Deployment, flows: Flows):
    airflow.vendors.configure({"xray": {"job_seconds": 3600}})
    run = flows.start(["tenant-1"])
    run.wait_for_task("xray_backup.wait", "deferred", 0)

    run.mark_failed("xray_backup.wait", 0)

    assert run.wait_for_end() == "failed"
    assert not flows.lost_slots()
    assert not airflow.bucket.names(flows.vault)

    airflow.vendors.finish_jobs()
    run.clear("xray_backup.wait")

    flows.conclude(run, tenants=["tenant-1"])


@pytest.mark.row("DAG run out of time while a sensor is deferred, then cleared")
def test_a_run_out_of_time_leaves_its_job_to_the_next_try(airflow: Deployment, flows: Flows):
    airflow.vendors.configure({"xray": {"job_seconds": 3600}})
    run = flows.start(["tenant-1"], dag_id="hurried_accounts")
    run.wait_for_task("xray_backup.wait", "deferred", 0)

    assert run.wait_for_end() == "failed"
    assert not flows.lost_slots()
    assert not airflow.bucket.names(flows.vault)

    airflow.vendors.finish_jobs()
    run.clear()

    flows.conclude(run, tenants=["tenant-1"])
