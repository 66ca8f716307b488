"""A bot's hour is spent once, whatever becomes of the answer and however often the task is tried."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, TaskDeferred
from stand_in import StateStore, make_context, objects

from airflow_provider_xbackup.exceptions import XBackupError, XBackupFailError
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault

GET = "/bots/backup$"


@pytest.fixture(autouse=True)
def private_spool(spool_dir: Path) -> None:
    """No test spools where another does."""


def run(vault: Vault, context: Any = None, **arguments: Any) -> dict[str, Any]:
    defaults = {"task_id": "store", "vault": str(vault.url), "xenioo_conn_id": "welcome"}
    return XeniooToObjectStorageOperator(**defaults | arguments).execute(context or make_context())


def wait_of(vault: Vault, context: Any = None, **arguments: Any) -> timedelta:
    """Run a try into the cooldown; returns how long it waits."""
    with pytest.raises(TaskDeferred) as deferred:
        run(vault, context, **arguments)
    assert deferred.value.method_name == "try_again"
    return deferred.value.trigger.moment - datetime.now(UTC)


def is_about(wait: timedelta, named: timedelta) -> bool:
    return named - timedelta(seconds=20) < wait <= named + timedelta(minutes=1)


def accepted(sim: Simulator) -> int:
    return len([entry for entry in sim.journal.entries(path="/bots/backup") if entry.status == 200])


def test_retries_clears_and_mapped_siblings_spend_one_hour(sim: Simulator, vault: Vault):
    first = run(vault)
    for try_number in (2, 3, 4):
        assert run(vault, make_context(try_number=try_number)) == first  # retries and clears
    for map_index in (1, 2, 1, 2):
        wait_of(vault, make_context(map_index=map_index))

    assert accepted(sim) == 1


# An answer in hand on another machine

elsewhere = pytest.mark.parametrize(
    ("on_cooldown", "ending"),
    [
        pytest.param("wait", TaskDeferred, id="waits"),
        pytest.param("skip", AirflowSkipException, id="is skipped"),
        pytest.param("fail", AirflowFailException, id="fails"),
    ],
)


@elsewhere
def test_a_retry_on_another_machine_than_its_answer_follows_on_cooldown(
    sim: Simulator,
    vault: Vault,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    on_cooldown: str,
    ending: type[BaseException],
):
    in_the_way = Path(vault.url.prefix) / "xenioo" / "welcome"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("")
    with pytest.raises(XBackupError, match="welcome"):
        run(vault, on_cooldown=on_cooldown)
    in_the_way.unlink()
    monkeypatch.setenv("AIRFLOW__XBACKUP__SPOOL_DIR", str(tmp_path / "another machine's"))

    with pytest.raises(ending):
        run(vault, make_context(try_number=2), on_cooldown=on_cooldown)

    assert accepted(sim) == 1
    assert list(vault.backups()) == []


# Calls whose answer never came

LOST = [
    pytest.param({"action": "drop_answer"}, id="connection reset"),
    pytest.param({"action": "stall", "seconds": 60}, id="timed out"),
]


@pytest.fixture
def hasty(sim: Simulator, connect: Any) -> dict[str, str]:
    """A connection that does not wait long for an answer."""
    fields = {"host": sim.xenioo_url("welcome"), "password": "welcome-token"}
    connect("hasty", conn_type="xenioo", **fields, extra=json.dumps({"read_timeout": 2}))
    return {"xenioo_conn_id": "hasty", "account": "welcome"}


@pytest.fixture
def lost(sim: Simulator, vault: Vault, hasty: dict[str, str], request: pytest.FixtureRequest) -> dict[str, str]:
    """The arguments of a task whose first try was answered, and never heard of it."""
    sim.add_fault(path=GET, **request.param)
    with pytest.raises(XBackupError, match="not known") as error:
        run(vault, **hasty)
    assert not isinstance(error.value, AirflowFailException)  # the retry decides
    assert len(sim.journal.entries(path="/bots/backup")) == 1
    return hasty


after_a_lost_answer = pytest.mark.parametrize("lost", LOST, indirect=True)


@after_a_lost_answer
def test_the_retry_after_a_lost_answer_waits_for_the_hour_where_that_is_wanted(vault: Vault, lost: dict[str, str]):
    assert is_about(wait_of(vault, on_cooldown="wait", **lost), timedelta(hours=1))


@after_a_lost_answer
def test_the_retry_after_a_lost_answer_is_skipped_where_that_is_wanted(vault: Vault, lost: dict[str, str]):
    with pytest.raises(AirflowSkipException, match="welcome"):
        run(vault, on_cooldown="skip", **lost)


@after_a_lost_answer
def test_the_retry_after_a_lost_answer_fails_where_that_is_wanted(vault: Vault, lost: dict[str, str]):
    with pytest.raises(AirflowFailException, match="welcome"):
        run(vault, on_cooldown="fail", **lost)


@elsewhere
@pytest.mark.parametrize(
    "fault",
    [*LOST, pytest.param({"action": "reset", "after_bytes": 9000}, id="broken off, then on another machine")],
)
def test_a_refusal_after_a_lost_answer_says_what_it_is_about(
    sim: Simulator,
    vault: Vault,
    hasty: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    fault: dict[str, Any],
    on_cooldown: str,
    ending: type[BaseException],
):
    store = StateStore()
    sim.settings.xenioo.broken_call_spends = True
    sim.add_fault(path=GET, **fault)
    with pytest.raises(XBackupError):
        run(vault, make_context(store), **hasty)
    monkeypatch.setenv("AIRFLOW__XBACKUP__SPOOL_DIR", str(tmp_path / "another machine's"))

    with pytest.raises(ending) as refused:
        run(vault, make_context(store, try_number=2), on_cooldown=on_cooldown, **hasty)

    told = capfd.readouterr().out if on_cooldown == "wait" else str(refused.value)
    assert f"An earlier try of this task called the bot at {datetime.now(UTC):%Y-%m-%d}" in told
    assert "what it brought is lost" in told


def test_a_refusal_by_the_note_of_this_machine_explains_itself(sim: Simulator, vault: Vault):
    store = StateStore()
    sim.add_fault(path=GET, action="reset", after_bytes=9000)
    with pytest.raises(XBackupError):
        run(vault, make_context(store))

    with pytest.raises(AirflowSkipException, match="its answer was lost or could not be used") as refused:
        run(vault, make_context(store, try_number=2), on_cooldown="skip")

    assert "earlier try" not in str(refused.value)


def test_without_a_state_store_the_refusal_of_a_later_try_says_perhaps(sim: Simulator, vault: Vault):
    run(vault)

    for try_number, said in ((1, False), (2, True)):
        with pytest.raises(AirflowSkipException) as refused:
            run(vault, make_context(run_id="run 2", try_number=try_number), on_cooldown="skip")
        assert ("Perhaps an earlier try of this task called" in str(refused.value)) is said


def test_the_retry_after_a_call_that_never_arrived_takes_the_backup(sim: Simulator, vault: Vault):
    sim.add_fault(path=GET, action="reset")
    with pytest.raises(XBackupError):
        run(vault)

    run(vault, make_context(try_number=2))

    assert accepted(sim) == 1
    assert len(list(vault.backups())) == 1


# What a refusal may look like

IN_HALF_AN_HOUR = "the date in half an hour"
HOUR = timedelta(hours=1)
CERTAIN = [
    pytest.param({"status": 429}, HOUR, id="429"),
    pytest.param({"status": 429, "headers": {"retry-after": "600"}}, timedelta(minutes=10), id="429 with seconds"),
    pytest.param(
        {"status": 429, "headers": {"retry-after": IN_HALF_AN_HOUR}}, timedelta(minutes=30), id="429 with a date"
    ),
    pytest.param({"status": 429, "headers": {"retry-after": "later"}}, HOUR, id="429 with a word"),
    pytest.param({"status": 400, "body": "Only once per hour for each bot."}, HOUR, id="400 with text"),
    pytest.param({"status": 403, "body": '{"error": "too many calls"}'}, HOUR, id="403 with an error"),
    pytest.param({"status": 200, "body": '{"error": "once per hour"}'}, HOUR, id="200 with an error"),
]
UNCERTAIN = [
    pytest.param({"status": 400, "body": "Error"}, HOUR, id="400 that says nothing"),
    pytest.param({"status": 400}, HOUR, id="400 that is empty"),
    pytest.param({"status": 403}, HOUR, id="403 that is empty"),
]


def refuse(sim: Simulator, answer: dict[str, Any], times: int | None = None) -> None:
    headers = dict(answer.get("headers", {}))
    if headers.get("retry-after") == IN_HALF_AN_HOUR:
        headers["retry-after"] = format_datetime(datetime.now(UTC) + timedelta(minutes=30), usegmt=True)
    sim.add_fault(path=GET, action="status", times=times, **answer | {"headers": headers})


@pytest.mark.parametrize(("answer", "named"), [*CERTAIN, *UNCERTAIN])
def test_a_refusal_is_waited_for_as_long_as_it_says_or_an_hour(
    sim: Simulator, vault: Vault, answer: dict[str, Any], named: timedelta
):
    refuse(sim, answer)

    assert is_about(wait_of(vault), named)
    assert objects(vault) == []


@pytest.mark.parametrize(("answer", "named"), [*CERTAIN, *UNCERTAIN])
def test_a_refusal_skips_the_task_where_that_is_wanted(
    sim: Simulator, vault: Vault, answer: Any, named: timedelta
):
    refuse(sim, answer)

    with pytest.raises(AirflowSkipException, match="welcome"):
        run(vault, on_cooldown="skip")


@pytest.mark.parametrize(("answer", "named"), [*CERTAIN, *UNCERTAIN])
def test_a_refusal_fails_the_task_where_that_is_wanted(
    sim: Simulator, vault: Vault, answer: Any, named: timedelta
):
    refuse(sim, answer)

    with pytest.raises(AirflowFailException, match="welcome"):
        run(vault, on_cooldown="fail")


def again(vault: Vault, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Wake from a wait, as the worker does."""
    task = XeniooToObjectStorageOperator(task_id="store", vault=str(vault.url), xenioo_conn_id="welcome")
    return task.try_again(make_context(), "now", **kwargs)


@pytest.mark.parametrize(("answer", "named"), CERTAIN)
def test_a_second_refusal_is_waited_for_as_well(sim: Simulator, vault: Vault, answer: Any, named: timedelta):
    refuse(sim, answer)
    with pytest.raises(TaskDeferred) as first:
        run(vault)

    with pytest.raises(TaskDeferred) as second:
        again(vault, first.value.kwargs)

    assert second.value.kwargs == {"give_up_at": first.value.kwargs["give_up_at"], "refusals": 2}


@pytest.mark.parametrize(("answer", "named"), UNCERTAIN)
def test_a_second_refusal_that_may_be_the_token_is_final(
    sim: Simulator, vault: Vault, answer: Any, named: timedelta
):
    refuse(sim, answer)
    with pytest.raises(TaskDeferred) as first:
        run(vault)

    with pytest.raises(XBackupFailError, match=r"token.*the answer is the same"):
        again(vault, first.value.kwargs)


@pytest.mark.parametrize(("answer", "named"), [*CERTAIN, *UNCERTAIN])
def test_what_was_refused_is_taken_when_the_wait_is_over(
    sim: Simulator, vault: Vault, answer: Any, named: timedelta
):
    refuse(sim, answer, times=1)
    with pytest.raises(TaskDeferred) as first:
        run(vault)

    again(vault, first.value.kwargs)

    assert accepted(sim) - (answer["status"] == 200) == 1
    assert len(list(vault.backups())) == 1


def test_waiting_ends_at_max_wait(sim: Simulator, vault: Vault):
    refuse(sim, {"status": 429, "headers": {"retry-after": "7200"}})

    with pytest.raises(XBackupFailError, match=r"welcome.*max_wait"):
        run(vault, max_wait=timedelta(hours=1))


def test_what_airflow_keeps_of_a_waiting_task_holds_no_secret(sim: Simulator, vault: Vault):
    refuse(sim, {"status": 429, "body": "welcome-token is throttled"})

    with pytest.raises(TaskDeferred) as deferred:
        run(vault)

    assert "welcome-token" not in repr(deferred.value.trigger.serialize()) + repr(deferred.value.kwargs)


# The configured hour


def test_a_lost_answer_is_respected_for_as_long_as_is_configured(
    sim: Simulator, vault: Vault, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIRFLOW__XBACKUP__XENIOO_COOLDOWN", "900")
    sim.add_fault(path=GET, action="truncate", after_bytes=1000)
    with pytest.raises(XBackupError):
        run(vault)
    sim.journal.clear()

    assert is_about(wait_of(vault, make_context(try_number=2)), timedelta(minutes=15))
    assert not sim.journal.entries()


def test_what_is_configured_for_refusals_is_not_how_long_a_stored_backup_is_returned(
    sim: Simulator, vault: Vault, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIRFLOW__XBACKUP__XENIOO_COOLDOWN", "60")
    sim.clock.set(datetime.now(UTC) - timedelta(minutes=30))
    first = run(vault)

    assert run(vault, make_context(try_number=2)) == first
    assert accepted(sim) == 1


# A backup that has expired


def test_a_backup_that_has_expired_within_the_hour_is_not_returned_as_stored(sim: Simulator, vault: Vault):
    run(vault)
    (backup,) = vault.backups()
    vault.store.create(f"{backup.path.folder}/tombstone.json", b"{}")

    wait_of(vault, make_context(try_number=2))


def test_a_backup_whose_file_is_gone_is_not_returned_as_stored(sim: Simulator, vault: Vault):
    run(vault)
    (backup,) = vault.backups()
    vault.store.delete(backup.path.file(backup.manifest.artifacts[0].name))

    wait_of(vault, make_context(try_number=2))
