from __future__ import annotations

import asyncio
import itertools
import re
import socket
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.exceptions import AirflowRescheduleException
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
    # As Airflow's worker does: it turns failures and timeouts into a skip where the sensor fails softly.
    return task.resume_execution("execute_complete", {"event": event.payload}, make_context())


both_ways = pytest.mark.parametrize("wait", [pytest.param(poke, id="poked"), pytest.param(defer, id="deferred")])
Wait = Callable[[XrayBackupSensor], Any]


@pytest.fixture
def job(sim: Simulator) -> Job:
    """A job that runs until somebody ends it."""
    from airflow_provider_xbackup.hooks.xray import XrayHook
    from airflow_provider_xbackup.services.xray_jobs import XrayBackupRequest

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
@pytest.mark.parametrize(
    ("minutes", "borne"), [pytest.param(10, True, id="longer"), pytest.param(1, False, id="shorter")]
)
def test_an_outage_is_borne_for_as_long_as_the_user_says(
    wait: Wait,
    sim: Simulator,
    job: Job,
    ends: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    minutes: int,
    borne: bool,
):
    passed = itertools.count()
    monkeypatch.setattr(outage, "time", SimpleNamespace(time=lambda: 60.0 * next(passed)))
    ends(action="html", status=200, times=5)  # a minute from one to the next
    task = sensor(job, outage_tolerance=timedelta(minutes=minutes))

    if borne:
        assert wait(task)["finished_at"]
    else:
        with pytest.raises(XBackupFailError, match=r"acme.*gone on for 1 minutes"):
            wait(task)


def test_a_rescheduled_sensor_bears_an_outage_until_its_timeout(sim: Simulator, job: Job):
    sim.add_fault(path=STATUS, action="html", status=200, times=None)
    context = make_context()
    context["ti"].get_first_reschedule_date = lambda _: None

    with pytest.raises(AirflowRescheduleException):
        sensor(job, mode="reschedule", outage_tolerance=0).execute(context)


@both_ways
def test_a_service_that_does_not_answer_at_all_is_borne(
    wait: Wait, sim: Simulator, job: Job, connect: Any, ends: Callable[..., None]
):
    fields = {"host": sim.url, "login": "demo-client", "password": "demo-secret"}
    connect("hasty", conn_type="xray", **fields, extra='{"read_timeout": 0.1}')
    ends(action="stall", seconds=60, times=7)

    assert wait(sensor(job, xray_conn_id="hasty"))["finished_at"]


@both_ways
def test_a_service_that_is_not_there_fails_after_the_tolerance(wait: Wait, sim: Simulator, job: Job, connect: Any):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        connect(
            "away",
            conn_type="xray",
            host=f"http://127.0.0.1:{nobody.getsockname()[1]}",
            login="demo-client",
            password="demo-secret",
        )

        with pytest.raises(XBackupFailError, match=r"away.*could not be reached.*gone on"):
            wait(sensor(job, xray_conn_id="away", outage_tolerance=0))


@both_ways
def test_progress_that_goes_backwards_or_is_none_disturbs_nobody(
    wait: Wait, sim: Simulator, job: Job, ends: Callable[..., None]
):
    for progress in ('"90%"', '"10%"', '"-5%"', '"900%"', '"soon"', "null", "[]", "1e400"):
        sim.add_fault(path=STATUS, **WORKING, body=f'{{"status": "working", "progressValue": {progress}}}')
    ends()

    assert wait(sensor(job))["finished_at"]


@both_ways
def test_a_token_that_expires_is_renewed_once(wait: Wait, sim: Simulator, job: Job, ends: Callable[..., None]):
    ends(**WORKING, body='{"status": "working"}')
    sim.revoke_tokens()
    sim.journal.clear()

    wait(sensor(job))

    assert len(sim.journal.entries(path="/authenticate")) == 1


@both_ways
def test_a_job_the_service_forgot_says_what_to_do(wait: Wait, job: Job, play: Any):
    play({"action": "status", "status": 404, "body": '{"error": "job not found."}'})

    with pytest.raises(XBackupFailError, match="clear the creating task to ask for a new backup"):
        wait(sensor(job))


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


ENDINGS = [
    pytest.param(
        {"action": "status", "status": 404, "body": '{"error": "job not found."}'},
        {},
        XBackupFailError,
        id="unknown job",
    ),
    pytest.param({**WORKING, "body": '{"status": "failed"}'}, {}, XBackupFailError, id="failed job"),
    pytest.param({"action": "status", "status": 401, "body": "no"}, {}, XBackupFailError, id="refused key"),
    pytest.param({"action": "status", "status": 503}, {"outage_tolerance": 0}, XBackupFailError, id="outage"),
    pytest.param({"action": "reset"}, {"outage_tolerance": 0}, XBackupFailError, id="connection lost"),
    pytest.param({"action": "html", "status": 200}, {"outage_tolerance": 0}, XBackupFailError, id="a page"),
    pytest.param(
        {**WORKING, "body": '{"status": "polishing"}'}, {"timeout": 0.3}, XBackupSensorTimeout, id="no end"
    ),
]


@pytest.fixture
def play(sim: Simulator) -> Callable[[dict[str, Any]], None]:
    """Let the first question find the job running, so that a deferrable sensor defers; the rest meet the fault."""

    def play(fault: dict[str, Any]) -> None:
        sim.clear_faults()
        sim.add_fault(path=STATUS, **WORKING, body='{"status": "working"}')
        sim.add_fault(path=STATUS, **fault, times=None)

    return play


@pytest.mark.parametrize(("fault", "arguments", "error"), ENDINGS)
def test_poked_and_deferred_a_wait_ends_in_the_same_error_and_the_same_words(
    job: Job, play: Any, fault: dict[str, Any], arguments: dict[str, Any], error: type[XBackupError]
):
    ends = []
    for wait in (poke, defer):
        play(fault)
        with pytest.raises(error) as ended:
            wait(sensor(job, account="tenant", **arguments))
        # What a broken connection is called is its library's affair.
        ends.append((type(ended.value), re.sub(r"broke: \w+", "broke", str(ended.value))))

    assert ends[0] == ends[1]
    assert "tenant" in ends[0][1]


@both_ways
@pytest.mark.parametrize(("fault", "arguments", "error"), ENDINGS)
def test_a_soft_failing_sensor_skips_however_the_wait_ends(
    wait: Wait, job: Job, play: Any, fault: dict[str, Any], arguments: dict[str, Any], error: Any
):
    play(fault)

    with pytest.raises(AirflowSkipException):
        wait(sensor(job, **arguments, soft_fail=True))


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
    assert trigger.requested_at == datetime.fromisoformat(job["requested_at"]).timestamp()


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
