"""Two runs for the same accounts at once: one request is granted, and no backup has another's file."""

from __future__ import annotations

import pytest
from airflow_api import Run
from celery_deployment import Deployment
from deployed_flows import Flows
from processes import wait_for
from vendors import COOLDOWN

TENANTS = ["tenant-1", "tenant-2"]
BOTS = ["bot-01", "bot-02"]


@pytest.mark.row("two runs of a DAG at once, `on_cooldown` is `wait`")
def test_the_second_of_two_runs_waits_for_the_cooldown(airflow: Deployment, flows: Flows):
    airflow.vendors.configure({"xray": {"cooldown_seconds": COOLDOWN}})
    airflow.vendors.stop_clock()
    runs = [flows.start(TENANTS, BOTS), flows.start(TENANTS, BOTS)]
    wait_for("the cooldown of every tenant", lambda: creates(runs) == ["deferred"] * 2 + ["success"] * 2)
    wait_for("the cooldown of every bot", lambda: states(runs, "xenioo_backup.store").count("deferred") == 2)

    airflow.vendors.finish_jobs()
    wait_for("the first backup of every tenant", lambda: states(runs, "xray_backup.store").count("success") == 2)
    airflow.vendors.start_clock()

    flows.conclude(*runs, tenants=TENANTS * 2, bots=BOTS * 2, refusals=True)


@pytest.mark.row("two DAGs for a tenant at once, `on_cooldown` is `skip`")
def test_the_second_of_two_dags_skips_the_cooldown(airflow: Deployment, flows: Flows):
    airflow.vendors.stop_clock()
    runs = [flows.start(TENANTS, dag_id=dag_id, on_cooldown="skip") for dag_id in ("accounts", "same_accounts")]
    wait_for("the cooldown of every tenant", lambda: creates(runs) == ["skipped"] * 2 + ["success"] * 2)
    airflow.vendors.finish_jobs()

    flows.conclude(*runs, tenants=TENANTS, refusals=True)
    assert sorted(states(runs, "xray_backup.store")) == ["skipped"] * 2 + ["success"] * 2


def creates(runs: list[Run]) -> list[str]:
    return sorted(states(runs, "xray_backup.create"))


def states(runs: list[Run], task_id: str) -> list[str]:
    """Return the states of a task in all runs, mapped or not."""
    return [str(task["state"]) for run in runs for task in run.tasks() if task["task_id"] == task_id]
