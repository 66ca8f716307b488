"""Parts of the deployment are killed or restarted while it works: every backup arrives, asked for once.

But for a bot whose answer died with its worker: it is asked again.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from airflow_api import OVER, Run
from celery_deployment import WORKERS, Deployment
from deployed_flows import PATIENCE, Flows
from processes import kill_all, wait_for
from vendors import BOTS, TENANTS

SOME_BOTS = BOTS[:10]
BIG = {"padding_bytes": 20_000_000}


@pytest.fixture
def at_work(airflow: Deployment, flows: Flows) -> Run:
    """A run of which every kind of task is under way: waits in the triggerer, transfers of bots, others queued."""
    airflow.vendors.configure({"xray": {"job_seconds": 3600}})
    airflow.vendors.add_fault(action="stall", path="/bots/backup$", after_bytes=1000, seconds=20, times=8)
    run = flows.start(TENANTS, SOME_BOTS)
    for map_index in range(len(TENANTS)):
        run.wait_for_task("xray_backup.wait", "deferred", map_index)
    wait_for("transfers of bots", lambda: len(airflow.vendors.answered()) >= 4)
    return run


@pytest.fixture
def transferring(airflow: Deployment, flows: Flows) -> Run:
    """A run of which every tenant's transfer has stored a part and hangs for a while."""
    airflow.vendors.configure({"xray": {"tenants": {name: {"data": BIG} for name in TENANTS}}})
    airflow.vendors.add_fault(
        action="stall", path="/_storage/", after_bytes=15_000_000, seconds=40, times=len(TENANTS)
    )
    run = flows.start(TENANTS, SOME_BOTS)
    wait_for("parts of every file", lambda: all(flows.bytes_of(f"xray/{name}") > 1_000_000 for name in TENANTS))
    return run


@pytest.mark.row("process of every transfer killed, midway")
def test_transfers_whose_processes_are_killed_are_tried_again(
    airflow: Deployment, flows: Flows, transferring: Run
):
    kill_all({transferring.pid("xray_backup.store", map_index) for map_index in range(len(TENANTS))})

    flows.conclude(transferring, tenants=TENANTS, bots=SOME_BOTS)


@pytest.mark.row("worker killed with all its tasks, midway in transfers")
def test_transfers_of_a_worker_that_is_killed_are_tried_again(
    airflow: Deployment, flows: Flows, transferring: Run
):
    victim = worker_of(airflow, transferring.pid("xray_backup.store", 0))
    under_way = bots_under_way(transferring)
    airflow.processes.kill(victim)
    airflow.start(victim)
    flows.conclude(transferring, tenants=TENANTS, bots=SOME_BOTS, asked_again=under_way)


@pytest.mark.row("worker killed between the answer of a bot and its upload")
def test_a_bot_whose_answer_died_with_a_worker_is_asked_again_after_its_hour(airflow: Deployment, flows: Flows):
    airflow.vendors.add_fault(action="stall", path="/bots/backup$", after_bytes=1000, seconds=6)
    run = flows.start(bots=["bot-01"])
    wait_for("the answer of the bot", airflow.vendors.answered)
    with airflow.processes.frozen("object-store"):
        victim = wait_for("the answer in a spool", lambda: [name for name in WORKERS if spooled(airflow, name)])[0]
        airflow.processes.kill(victim)

    # While this worker is away the next try runs on another, which has no answer in hand.
    assert run.wait_for_end(PATIENCE) == "success"
    airflow.start(victim)
    flows.conclude(run, bots=["bot-01"], asked_again=1)
    assert airflow.vendors.answered() == ["bot-01"] * 2


@pytest.mark.row("triggerer killed while tasks wait in it")
def test_waits_go_on_in_the_next_triggerer(airflow: Deployment, flows: Flows, at_work: Run):
    airflow.processes.kill("triggerer")
    airflow.start("triggerer")
    airflow.vendors.finish_jobs()

    flows.conclude(at_work, tenants=TENANTS, bots=SOME_BOTS)
    assert [at_work.task("xray_backup.wait", index)["try_number"] for index in range(len(TENANTS))] == [1] * 5


@pytest.mark.row("scheduler restarted")
def test_a_scheduler_that_is_restarted_takes_over(airflow: Deployment, flows: Flows, at_work: Run):
    airflow.processes.stop("scheduler")
    airflow.start("scheduler")
    airflow.vendors.finish_jobs()

    flows.conclude(at_work, tenants=TENANTS, bots=SOME_BOTS)


@pytest.mark.row("scheduler killed and started again")
def test_a_scheduler_after_one_that_was_killed_takes_over(airflow: Deployment, flows: Flows, at_work: Run):
    airflow.processes.kill("scheduler")
    airflow.start("scheduler")
    airflow.vendors.finish_jobs()

    flows.conclude(at_work, tenants=TENANTS, bots=SOME_BOTS)


@pytest.mark.row("PostgreSQL broken off and started again, and whatever ended without it")
def test_a_database_that_is_broken_off_costs_no_backup(airflow: Deployment, flows: Flows, at_work: Run):
    airflow.postgres.restart()
    airflow.vendors.finish_jobs()

    wait_for("the end of the run", lambda: is_over(airflow, at_work), PATIENCE)
    flows.conclude(at_work, tenants=TENANTS, bots=SOME_BOTS)


@pytest.mark.row("Redis restarted, its data kept")
def test_a_broker_that_is_restarted_costs_no_backup(airflow: Deployment, flows: Flows, at_work: Run):
    airflow.redis.restart()
    airflow.vendors.finish_jobs()

    flows.conclude(at_work, tenants=TENANTS, bots=SOME_BOTS)


@pytest.mark.row("Redis killed, its data lost, tasks waiting in it")
def test_tasks_that_a_broker_has_lost_are_queued_again(airflow: Deployment, flows: Flows, at_work: Run):
    with airflow.processes.frozen(*WORKERS):
        airflow.vendors.finish_jobs()
        wait_for("tasks that no worker has taken", airflow.redis.waiting)
        airflow.redis.restart_empty()

    flows.conclude(at_work, tenants=TENANTS, bots=SOME_BOTS)


@pytest.fixture
def impatient_redis(airflow: Deployment) -> Iterator[None]:
    """Workers whose Redis delivers anew what none of them has finished after five seconds."""
    # Workers look for it every 10 seconds here, and not at every tenth of these occasions.
    patience = {"VISIBILITY_TIMEOUT": "5", "UNACKED_RESTORE_THROTTLE": "1"}
    airflow.processes.stop(*WORKERS)
    for worker in WORKERS:
        airflow.start(
            worker, **{f"CELERY_BROKER_TRANSPORT_OPTIONS__{name}": value for name, value in patience.items()}
        )
    yield
    airflow.processes.stop(*WORKERS)


@pytest.mark.row("transfers beyond the visibility timeout of Redis, delivered a second time")
def test_a_task_that_is_delivered_twice_runs_once(airflow: Deployment, flows: Flows, impatient_redis: None):
    airflow.vendors.add_fault(action="stall", path="/bots/backup$", after_bytes=1000, seconds=40, times=2)
    run = flows.start(bots=SOME_BOTS[:2])
    wait_for("a second delivery", lambda: any(refused_delivery(airflow, worker) for worker in WORKERS))

    flows.conclude(run, bots=SOME_BOTS[:2])
    assert [run.task("xenioo_backup.store", index)["try_number"] for index in range(2)] == [1, 1]


def is_over(airflow: Deployment, run: Run) -> bool:
    """Tell whether a run is over; and start what has ended meanwhile, as systemd or Kubernetes would."""
    airflow.start_missing()
    return run.state in OVER


def refused_delivery(airflow: Deployment, worker: str) -> bool:
    """Tell whether a worker was given a task that already ran."""
    return "ignoring redelivered message" in airflow.processes.log_file(worker).read_text(errors="replace")


def spooled(airflow: Deployment, worker: str) -> bool:
    """Tell whether a worker has an answer in hand."""
    return any(airflow.spool(worker).glob("*.json"))


def bots_under_way(run: Run) -> int:
    """Count the bots that may have answered already and are not stored."""
    stores = (task for task in run.tasks() if task["task_id"] == "xenioo_backup.store")
    return sum(task["state"] in ("queued", "running") for task in stores)


def worker_of(airflow: Deployment, pid: int) -> str:
    """Return the worker that a task's process belongs to."""
    (worker,) = [name for name in WORKERS if pid in airflow.processes.pids(name)]
    return worker
