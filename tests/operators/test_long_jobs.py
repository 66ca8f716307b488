"""Jobs of more than six hours, from the creating task through the sensor to the transfer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stand_in import StateStore, make_context, objects

from airflow_provider_xbackup.exceptions import XBackupFailError
from airflow_provider_xbackup.operators.xray import XrayCreateBackupOperator
from airflow_provider_xbackup.sensors.xray import XrayBackupSensor
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.tasks.memory import TaskMemory
from airflow_provider_xbackup.tasks.seen_running import SeenRunning
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault

HOUR = 3600
POST = {"path": "/api/v2/backup", "method": "POST"}


class Day:
    """Seven hours in which a job runs six and a half; they end right now, as transfers judge by the real clock."""

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim
        self._began = datetime.now(UTC) - timedelta(hours=7)
        sim.settings.xray.job_seconds = 6.5 * HOUR
        self.go_to(0)

    def go_to(self, hour: float) -> None:
        self._sim.clock.set(self._began + timedelta(hours=hour))


@pytest.fixture
def day(sim: Simulator) -> Day:
    return Day(sim)


def create(store: StateStore) -> dict[str, Any]:
    return XrayCreateBackupOperator(task_id="create", xray_conn_id="acme").execute(make_context(store))


def poke(job: dict[str, Any], store: StateStore | None = None) -> Any:
    """Poke once in a process of its own, as a rescheduled sensor or one that was killed and tried again does."""
    task = XrayBackupSensor(task_id="wait", job=job, xray_conn_id="acme", mode="reschedule", timeout=12 * HOUR)
    answer = task.poke(make_context(store))
    return answer.xcom_value if answer else None


def take(job: dict[str, Any], vault: Vault) -> str:
    task = XrayToObjectStorageOperator(
        task_id="store", job=job, vault=str(vault.url), account="acme", xray_conn_id="acme"
    )
    stored: str = task.execute(make_context())["backup_id"]
    return stored


def test_a_long_job_that_nobody_saw_run_is_picked_up_and_its_file_refused_as_perhaps_anothers(
    sim: Simulator, day: Day, vault: Vault
):
    store = StateStore()
    first = create(store)
    day.go_to(7)

    done = poke(create(store))

    assert done["job_id"] == first["job_id"]
    assert sim.journal.jobs() == [first["job_id"]]
    with pytest.raises(XBackupFailError) as refused:
        take(done, vault)
    assert f"Nobody saw when job {first['job_id']} ended: it was asked for at {first['requested_at']}" in str(
        refused.value
    )
    assert "nothing proves that the file is this job's" in str(refused.value)
    assert "Run the DAG again" in str(refused.value)
    assert "Two schedules" not in str(refused.value)
    assert objects(vault) == []


def test_a_long_job_that_a_retry_saw_run_is_picked_up_without_a_request_and_stored(
    sim: Simulator, day: Day, vault: Vault
):
    store = StateStore()
    create(store)
    day.go_to(5)
    create(store)
    day.go_to(7)

    take(poke(create(store)), vault)

    assert len(sim.journal.entries(**POST)) == 1
    assert len(list(vault.backups())) == 1


def test_a_sensor_takes_over_when_the_creating_task_saw_the_job_run(day: Day, vault: Vault):
    store = StateStore()
    create(store)
    day.go_to(5)
    job = create(store)
    day.go_to(7)

    assert take(poke(job), vault)


def test_a_long_job_that_a_rescheduled_sensor_saw_run_is_stored(day: Day, vault: Vault):
    store = StateStore()
    job = create(StateStore())
    for hour in (1, 3, 5):
        day.go_to(hour)
        assert poke(job, store) is None
    day.go_to(7)

    assert take(poke(job, store), vault)


def test_without_a_state_store_a_rescheduled_sensor_does_not_know_when_a_long_job_ended(day: Day, vault: Vault):
    job = create(StateStore())
    day.go_to(5)
    assert poke(job) is None
    day.go_to(7)

    with pytest.raises(XBackupFailError, match="Nobody saw when job"):
        take(poke(job), vault)


def test_of_two_who_saw_the_job_run_the_later_one_counts(day: Day, vault: Vault):
    creating, waiting = StateStore(), StateStore()
    job = create(creating)
    assert poke(job, waiting) is None
    day.go_to(5)
    job = create(creating)  # cleared, and the sensor with it
    day.go_to(7)

    assert take(poke(job, waiting), vault)


def test_what_was_seen_of_another_job_is_not_taken_for_this_one(day: Day):
    store = StateStore()
    SeenRunning(make_context(store), "another").note(datetime.now(UTC))
    job = create(StateStore())
    day.go_to(7)

    assert poke(job, store)["running_at"] == job["requested_at"]


def test_a_sensor_that_is_tried_again_after_its_trigger_died_knows_what_it_saw_before(day: Day, vault: Vault):
    store = StateStore()
    job = create(StateStore())
    day.go_to(5)
    assert poke(job, store) is None
    day.go_to(7)
    task = XrayBackupSensor(task_id="wait", job=job, xray_conn_id="acme", deferrable=True)
    finished_at = datetime.now(UTC).isoformat()

    done = task.execute_complete(make_context(store), {"status": "success", "finished_at": finished_at})

    assert take(done, vault)


@pytest.mark.parametrize("fails", ["get", "set"])
def test_a_state_store_that_fails_does_not_end_the_wait(
    day: Day, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, fails: str
):
    def broken(*_: Any) -> None:
        raise ConnectionError("the API server is away")

    monkeypatch.setattr(StateStore, fails, broken)
    job = XrayCreateBackupOperator(task_id="create", xray_conn_id="acme").execute(make_context())
    day.go_to(1)
    assert poke(job, StateStore()) is None
    day.go_to(7)

    assert poke(job, StateStore())["finished_at"]
    assert "ConnectionError" in caplog.text


@pytest.mark.parametrize("kept", ["soon", 7, None, []])
def test_a_state_store_that_holds_something_else_does_not_end_the_wait(day: Day, kept: Any):
    store, job = StateStore(), create(StateStore())
    TaskMemory(make_context(store), "xbackup_seen_running", {"job_id": job["job_id"]}).keep(at=kept)
    day.go_to(7)

    assert poke(job, store)["running_at"] == job["requested_at"]


def test_a_sensor_that_pokes_in_one_process_writes_to_the_store_every_ten_minutes_at_most(day: Day):
    class CountingStore(StateStore):
        writes = 0

        def set(self, key: str, value: Any) -> None:
            self.writes += 1
            super().set(key, value)

    store = CountingStore()
    task = XrayBackupSensor(task_id="wait", job=create(StateStore()), xray_conn_id="acme")
    for minutes in (0, 1, 5, 9, 10, 15, 20):
        day.go_to(minutes / 60)
        task.poke(make_context(store))

    assert store.writes == 3
