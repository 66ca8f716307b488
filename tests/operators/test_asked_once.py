"""However often a backup is asked for, the vendor accepts one request in six hours, and no job is lost."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, TaskDeferred
from stand_in import StateStore, make_context, objects

from airflow_provider_xbackup.exceptions import XBackupError, XBackupFailError
from airflow_provider_xbackup.operators.xray import XrayCreateBackupOperator
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.layout import digits_of, make_backup_id

HOUR = 3600
POST = {"path": "/api/v2/backup", "method": "POST"}


def create(store: StateStore | None = None, **arguments: Any) -> dict[str, Any]:
    """Run one try of the task; a store that is given is what Airflow kept of earlier tries."""
    task = XrayCreateBackupOperator(**{"task_id": "create", "xray_conn_id": "acme"} | arguments)
    return task.execute(make_context(StateStore() if store is None else store))


def wait_of(store: StateStore | None = None, **arguments: Any) -> timedelta:
    """Run a try into the cooldown; returns how long it waits."""
    with pytest.raises(TaskDeferred) as deferred:
        create(store, **arguments)
    return deferred.value.trigger.moment - datetime.now(UTC)


def take(job: dict[str, Any], vault: Vault) -> dict[str, Any]:
    done = {"finished_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), **job}
    task = XrayToObjectStorageOperator(
        task_id="store", job=done, vault=str(vault.url), account="acme", xray_conn_id="acme"
    )
    return task.execute(make_context())


def test_retries_clears_and_mapped_siblings_get_one_job_in_six_hours(sim: Simulator):
    own, siblings = StateStore(), [StateStore() for _ in range(3)]

    first = create(own)
    for _ in range(5):
        assert create(own) == first  # retries, and clears that left the store
    for store in (StateStore(), *siblings, *siblings):
        wait_of(store)  # a clear that emptied the store, mapped siblings, their retries
    assert sim.journal.jobs() == [first["job_id"]]

    sim.advance(6 * HOUR + 60)
    second = create(siblings[0])
    assert create(siblings[0]) == second
    for store in (StateStore(), *siblings[1:]):
        wait_of(store)
    assert sim.journal.jobs() == [first["job_id"], second["job_id"]]


def test_changed_arguments_within_the_cooldown_wait_and_take_nobody_elses_job(sim: Simulator):
    store = StateStore()
    first = create(store, project_ids=["10042"])

    assert wait_of(store, project_ids=["10077"]) > timedelta(hours=5)
    assert sim.journal.jobs() == [first["job_id"]]


# A clear of last week's run


@pytest.fixture
def last_week(sim: Simulator) -> tuple[StateStore, dict[str, Any]]:
    """What Airflow remembers of a task of last week, and the job it was granted; the clock is back at today."""
    store = StateStore()
    sim.clock.set(datetime.now(UTC) - timedelta(days=7))
    job = create(store, account="acme")
    sim.clock.set(datetime.now(UTC))
    return store, job


@pytest.fixture
def todays_job(sim: Simulator, last_week: Any) -> dict[str, Any]:
    """A job that today's run was granted."""
    return create(account="acme")


def put(job: dict[str, Any], vault: Vault) -> Any:
    """Store something as the backup of a job."""
    requested_at = datetime.fromisoformat(job["requested_at"])
    with vault.draft("xray", "acme", make_backup_id(requested_at, "full", digits_of(job["job_id"]))) as draft:
        draft.add("backup", [b"last week's bytes"], media_type="application/zip")
        return draft.commit(
            requested_at=requested_at, completed_at=requested_at, producer={"package_version": "0"}
        )


def test_cleared_last_weeks_run_neither_takes_todays_job_nor_returns_its_own_old_one(
    sim: Simulator, last_week: Any, todays_job: dict[str, Any], vault: Vault
):
    store, old = last_week

    assert wait_of(store, account="acme", vault=str(vault.url)) > timedelta(hours=5)
    assert sim.journal.jobs() == [old["job_id"], todays_job["job_id"]]


def test_cleared_last_weeks_run_asks_for_a_backup_of_its_own_where_no_cooldown_runs(
    sim: Simulator, last_week: Any
):
    store, old = last_week

    new = create(store, account="acme")

    assert new["job_id"] != old["job_id"]
    assert datetime.fromisoformat(new["requested_at"]) > datetime.now(UTC) - timedelta(minutes=1)


def test_cleared_last_weeks_transfer_never_stores_todays_file_under_the_old_name(
    sim: Simulator, last_week: Any, todays_job: dict[str, Any], vault: Vault
):
    _, old = last_week
    finished_at = datetime.fromisoformat(old["requested_at"]) + timedelta(minutes=1)

    with pytest.raises(XBackupFailError, match="acme"):
        take({**old, "finished_at": finished_at.isoformat()}, vault)

    assert objects(vault) == []


def test_cleared_last_weeks_run_returns_the_backup_that_is_stored(
    sim: Simulator, last_week: Any, todays_job: dict[str, Any], vault: Vault
):
    store, old = last_week
    stored = put(old, vault)
    sim.journal.clear()

    job = create(store, account="acme", vault=str(vault.url))
    summary = take(job, vault)

    assert job["job_id"] == old["job_id"]
    assert summary["backup_id"] == stored.backup_id
    assert not sim.journal.entries(**POST)
    assert not sim.journal.entries(path="/backup/file")


# A backup that has expired


def test_a_job_whose_backup_has_expired_is_asked_for_anew(sim: Simulator, last_week: Any, vault: Vault):
    store, old = last_week
    expire(put(old, vault), vault)

    new = create(store, account="acme", vault=str(vault.url))

    assert new["job_id"] != old["job_id"]


def test_a_transfer_never_calls_an_expired_backup_stored_and_takes_no_other_in_its_place(
    sim: Simulator, last_week: Any, vault: Vault
):
    _, old = last_week
    stored = put(old, vault)
    expire(stored, vault)
    before = objects(vault)
    sim.journal.clear()

    with pytest.raises(AirflowFailException, match=rf"acme.*{stored.backup_id}.*has expired.*`xbackup undelete`"):
        take(old, vault)

    assert objects(vault) == before
    assert not sim.journal.entries()


# A backup that is damaged


def test_a_job_whose_backup_is_damaged_is_asked_for_anew(sim: Simulator, last_week: Any, vault: Vault):
    store, old = last_week
    lose_file(put(old, vault), vault)

    new = create(store, account="acme", vault=str(vault.url))

    assert new["job_id"] != old["job_id"]


def test_a_transfer_never_calls_a_damaged_backup_stored_and_takes_no_other_in_its_place(
    sim: Simulator, last_week: Any, vault: Vault
):
    _, old = last_week
    stored = put(old, vault)
    lose_file(stored, vault)
    before = objects(vault)
    sim.journal.clear()

    with pytest.raises(AirflowFailException, match=rf"acme.*{stored.backup_id}.*damaged: backup.* is not there"):
        take(old, vault)

    assert objects(vault) == before
    assert not sim.journal.entries()


def lose_file(backup: Any, vault: Vault) -> None:
    vault.store.delete(backup.path.file(backup.manifest.artifacts[0].name))


def expire(backup: Any, vault: Vault) -> None:
    vault.store.create(f"{backup.path.folder}/tombstone.json", b"{}")


# Requests whose answer never came

LOST = [
    pytest.param({"action": "drop_answer"}, id="connection reset"),
    pytest.param({"action": "stall", "seconds": 60}, id="timed out"),
    pytest.param({"action": "status", "status": 502, "processed": True}, id="a gateway's error"),
    pytest.param({"action": "html", "status": 504}, id="a gateway's page before the service"),
]


@pytest.fixture
def hasty(sim: Simulator, connect: Any) -> dict[str, str]:
    """A connection that does not wait long for an answer."""
    fields = {"host": sim.url, "login": "demo-client", "password": "demo-secret"}
    connect("hasty", conn_type="xray", **fields, extra=json.dumps({"read_timeout": 2}))
    return {"xray_conn_id": "hasty", "account": "acme"}


@pytest.mark.parametrize("fault", LOST)
def test_a_request_whose_answer_is_lost_is_sent_once_in_a_try(
    sim: Simulator, hasty: dict[str, str], fault: dict[str, Any]
):
    sim.add_fault(path="/api/v2/backup$", method="POST", **fault)

    with pytest.raises(XBackupError, match="acme") as lost:
        create(**hasty)

    assert not isinstance(lost.value, AirflowFailException)  # the retry decides
    assert len(sim.journal.entries(**POST)) == 1


@pytest.fixture
def lost(sim: Simulator, hasty: dict[str, str], request: pytest.FixtureRequest) -> dict[str, str]:
    """The arguments of a task whose first try was accepted, and never heard of it."""
    sim.add_fault(path="/api/v2/backup$", method="POST", **request.param)
    with pytest.raises(XBackupError):
        create(**hasty)
    assert len(sim.journal.jobs()) == 1
    return hasty


after_a_lost_answer = pytest.mark.parametrize("lost", LOST[:3], indirect=True)


@after_a_lost_answer
def test_the_retry_after_a_lost_answer_waits_for_the_cooldown_where_that_is_wanted(
    sim: Simulator, lost: dict[str, str]
):
    assert timedelta(hours=5, minutes=59) < wait_of(on_cooldown="wait", **lost) <= timedelta(hours=6, minutes=1)
    assert len(sim.journal.jobs()) == 1


@after_a_lost_answer
def test_the_retry_after_a_lost_answer_is_skipped_where_that_is_wanted(sim: Simulator, lost: dict[str, str]):
    with pytest.raises(AirflowSkipException, match="acme"):
        create(on_cooldown="skip", **lost)

    assert len(sim.journal.jobs()) == 1


@after_a_lost_answer
def test_the_retry_after_a_lost_answer_fails_where_that_is_wanted(sim: Simulator, lost: dict[str, str]):
    with pytest.raises(AirflowFailException, match="acme"):
        create(on_cooldown="fail", **lost)

    assert len(sim.journal.jobs()) == 1


ENDINGS = pytest.mark.parametrize(
    ("on_cooldown", "ending"),
    [
        pytest.param("wait", TaskDeferred, id="waits"),
        pytest.param("skip", AirflowSkipException, id="is skipped"),
        pytest.param("fail", AirflowFailException, id="fails"),
    ],
)


@ENDINGS
@pytest.mark.parametrize("fault", LOST[:3])
def test_a_refusal_after_a_lost_answer_says_what_it_is_about(
    sim: Simulator,
    hasty: dict[str, str],
    capfd: pytest.CaptureFixture[str],
    fault: dict[str, Any],
    on_cooldown: str,
    ending: type[BaseException],
):
    store = StateStore()
    sim.add_fault(path="/api/v2/backup$", method="POST", **fault)
    with pytest.raises(XBackupError):
        create(store, **hasty)

    with pytest.raises(ending) as refused:
        create(store, on_cooldown=on_cooldown, **hasty)

    told = capfd.readouterr().out if on_cooldown == "wait" else str(refused.value)
    assert f"An earlier try of this task asked at {datetime.now(UTC):%Y-%m-%d}" in told
    assert "Its backup stays with Xray" in told


def test_a_refusal_that_no_lost_answer_explains_is_not_explained(sim: Simulator):
    create()

    with pytest.raises(AirflowSkipException) as refused:
        create(StateStore(), on_cooldown="skip")

    assert "earlier try" not in str(refused.value)


def test_without_a_state_store_the_refusal_of_a_later_try_says_perhaps(sim: Simulator):
    create()
    task = XrayCreateBackupOperator(task_id="create", xray_conn_id="acme", on_cooldown="skip")

    for try_number, said in ((1, False), (2, True)):
        with pytest.raises(AirflowSkipException) as refused:
            task.execute(make_context(store=None, try_number=try_number))
        assert ("Perhaps an earlier try of this task asked" in str(refused.value)) is said


def test_the_retry_after_a_request_that_never_arrived_gets_the_one_job(sim: Simulator):
    sim.add_fault(path="/api/v2/backup$", method="POST", action="reset")
    with pytest.raises(XBackupError):
        create()

    job = create()

    assert sim.journal.jobs() == [job["job_id"]]


# Without a task state store, before Airflow 3.3


@pytest.mark.parametrize(
    ("on_cooldown", "error"),
    [("wait", TaskDeferred), ("skip", AirflowSkipException), ("fail", AirflowFailException)],
)
def test_without_a_state_store_a_retry_asks_again_and_does_about_the_cooldown_what_is_wanted(
    sim: Simulator, caplog: pytest.LogCaptureFixture, on_cooldown: str, error: type[Exception]
):
    task = XrayCreateBackupOperator(task_id="create", xray_conn_id="acme", on_cooldown=on_cooldown)
    job = task.execute(make_context(store=None))

    with caplog.at_level(logging.INFO), pytest.raises(error):
        task.execute(make_context(store=None))

    assert sim.journal.jobs() == [job["job_id"]]
    assert "no task state store" in caplog.text
    assert "waits for the cooldown" in caplog.text


# How long


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        pytest.param("in: 5 hours.", timedelta(hours=5), id="hours only"),
        pytest.param(
            "in: 56 minutes and 47 seconds.", timedelta(minutes=56, seconds=47), id="minutes and seconds"
        ),
        pytest.param(
            "in: 1 hour, 1 minute and 1 second.", timedelta(hours=1, minutes=1, seconds=1), id="singular"
        ),
        pytest.param("in: 30 seconds, 2 minutes and 1 hour", timedelta(minutes=62, seconds=30), id="other order"),
        pytest.param("soon.", timedelta(minutes=20), id="no time, so what is configured"),
        pytest.param("in: six hours.", timedelta(minutes=20), id="unparsable, so what is configured"),
    ],
)
def test_the_task_wakes_shortly_after_the_instant_the_server_named(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch, said: str, wait: timedelta
):
    monkeypatch.setenv("AIRFLOW__XBACKUP__XRAY_COOLDOWN", "1200")
    refusal = {"error": f"A backup can be created once every 6 hours, you can create a new one {said}"}
    sim.add_fault(action="status", status=400, body=json.dumps(refusal), path="/api/v2/backup$", method="POST")

    waits = wait_of()

    assert wait - timedelta(seconds=20) < waits <= wait + min(wait / 20, timedelta(minutes=1))


def test_what_is_configured_for_refusals_is_not_how_long_a_job_is_picked_up(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIRFLOW__XBACKUP__XRAY_COOLDOWN", "60")
    sim.clock.set(datetime.now(UTC) - timedelta(hours=5))
    sim.settings.xray.cooldown_seconds = 0
    store = StateStore()
    first = create(store)
    sim.clock.set(datetime.now(UTC))

    assert create(store) == first


def test_what_airflow_keeps_of_a_waiting_task_holds_no_secret(sim: Simulator):
    create()

    with pytest.raises(TaskDeferred) as deferred:
        create()

    kept = repr(deferred.value.trigger.serialize()) + repr(deferred.value.kwargs)
    assert "demo-secret" not in kept
    assert "demo-client" not in kept
