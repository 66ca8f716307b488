from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)
from stand_in import make_context

from airflow_provider_xbackup.exceptions import XBackupError, XBackupFailError, XBackupSensorTimeout
from airflow_provider_xbackup.sensors.xray import XrayBackupSensor
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.tasks import outage

STATUS = "/status$"
Job = dict[str, Any]


def sensor(job: Any, **arguments: Any) -> XrayBackupSensor:
    defaults = {"task_id": "wait", "xray_conn_id": "acme", "poke_interval": 0.01, "timeout": 60}
    return XrayBackupSensor(job=job, **defaults | arguments)


def poke(task: XrayBackupSensor) -> Any:
    task.deferrable = False
    return task.execute(make_context())


def defer(task: XrayBackupSensor) -> Any:
    """Run a deferrable sensor as worker and triggerer do, trigger included."""
    task.deferrable = True
    try:
        return task.execute(make_context())
    except TaskDeferred as deferred:
        trigger = deferred.trigger

    async def events() -> list[Any]:
        return [event async for event in trigger.run()]

    (event,) = asyncio.run(events())
    return task.execute_complete(make_context(), event.payload)


both_ways = pytest.mark.parametrize("wait", [pytest.param(poke, id="poked"), pytest.param(defer, id="deferred")])
Wait = Callable[[XrayBackupSensor], Any]


@pytest.fixture
def job(sim: Simulator) -> Job:
    """A job that runs until somebody ends it."""
    from airflow_provider_xbackup.hooks.xray import XrayHook
    from airflow_provider_xbackup.services.xray import XrayBackupRequest

    sim.settings.xray.job_seconds = 3600
    return XrayHook("acme").create_backup(XrayBackupRequest()).to_dict()


@pytest.fixture
def ends(sim: Simulator, job: Job) -> Callable[..., None]:
    """Let the job end; a fault played first makes the first questions meet it."""

    def ends(word: str = "successful", **fault: Any) -> None:
        sim.settings.xray.final_word = word
        if fault:
            sim.add_fault(path=STATUS, **fault)
        sim.finish_jobs()

    return ends


WORKING = {"action": "status", "status": 200, "content_type": "application/json"}


@both_ways
def test_a_job_that_ends_is_returned_with_its_end(wait: Wait, job: Job, ends: Callable[..., None]):
    ends(**WORKING, body='{"status": "working", "progressValue": "10%"}', times=2)

    done = wait(sensor(job))

    finished_at = datetime.fromisoformat(done.pop("finished_at"))
    assert done == job
    assert finished_at >= datetime.fromisoformat(job["requested_at"])
    assert finished_at.microsecond == 0


@both_ways
@pytest.mark.parametrize("word", ["failed", "unsuccessful", "partially_successful", "FAILED"])
def test_a_job_that_failed_fails_the_task_at_once(wait: Wait, job: Job, ends: Callable[..., None], word: str):
    ends(word, **WORKING, body='{"status": "working"}')

    with pytest.raises(AirflowFailException, match=rf"acme.*{word}"):
        wait(sensor(job))


@both_ways
def test_an_unknown_word_is_waited_on(wait: Wait, job: Job, ends: Callable[..., None]):
    ends(**WORKING, body='{"status": "polishing"}', times=3)

    assert wait(sensor(job))["finished_at"]


@both_ways
def test_a_job_the_service_does_not_know_fails_the_task_at_once(wait: Wait, sim: Simulator, job: Job):
    # The first question is answered, so that the deferred sensor hears of it in its trigger.
    sim.add_fault(path=STATUS, **WORKING, body='{"status": "working"}')
    sim.add_fault(path=STATUS, action="status", status=404, body='{"error": "job not found."}', times=None)

    with pytest.raises(AirflowFailException, match=r"acme.*does not know"):
        wait(sensor(job))


@both_ways
def test_a_token_that_expires_while_waiting_is_renewed(
    wait: Wait, sim: Simulator, job: Job, ends: Callable[..., None]
):
    ends(**WORKING, body='{"status": "working"}')
    sim.revoke_tokens()

    assert wait(sensor(job))["finished_at"]


@both_ways
def test_a_key_that_is_refused_for_good_fails_the_task_at_once(wait: Wait, sim: Simulator, job: Job):
    sim.add_fault(path=STATUS, **WORKING, body='{"status": "working"}')
    sim.add_fault(path=STATUS, action="status", status=401, body='{"error": "Invalid JWT"}', times=None)

    with pytest.raises(AirflowFailException, match="acme"):
        wait(sensor(job))


@both_ways
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"action": "status", "status": 502}, id="5xx"),
        pytest.param({"action": "html", "status": 403}, id="a page with 403"),
        pytest.param({"action": "html", "status": 200}, id="a page with 200"),
        pytest.param({"action": "reset"}, id="reset"),
        pytest.param({**WORKING, "body": "{"}, id="broken JSON"),
    ],
)
def test_a_service_that_is_ill_for_a_while_is_borne(
    wait: Wait, job: Job, ends: Callable[..., None], fault: dict[str, Any]
):
    ends(**fault, times=7)

    assert wait(sensor(job))["finished_at"]


@both_ways
def test_an_outage_beyond_the_tolerance_fails_the_task(wait: Wait, sim: Simulator, job: Job):
    sim.add_fault(path=STATUS, action="status", status=503, times=None)

    with pytest.raises(AirflowFailException, match=r"acme.*gone on"):
        wait(sensor(job, outage_tolerance=timedelta(0)))


@both_ways
def test_an_answer_in_between_ends_an_outage(
    wait: Wait, sim: Simulator, job: Job, ends: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    minutes = itertools.count()
    monkeypatch.setattr(outage, "time", SimpleNamespace(time=lambda: 60.0 * next(minutes)))
    page, working = {"action": "html", "status": 200}, {**WORKING, "body": '{"status": "working"}'}
    for fault in (working, page, working, page, working):
        sim.add_fault(path=STATUS, **fault)
    ends()

    assert wait(sensor(job, outage_tolerance=timedelta(seconds=30)))["finished_at"]


@both_ways
def test_a_job_that_never_ends_ends_with_a_sensor_timeout(wait: Wait, job: Job):
    with pytest.raises(AirflowSensorTimeout):
        wait(sensor(job, timeout=0.2))


@both_ways
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"action": "status", "status": 404, "body": '{"error": "job not found."}'}, id="unknown job"),
        pytest.param({**WORKING, "body": '{"status": "failed"}'}, id="failed job"),
    ],
)
def test_a_soft_failing_sensor_skips_where_it_would_fail(
    wait: Wait, sim: Simulator, job: Job, fault: dict[str, Any]
):
    sim.add_fault(path=STATUS, **fault, times=None)

    with pytest.raises(AirflowSkipException):
        wait(sensor(job, soft_fail=True))


def test_a_soft_failing_sensor_skips_when_its_time_is_over(job: Job):
    with pytest.raises(AirflowSkipException):
        poke(sensor(job, timeout=0.2, soft_fail=True))


def test_what_a_trigger_reports_is_softened_by_airflow_as_it_softens_failures_and_timeouts(job: Job):
    """Airflow's ``resume_execution`` turns just these two into a skip."""
    task = sensor(job, soft_fail=True)

    with pytest.raises(AirflowSkipException):
        task.resume_execution("execute_complete", {"event": {"status": "timeout"}}, make_context())
    with pytest.raises(AirflowSkipException):
        task.resume_execution("execute_complete", {"event": {"status": "error"}}, make_context())


def test_a_job_that_is_done_already_does_not_defer(job: Job, ends: Callable[..., None]):
    ends()

    assert sensor(job, deferrable=True).execute(make_context())["finished_at"]


def test_a_job_that_was_seen_done_is_not_asked_about(sim: Simulator, job: Job):
    done = {**job, "finished_at": "2026-01-01T00:00:00Z"}

    assert sensor(done).execute(make_context()) == done
    assert not sim.journal.entries(path="/status")


def test_the_trigger_gets_the_sensors_own_deadline_and_intervals(job: Job):
    started = time.time()

    with pytest.raises(TaskDeferred) as deferred:
        sensor(job, deferrable=True, timeout=500, poke_interval=7, account="the acme").execute(make_context())

    trigger = deferred.value.trigger
    assert started + 500 <= trigger.deadline <= time.time() + 500
    assert (trigger.poll_interval, trigger.account, trigger.job_id) == (7, "the acme", job["job_id"])


@pytest.mark.parametrize(
    ("event", "error"),
    [
        pytest.param(None, XBackupFailError, id="nothing"),
        pytest.param("done", XBackupFailError, id="a word"),
        pytest.param({}, XBackupFailError, id="empty"),
        pytest.param({"status": "dancing"}, XBackupFailError, id="unknown status"),
        pytest.param({"status": "success"}, XBackupFailError, id="success without its instant"),
        pytest.param({"status": "success", "finished_at": "soon"}, XBackupFailError, id="success at no instant"),
        pytest.param({"status": "timeout", "message": "too late"}, XBackupSensorTimeout, id="timeout"),
        pytest.param({"status": "error", "message": "it failed"}, XBackupFailError, id="error"),
    ],
)
def test_no_event_but_a_success_passes(sim: Simulator, job: Job, event: Any, error: type[XBackupError]):
    with pytest.raises(error):
        sensor(job).execute_complete(make_context(), event)


@pytest.mark.parametrize("status", ["timeout", "error"])
def test_the_triggers_words_reach_the_person(sim: Simulator, job: Job, status: str):
    with pytest.raises(XBackupError, match="the whole story"):
        sensor(job).execute_complete(make_context(), {"status": status, "message": "the whole story"})


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(None, id="nothing"),
        pytest.param("34a4", id="only an id"),
        pytest.param({"job_id": ""}, id="empty id"),
        pytest.param({"job_id": "1"}, id="without its instant"),
        pytest.param(
            {"job_id": "1", "requested_at": "2026-01-01T00:00:00Z", "kind": "partial"}, id="a partial since never"
        ),
    ],
)
def test_what_is_no_job_is_refused_when_the_dag_is_parsed(job: Any):
    with pytest.raises(XBackupFailError, match="argument job"):
        sensor(job)


@pytest.mark.parametrize(
    "tolerance", ["30", timedelta(seconds=-1), -1, float("nan"), float("inf"), True, None, "{{ params.x }}"]
)
def test_a_tolerance_that_is_no_duration_is_refused_when_the_dag_is_parsed(tolerance: Any):
    with pytest.raises(XBackupFailError, match="outage_tolerance must be a timedelta or a number of seconds"):
        sensor("{{ params.job }}", outage_tolerance=tolerance)


@pytest.mark.parametrize("tolerance", [0, 0.0, timedelta(0)])
@pytest.mark.parametrize("wait", [poke, defer])
def test_a_tolerance_may_be_a_number_of_seconds(sim: Simulator, job: Job, wait: Any, tolerance: Any):
    sim.add_fault(action="html", path="/status$", status=503, times=50)

    with pytest.raises(XBackupFailError, match="gone on for 0 minutes"):
        wait(sensor(job, outage_tolerance=tolerance))
