from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_xbackup.hooks.xray import XrayHook
from airflow_provider_xbackup.services.xray_jobs import XrayBackupRequest
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.triggers.xray import XrayBackupTrigger

STATUS = "/status$"


def trigger(job_id: str, **arguments: Any) -> XrayBackupTrigger:
    defaults = {
        "xray_conn_id": "acme",
        "account": "acme",
        "poll_interval": 0.01,
        "deadline": time.time() + 60,
        "outage_tolerance": 60.0,
    }
    return XrayBackupTrigger(job_id=job_id, **defaults | arguments)


async def events(one: XrayBackupTrigger) -> list[dict[str, Any]]:
    return [event.payload async for event in one.run()]


@pytest.fixture
def running(sim: Simulator) -> str:
    sim.settings.xray.job_seconds = 3600
    return XrayHook("acme").create_backup(XrayBackupRequest()).job_id


@pytest.fixture
def done(sim: Simulator) -> str:
    return XrayHook("acme").create_backup(XrayBackupRequest()).job_id


def test_it_comes_back_from_airflows_database_as_it_went_in():
    before = trigger("34a4")

    path, arguments = before.serialize()
    again = XrayBackupTrigger(**json.loads(json.dumps(arguments)))

    assert path == "airflow_provider_xbackup.triggers.xray.XrayBackupTrigger"
    assert again.serialize() == before.serialize()


def test_what_airflow_stores_of_it_are_primitives(sim: Simulator):
    assert all(type(value) in (str, int, float, type(None)) for value in trigger("34a4").serialize()[1].values())


async def test_what_airflow_stores_of_it_holds_no_secret_even_after_it_ran(sim: Simulator, done: str):
    one = trigger(done)

    await events(one)

    assert "demo-secret" not in repr(one.serialize())
    assert "demo-client" not in repr(one.serialize())


async def test_a_done_job_is_one_event_with_its_end(sim: Simulator, done: str):
    (event,) = await events(trigger(done))

    assert (event["status"], event["job_id"]) == ("success", done)
    assert event["finished_at"].endswith("Z")
    assert "acme" in event["message"]


async def test_it_polls_until_the_job_is_done(sim: Simulator, done: str):
    working = {"action": "status", "status": 200, "content_type": "application/json"}
    sim.add_fault(path=STATUS, **working, body='{"status": "working"}', times=3)

    (event,) = await events(trigger(done))

    assert (event["status"], event["polls"]) == ("success", 4)
    assert len(sim.journal.entries(path="/status")) == 4


async def test_a_job_that_never_ends_is_a_timeout(sim: Simulator, running: str):
    (event,) = await events(trigger(running, deadline=time.time() + 0.1))

    assert event["status"] == "timeout"
    assert "clear this sensor" in event["message"]


async def test_a_deadline_that_has_passed_while_the_triggerer_was_down_is_a_timeout(sim: Simulator, running: str):
    (event,) = await events(trigger(running, deadline=time.time() - 10))

    assert event["status"] == "timeout"


async def test_a_job_that_ended_while_the_triggerer_was_down_is_found_after_the_deadline(
    sim: Simulator, done: str
):
    (event,) = await events(trigger(done, deadline=time.time() - 10))

    assert (event["status"], event["running_at"]) == ("success", None)


async def test_what_the_sensor_saw_before_outlives_the_trigger_that_saw_nothing(sim: Simulator, done: str):
    (event,) = await events(trigger(done, running_at="2026-11-23T01:45:00Z"))

    assert event["running_at"] == "2026-11-23T01:45:00Z"


async def test_an_outage_is_not_taken_for_a_job_that_runs(sim: Simulator, done: str):
    sim.add_fault(action="status", status=503, path="/status$", times=6)

    (event,) = await events(trigger(done))

    assert (event["status"], event["running_at"]) == ("success", None)


IN_A_NEW_PROCESS = """
import asyncio, json, sys
from importlib import import_module

path, arguments = json.load(sys.stdin)
module, _, name = path.rpartition(".")
trigger = getattr(import_module(module), name)(**arguments)

async def run():
    async for event in trigger.run():
        print("EVENT", json.dumps(event.payload), "DEADLINE", trigger.deadline)

asyncio.run(run())
"""


def in_a_new_process(one: XrayBackupTrigger) -> tuple[dict[str, Any], float]:
    """Run a trigger as another triggerer does, which knows no more of it than what Airflow's database holds."""
    stored = json.dumps(one.serialize())
    ran = subprocess.run(
        [sys.executable, "-c", IN_A_NEW_PROCESS],
        input=stored,
        text=True,
        capture_output=True,
        timeout=60,
        check=True,
    )
    (line,) = [line for line in ran.stdout.splitlines() if line.startswith("EVENT ")]
    event, deadline = line.removeprefix("EVENT ").split(" DEADLINE ")
    return json.loads(event), float(deadline)


async def test_another_triggerer_goes_on_with_the_wait_of_one_that_died(sim: Simulator, running: str):
    one = trigger(running)
    died = asyncio.create_task(events(one))
    while not sim.journal.entries(path="/status"):  # noqa: ASYNC110 - the journal has no event to await
        await asyncio.sleep(0.01)
    died.cancel()
    sim.finish_jobs()

    event, deadline = await asyncio.to_thread(in_a_new_process, one)

    assert (event["status"], event["job_id"]) == ("success", running)
    assert deadline == one.deadline
    # It has not seen the job run, so the end of the job is not claimed to be known.
    assert event["running_at"] is None


async def test_another_triggerer_keeps_the_deadline_of_one_that_died(sim: Simulator, running: str):
    one = trigger(running, deadline=time.time() + 0.1)

    event, deadline = await asyncio.to_thread(in_a_new_process, one)

    assert event["status"] == "timeout"
    assert deadline == one.deadline


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(None, id="success"),
        pytest.param({"action": "status", "status": 401}, id="refused"),
        pytest.param({"action": "status", "status": 404, "body": '{"error": "job not found."}'}, id="unknown"),
        pytest.param({"action": "status", "status": 503}, id="outage"),
        pytest.param({"action": "reset"}, id="connection lost"),
        pytest.param({"action": "html", "status": 403}, id="a page"),
        pytest.param({"action": "status", "status": 200, "body": "hello"}, id="unreadable"),
    ],
)
async def test_no_event_holds_a_secret(sim: Simulator, done: str, fault: dict[str, Any] | None):
    from airflow_provider_xbackup.http import tokens

    if fault is not None:
        sim.add_fault(path=STATUS, **fault, times=None)
    known = {"demo-secret", "demo-client", *(token.value for token in tokens._cache.values())}
    assert len(known) > 2

    (event,) = await events(trigger(done, outage_tolerance=0.0))

    assert not [secret for secret in known if secret in json.dumps(event)]


async def test_a_failed_job_is_an_error_event(sim: Simulator, running: str):
    sim.settings.xray.final_word = "failed"
    sim.finish_jobs()

    (event,) = await events(trigger(running))

    assert event["status"] == "error"
    assert "ended as 'failed'" in event["message"]


async def test_a_connection_that_is_gone_is_an_error_event(sim: Simulator, running: str):
    (event,) = await events(trigger(running, xray_conn_id="nobody"))

    assert event["status"] == "error"
    assert "nobody" in event["message"]


async def test_an_outage_is_borne_and_then_told(sim: Simulator, running: str):
    sim.add_fault(path=STATUS, action="status", status=503, times=None)

    (event,) = await events(trigger(running, outage_tolerance=0.05))

    assert event["status"] == "error"
    assert "gone on" in event["message"]


async def test_triggers_of_one_connection_share_one_token(sim: Simulator, done: str):
    from airflow_provider_xbackup.http import tokens

    tokens._cache.clear()
    sim.journal.clear()

    both = await asyncio.gather(events(trigger(done)), events(trigger(done)))

    assert [event["status"] for (event,) in both] == ["success", "success"]
    assert len(sim.journal.entries(path="/authenticate")) == 1


async def test_triggers_share_one_new_token_after_the_old_one_was_revoked(sim: Simulator, done: str):
    sim.revoke_tokens()
    sim.journal.clear()

    await asyncio.gather(*(events(trigger(done)) for _ in range(4)))

    assert len(sim.journal.entries(path="/authenticate")) == 1


async def test_a_cancelled_trigger_leaves_no_session_open(sim: Simulator, running: str):
    task = asyncio.create_task(events(trigger(running)))
    while not sim.journal.entries(path="/status"):  # noqa: ASYNC110 - the journal has no event to await
        await asyncio.sleep(0.01)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_event_comes_with_the_answer_that_says_done(
    sim: Simulator, done: str, monkeypatch: pytest.MonkeyPatch
):
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("airflow_provider_xbackup.triggers.xray.asyncio", SimpleNamespace(sleep=sleep))

    (event,) = await events(trigger(done, poll_interval=30.0, deadline=time.time() + 10_000))

    assert event["status"] == "success"
    assert len(sim.journal.entries(path="/status")) == len(slept) == 1


async def test_the_pauses_follow_the_age_of_the_job_across_triggerers(
    sim: Simulator, running: str, monkeypatch: pytest.MonkeyPatch
):
    asked_about: list[tuple[float, float | None, float]] = []

    def pause(age: float, progress: float | None, longest: float) -> float:
        asked_about.append((age, progress, longest))
        return 0.0

    monkeypatch.setattr("airflow_provider_xbackup.triggers.xray.pause", pause)
    working = {"action": "status", "status": 200, "content_type": "application/json"}
    sim.add_fault(path=STATUS, **working, body='{"status": "working", "progressValue": "40%"}', times=1)
    sim.add_fault(path=STATUS, **working, body='{"status": "successful"}', times=1)
    before = trigger(running, poll_interval=300.0, requested_at=time.time() - 5000)

    await events(XrayBackupTrigger(**json.loads(json.dumps(before.serialize()[1]))))

    assert [(progress, longest) for _, progress, longest in asked_about] == [(None, 300.0), (0.4, 300.0)]
    assert all(5000 <= age < 5100 for age, _, _ in asked_about)


async def test_a_log_tells_of_progress_once_a_minute_and_of_every_new_word(
    sim: Simulator, done: str, monkeypatch: pytest.MonkeyPatch
):
    said: list[str] = []

    def info(text: str, *values: object) -> None:
        said.append((text % values).rpartition(f"{done}: ")[2])

    monkeypatch.setattr(XrayBackupTrigger, "log", SimpleNamespace(info=info))
    working = {"action": "status", "status": 200, "content_type": "application/json", "times": 1}
    for word, progress in (("pending", 0), ("working", 1), ("working", 2), ("working", 3)):
        body = json.dumps({"status": word, "progressValue": f"{progress}%"})
        sim.add_fault(path=STATUS, **working, body=body)

    await events(trigger(done))

    assert said == ["pending, 0% done", "working, 1% done", "successful"]
