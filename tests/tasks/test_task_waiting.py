from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from stand_in import StateStore, make_context

from airflow_provider_xbackup.exceptions import XBackupCooldownError, XBackupError, XBackupFailError
from airflow_provider_xbackup.operators.xray import XrayCreateBackupOperator
from airflow_provider_xbackup.services.xray_jobs import XrayBackupJob
from airflow_provider_xbackup.tasks import cooldown, outage
from airflow_provider_xbackup.tasks.job_memory import JobMemory


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(outage, "time", SimpleNamespace(time=lambda: clock.now))
    return clock


def test_an_outage_is_borne_up_to_its_tolerance(clock: SimpleNamespace):
    one = outage.Outage(60)
    one.bear(XBackupError("no answer."))
    clock.now += 59
    one.bear(XBackupError("no answer."))
    clock.now += 1

    with pytest.raises(XBackupFailError, match=r"no answer\. This has gone on for 1 minutes"):
        one.bear(XBackupError("no answer."))


def test_an_answer_ends_an_outage(clock: SimpleNamespace):
    one = outage.Outage(60)
    one.bear(XBackupError("no answer."))
    one.over()
    clock.now += 100

    one.bear(XBackupError("no answer."))


def refusal(wait: timedelta, *, certain: bool = True) -> XBackupCooldownError:
    return XBackupCooldownError("Refused.", available_at=datetime.now(UTC) + wait, certain=certain)


def handle(error: XBackupCooldownError, **choice: Any) -> TaskDeferred:
    defaults = {"on_cooldown": "wait", "give_up_at": datetime.now(UTC) + timedelta(hours=12), "refusals": 0}
    defaults |= {"service": "xray", "account": "acme"}
    with pytest.raises(TaskDeferred) as deferred:
        cooldown.handle(error, XrayCreateBackupOperator(task_id="create"), **defaults | choice)
    return deferred.value


@pytest.mark.parametrize("wait", [timedelta(0), timedelta(hours=-1), timedelta(seconds=1)])
def test_even_the_shortest_wait_lets_the_scheduler_catch_its_breath(wait: timedelta):
    before = datetime.now(UTC)

    assert handle(refusal(wait)).trigger.moment >= before + cooldown.SHORTEST_WAIT


@pytest.mark.parametrize(
    ("wait", "jitter"), [(timedelta(hours=6), timedelta(minutes=1)), (timedelta(minutes=2), timedelta(seconds=6))]
)
def test_the_jitter_is_small_against_the_wait(wait: timedelta, jitter: timedelta):
    error = refusal(wait)

    moments = [handle(error).trigger.moment for _ in range(50)]

    assert min(moments) >= error.available_at
    assert max(moments) <= error.available_at + jitter + timedelta(seconds=1)
    assert len(set(moments)) > 1


def test_an_uncertain_refusal_is_waited_for_once():
    assert handle(refusal(timedelta(hours=1), certain=False)).kwargs["refusals"] == 1

    with pytest.raises(XBackupFailError, match="the answer is the same"):
        handle(refusal(timedelta(hours=1), certain=False), refusals=1)


def test_the_end_of_waiting_is_carried_through_every_deferral():
    end = datetime.now(UTC) + timedelta(hours=3)
    carried = handle(refusal(timedelta(hours=1)), give_up_at=end).kwargs["give_up_at"]

    assert cooldown.read_end(carried, timedelta(days=9)) == end


JOB = XrayBackupJob(job_id="34a4", requested_at=datetime(2026, 11, 23, tzinfo=UTC), kind="full")


def memory(store: StateStore | None, **asked: Any) -> JobMemory:
    return JobMemory(make_context(store), {"project_ids": None} | asked)


def test_a_job_is_remembered_by_what_was_asked_for():
    store = StateStore()
    memory(store).keep(JOB)

    assert memory(store).recall() == JOB
    assert memory(store, project_ids=["1"]).recall() is None


def test_without_a_store_nothing_is_remembered_and_nothing_breaks():
    memory(None).keep(JOB)

    assert memory(None).recall() is None


@pytest.mark.parametrize("known", [None, "34a4", {}, {"fingerprint": "x"}, []])
def test_what_is_no_job_in_the_store_is_ignored(known: Any):
    store = StateStore()
    store.set("xbackup_job", known)

    assert memory(store).recall() is None


def test_a_damaged_job_in_the_store_is_ignored():
    store = StateStore()
    memory(store).keep(JOB)
    kept = store.get("xbackup_job")
    store.set("xbackup_job", {**kept, "job": {"job_id": ""}})

    assert memory(store).recall() is None


@pytest.mark.parametrize(
    ("refusals", "wait"),
    [
        pytest.param(1, timedelta(seconds=6), id="the second"),
        pytest.param(4, timedelta(seconds=48), id="the fifth"),
        pytest.param(10_000, timedelta(minutes=10), id="after very many"),
    ],
)
def test_a_service_that_goes_on_saying_now_is_asked_less_and_less_often(refusals: int, wait: timedelta):
    before = datetime.now(UTC)

    moment = handle(refusal(timedelta(0)), refusals=refusals).trigger.moment

    assert wait <= moment - before <= wait * 1.05 + timedelta(seconds=5)


def test_a_time_that_is_named_counts_however_many_refusals_there_were():
    error = refusal(timedelta(hours=1))

    assert handle(error, refusals=50).trigger.moment <= error.available_at + cooldown.LONGEST_JITTER


def test_the_last_question_comes_when_waiting_ends():
    end = datetime.now(UTC) + timedelta(minutes=2)

    moment = handle(refusal(timedelta(0)), refusals=50, give_up_at=end).trigger.moment

    assert end <= moment <= end + timedelta(minutes=1)


def test_a_service_that_says_now_for_ever_fails_the_task_in_the_end():
    with pytest.raises(XBackupFailError, match="max_wait"):
        cooldown.handle(
            refusal(timedelta(0)),
            XrayCreateBackupOperator(task_id="create"),
            on_cooldown="wait",
            give_up_at=datetime.now(UTC) - timedelta(seconds=1),
            refusals=70,
            service="xray",
            account="acme",
        )
