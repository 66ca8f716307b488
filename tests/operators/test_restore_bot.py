"""A bot made of a backup: once, of sound bytes, and its keys where they belong and nowhere else."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage
import pytest
from airflow.models.connection import Connection
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, TaskDeferred
from stand_in import StateStore, make_context

from airflow_provider_xbackup.exceptions import XBackupError, XBackupFailError
from airflow_provider_xbackup.hooks.xenioo import XeniooHook
from airflow_provider_xbackup.operators.xenioo import XeniooCompareBackupsOperator, XeniooRestoreBotOperator
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.tasks.new_keys import FilePlace, KeyPlaceTakenError
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault

KEYS = {"account_api_key": "demo-account", "bot_api_key": "welcome-key", "bot_api_secret": "welcome-secret"}


@dataclass
class Supervisor:
    """What a task asks its supervisor about Variables, and what it is told to mask."""

    variables: dict[str, str] = field(default_factory=dict)
    masked: list[Any] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    broken: Callable[[Any], bool] = lambda message: False

    def send(self, message: Any) -> Any:
        from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
        from airflow.sdk.execution_time import comms

        kind = type(message).__name__
        self.asked.append(kind)
        if self.broken(message):
            raise AirflowRuntimeError(comms.ErrorResponse(error=ErrorType.API_SERVER_ERROR))
        if kind == "MaskSecret":
            self.masked.append(message.value)
        elif kind == "PutVariable":
            self.variables[message.key] = message.value
        elif kind == "DeleteVariable":
            self.variables.pop(message.key)
        elif kind == "GetVariableKeys":
            found = [name for name in self.variables if name.startswith(message.prefix)]
            return comms.VariableKeysResult(keys=found, total_entries=len(found))
        elif kind == "GetVariable" and message.key in self.variables:
            return comms.VariableResult(key=message.key, value=self.variables[message.key])
        else:
            return comms.ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND)
        return comms.OKResponse(ok=True)


@pytest.fixture(autouse=True)
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    from airflow.sdk.execution_time import task_runner

    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    return supervisor


@pytest.fixture(autouse=True)
def private_spool(spool_dir: Path) -> None:
    """No test puts keys where another does."""


@pytest.fixture(autouse=True)
def keys(sim: Simulator, connect: Callable[..., None]) -> None:
    """A connection whose keys are known, so that the new bot's connection is complete."""
    extra = json.dumps({**KEYS, "stall_timeout": 1, "read_timeout": 15})
    connect("keys", conn_type="xenioo", host=sim.xenioo_url("welcome"), extra=extra)


@pytest.fixture
def take(sim: Simulator, vault: Vault) -> Callable[..., dict[str, Any]]:
    """Back up the bot; returns what the transfer returns."""

    def take(conn_id: str = "welcome", **arguments: Any) -> dict[str, Any]:
        # A second later, and without its hour: backups dated in the future do not count.
        sim.advance(1)
        sim.configure({"xenioo": {"cooldown_seconds": 0}})
        values = {"task_id": "store", "vault": str(vault.url), "account": "welcome", "xenioo_conn_id": conn_id}
        transfer = XeniooToObjectStorageOperator(**values | arguments)
        found: dict[str, Any] = transfer.execute(make_context(run_id=f"at {sim.clock.now()}"))
        sim.configure({"xenioo": {"cooldown_seconds": 3600}})
        return found

    return take


@pytest.fixture
def restore(vault: Vault) -> Callable[..., dict[str, Any]]:
    def restore(context: Any = None, **arguments: Any) -> dict[str, Any]:
        return operator(vault, **arguments).execute(context or make_context(task_id="restore"))

    return restore


def operator(vault: Vault, /, **arguments: Any) -> XeniooRestoreBotOperator:
    if "keys_file" not in arguments:
        arguments.setdefault("keys_variable", "new_bot")
    defaults = {
        "task_id": "restore",
        "vault": str(vault.url),
        "backup_id": "latest",
        "account": "welcome",
        "xenioo_conn_id": "keys",
    }
    return XeniooRestoreBotOperator(**defaults | arguments)


def asked(sim: Simulator) -> int:
    return len(sim.journal.entries("/bots/restore"))


def restored(sim: Simulator) -> list[Any]:
    return [bot for bot in sim._world.bots.all() if bot.token is None]


def path_of(vault: Vault, summary: dict[str, Any]) -> Path:
    folder = Path(vault.url.prefix) / "xenioo" / summary["account"] / summary["backup_id"]
    (file,) = folder.glob("bot.*")
    return file


# The bot


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_a_new_bot_is_what_was_backed_up(
    sim: Simulator, take, restore, encrypted: bool, monkeypatch: pytest.MonkeyPatch
):
    identity = pyrage.x25519.Identity.generate()
    if encrypted:
        monkeypatch.setenv("XBACKUP_AGE_IDENTITY", str(identity))
    summary = take(compress=encrypted, encrypt_to=str(identity.to_public()) if encrypted else None)

    made = restore()

    (bot,) = restored(sim)
    assert bot.content == sim._world.bots.find("welcome").content
    assert made == {
        "service": "xenioo",
        "account": "welcome",
        "backup_id": summary["backup_id"],
        "vault": summary["vault"],
        "bot": "welcome-restored-1",
        "keys_variable": "new_bot",
        "keys_file": None,
        "xenioo_conn_id": "variable:new_bot",
    }


def test_what_a_transfer_returned_can_be_restored(sim: Simulator, take, restore):
    first = take()
    sim.configure({"xenioo": {"bots": {"welcome": {"revision": 1}}}})
    take()

    assert restore(backup_id=first)["backup_id"] == first["backup_id"]


def test_the_account_is_the_connections_unless_told_otherwise(take, restore):
    take(account="keys")
    take("support", account="support")

    assert restore(account=None)["account"] == "keys"


def test_an_id_is_looked_for_in_all_accounts(take, restore):
    summary = take("support", account="support")

    assert restore(account=None, backup_id=summary["backup_id"])["account"] == "support"


def test_without_the_accounts_key_nobody_tells_the_new_bots_name(take, restore, supervisor: Supervisor):
    take()

    assert restore(xenioo_conn_id="welcome")["bot"] is None
    assert "account_api_key" not in json.loads(supervisor.variables["new_bot"])["extra"]


# Its keys


def test_the_variable_holds_a_connection_that_airflow_can_import(
    sim: Simulator, take, restore, supervisor: Supervisor
):
    take()
    restore()

    (bot,) = restored(sim)
    conn = Connection.from_json(supervisor.variables["new_bot"], conn_id="imported")
    assert (conn.conn_type, conn.host) == ("xenioo", sim.xenioo_url("welcome"))
    assert conn.extra_dejson == {
        "account_api_key": "demo-account",
        "bot_api_key": bot.api_key,
        "bot_api_secret": bot.api_secret,
        "stall_timeout": 1,
        "read_timeout": 15,
    }


def test_the_new_bot_is_backed_up_through_the_variable(sim: Simulator, vault: Vault, take, restore):
    take()
    made = restore()

    copied = take(made["xenioo_conn_id"], account="copy")

    assert path_of(vault, copied).read_bytes() == restored(sim)[0].content


@pytest.mark.parametrize(
    ("value", "says"),
    [
        pytest.param(None, "no Variable 'new_bot'", id="no Variable"),
        pytest.param("hello", "holds no connection", id="a text"),
        pytest.param('{"conn_type": "xray"}', "holds no connection", id="another service"),
        pytest.param('{"conn_type": "xenioo", "nonsense": 1}', "holds no connection", id="an unknown field"),
        pytest.param("[1]", "holds no connection", id="a list"),
    ],
)
def test_a_variable_without_a_connection_is_told_of(supervisor: Supervisor, value: str | None, says: str):
    if value is not None:
        supervisor.variables["new_bot"] = value

    with pytest.raises(XBackupFailError, match=says):
        XeniooHook("variable:new_bot").client  # noqa: B018 - reads the connection


def test_keys_in_a_file_are_for_the_workers_user_alone(sim: Simulator, take, restore, tmp_path: Path):
    take()
    file = tmp_path / "keys.json"

    made = restore(keys_file=str(file))

    assert (made["keys_file"], made["keys_variable"], made["xenioo_conn_id"]) == (str(file), None, None)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["extra"]["bot_api_key"] == restored(sim)[0].api_key
    assert list(tmp_path.glob("*keys*")) == [file]


def test_the_keys_are_masked_before_the_variable_is_written_and_are_in_no_result_and_no_log(
    sim: Simulator, take, restore, supervisor: Supervisor, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    take()
    supervisor.asked.clear()

    made = restore()

    (bot,) = restored(sim)
    assert [each for each in (bot.api_key, bot.api_secret, "demo-account") if each not in supervisor.masked] == []
    last_put = len(supervisor.asked) - 1 - supervisor.asked[::-1].index("PutVariable")
    assert supervisor.asked[:last_put].count("MaskSecret") >= 3
    said = json.dumps(made) + caplog.text
    assert [secret for secret in (bot.api_key, bot.api_secret, "demo-account") if secret in said] == []


@pytest.mark.parametrize("place", ["variable", "file", "environment"])
def test_what_is_there_is_never_overwritten_and_nothing_is_asked_for(
    sim: Simulator, take, restore, supervisor: Supervisor, tmp_path: Path, monkeypatch, place: str
):
    take()
    file = tmp_path / "keys.json"
    file.write_text("mine")
    supervisor.variables["taken"] = "mine"
    monkeypatch.setenv("AIRFLOW_VAR_OF_ENVIRONMENT", "mine")
    places = {
        "variable": {"keys_variable": "taken"},
        "file": {"keys_file": str(file)},
        "environment": {"keys_variable": "of_environment"},
    }

    with pytest.raises(XBackupFailError, match="exists already and is never overwritten"):
        restore(**places[place])

    assert not asked(sim)
    assert (file.read_text(), supervisor.variables) == ("mine", {"taken": "mine"})


def test_a_variable_that_cannot_be_read_is_not_taken_for_a_free_one(
    sim: Simulator, take, restore, supervisor: Supervisor
):
    take()
    supervisor.variables["new_bot"] = "mine"
    supervisor.broken = lambda message: type(message).__name__ == "GetVariable"

    with pytest.raises(XBackupError, match="could not be read") as caught:
        restore()

    assert not isinstance(caught.value, AirflowFailException)
    assert not asked(sim)
    assert supervisor.variables == {"new_bot": "mine"}


def test_a_place_that_cannot_be_written_is_found_out_before_the_bot_is_asked_for(
    sim: Simulator, take, restore, supervisor: Supervisor
):
    take()
    supervisor.broken = lambda message: type(message).__name__ == "PutVariable"

    # Below 3.3 Airflow does not say that it could not write, but it cannot read it back.
    with pytest.raises(XBackupError, match=r"could not be written|has another value"):
        restore()

    assert not asked(sim)


def test_keys_that_cannot_be_put_into_the_variable_are_kept_in_the_spool_folder_and_settled_by_the_next_try(
    sim: Simulator, take, restore, supervisor: Supervisor, spool_dir: Path
):
    take()
    supervisor.broken = lambda message: type(message).__name__ == "PutVariable" and asked(sim) > 0

    with pytest.raises(XBackupFailError, match=r"The bot was made.*\.keys on .*no second bot") as caught:
        restore()
    (file,) = spool_dir.glob("*.keys")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert str(file) in str(caught.value)
    assert restored(sim)[0].api_secret not in str(caught.value)

    supervisor.broken = lambda message: False
    restore()

    assert (asked(sim), list(spool_dir.glob("*.keys"))) == (1, [])
    assert json.loads(supervisor.variables["new_bot"])["extra"]["bot_api_key"] == restored(sim)[0].api_key


def test_keys_for_which_there_is_no_place_at_all_are_said_to_be_lost(
    sim: Simulator, take, restore, supervisor: Supervisor, spool_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    take()
    monkeypatch.setenv("AIRFLOW__XBACKUP__SPOOL_DIR", "/proc/nowhere")
    supervisor.broken = lambda message: type(message).__name__ == "PutVariable" and asked(sim) > 0

    with pytest.raises(XBackupFailError, match="the product shows its keys"):
        restore()


@dataclass
class Somebody:
    """Takes the Variable once, when something has happened, and leaves it alone from then on."""

    supervisor: Supervisor
    happened: Callable[[], bool]
    came: bool = False

    def __call__(self, message: Any) -> bool:
        if not self.came and self.happened():
            self.came = True
            self.supervisor.variables["new_bot"] = "mine"
        return False


def test_a_place_that_somebody_took_while_the_bot_was_made_is_not_overwritten(
    sim: Simulator, take, restore, supervisor: Supervisor, spool_dir: Path
):
    take()
    supervisor.broken = Somebody(supervisor, lambda: asked(sim) > 0)

    with pytest.raises(XBackupFailError, match=r"The bot was made.*\.keys"):
        restore()

    assert supervisor.variables["new_bot"] == "mine"
    assert len(list(spool_dir.glob("*.keys"))) == 1


def test_a_place_that_somebody_took_before_the_bot_was_asked_for_is_not_overwritten(
    sim: Simulator, take, restore, supervisor: Supervisor
):
    take()
    supervisor.broken = Somebody(supervisor, lambda: len(sim.journal.entries("/authorization/integration")) > 0)

    with pytest.raises(XBackupFailError, match="never overwritten"):
        restore()

    assert not asked(sim)
    assert supervisor.variables == {"new_bot": "mine"}


def test_a_file_that_came_into_being_this_instant_is_not_overwritten(tmp_path: Path):
    file = tmp_path / "keys.json"
    file.write_text("mine")

    with pytest.raises(KeyPlaceTakenError):
        FilePlace(file).create("keys")

    assert file.read_text() == "mine"


# Once


def test_a_request_whose_answer_never_came_is_not_repeated_by_the_retry(
    sim: Simulator, take, restore, supervisor: Supervisor
):
    take()
    sim.add_fault(action="drop_answer", path="/bots/restore$")

    with pytest.raises(XBackupFailError, match=r"Whether the bot was made is not known.*'new_bot'"):
        restore(make_context(StateStore(), task_id="restore"))
    sim.advance(3601)
    with pytest.raises(XBackupFailError, match=r"nightly / restore, run run 1 asked for a new bot.*not known"):
        restore(make_context(StateStore(), task_id="restore", try_number=2))

    assert asked(sim) == 1


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"action": "status", "status": 500}, id="the server fails"),
        pytest.param({"action": "html", "status": 200}, id="a page"),
        pytest.param({"action": "truncate", "after_bytes": 5}, id="an answer that is cut off"),
    ],
)
def test_an_answer_that_leaves_it_open_whether_there_is_a_bot_is_not_asked_for_again(
    sim: Simulator, take, restore, fault: dict[str, Any]
):
    take()
    sim.add_fault(path="/bots/restore$", **fault)

    for _ in range(2):
        with pytest.raises(XBackupFailError, match="not known"):
            restore()

    assert asked(sim) == 1


def test_a_person_who_has_looked_removes_the_reservation_and_goes_on(
    sim: Simulator, take, restore, supervisor: Supervisor
):
    take()
    sim.add_fault(action="status", status=500, path="/bots/restore$")
    with pytest.raises(XBackupFailError):
        restore()

    del supervisor.variables["new_bot"]
    restore()

    assert len(restored(sim)) == 1


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        pytest.param({"status": 404, "body": ""}, XBackupFailError, id="not found"),
        pytest.param({"status": 401, "body": ""}, XBackupFailError, id="not allowed"),
    ],
)
def test_a_refusal_gives_the_place_back(
    sim: Simulator, take, restore, supervisor: Supervisor, settings: dict[str, Any], kind: type[Exception]
):
    take()
    sim.add_fault(action="status", path="/bots/restore$", status=settings["status"])

    with pytest.raises(kind):
        restore(xenioo_conn_id="welcome")

    assert supervisor.variables == {}


def test_a_login_that_fails_leaves_nothing_open(sim: Simulator, take, restore, supervisor: Supervisor):
    take()
    sim.add_fault(action="status", status=500, path="/authorization", times=20)

    with pytest.raises(XBackupError) as caught:
        restore()

    assert not isinstance(caught.value, AirflowFailException)
    assert (asked(sim), supervisor.variables) == (0, {})


def test_a_try_that_died_after_it_had_put_the_keys_into_their_place_is_not_repeated(sim: Simulator, take, restore):
    take()
    first = restore()

    second = restore()

    assert second == {**first, "bot": None}
    assert asked(sim) == 1


def test_another_run_does_not_take_the_keys_of_this_one_for_its_own(sim: Simulator, take, restore):
    take()
    restore()
    sim.advance(3601)

    with pytest.raises(XBackupFailError, match="never overwritten"):
        restore(make_context(task_id="restore", run_id="run 2"))


def test_a_task_cleared_after_its_keys_were_moved_away_makes_no_second_bot(
    sim: Simulator, take, restore, supervisor: Supervisor
):
    take()
    store = StateStore()
    restore(make_context(store, task_id="restore"))
    sim.advance(3601)
    supervisor.variables.clear()

    with pytest.raises(XBackupFailError, match=r"has made a bot of backup .* before"):
        restore(make_context(store, task_id="restore"))

    assert len(restored(sim)) == 1


# The hour


def test_the_hour_is_waited_for_without_a_worker_and_without_a_reservation(
    sim: Simulator, vault: Vault, take, restore, supervisor: Supervisor
):
    take()
    restore()

    task = operator(vault, keys_variable="second")
    context = make_context(task_id="restore", run_id="run 2")
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    assert list(supervisor.variables) == ["new_bot"]
    sim.advance(3601)

    task.try_again(context, **deferred.value.kwargs)

    assert list(supervisor.variables) == ["new_bot", "second"]
    assert len(restored(sim)) == 2


@pytest.mark.parametrize(
    ("on_cooldown", "raises"),
    [pytest.param("skip", AirflowSkipException, id="skip"), pytest.param("fail", AirflowFailException, id="fail")],
)
def test_the_hour_can_end_the_task(take, restore, on_cooldown: str, raises: type[Exception]):
    take()
    restore()

    with pytest.raises(raises):
        restore(make_context(task_id="restore", run_id="run 2"), keys_variable="second", on_cooldown=on_cooldown)


# What is not restored


def test_a_damaged_backup_is_never_sent(sim: Simulator, vault: Vault, take, restore, supervisor: Supervisor):
    file = path_of(vault, take())
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)

    with pytest.raises(XBackupFailError, match="other bytes than were stored"):
        restore()

    assert (asked(sim), supervisor.variables) == (0, {})


@pytest.fixture
def suspect(sim: Simulator, take) -> dict[str, Any]:
    sim.configure({"xenioo": {"bots": {"welcome": {"backup_bytes": 100_000}}}})
    take()
    sim.configure({"xenioo": {"bots": {"welcome": {"backup_bytes": 1_000, "revision": 1}}}})
    return take()


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param(lambda it: "latest", id="the latest"),
        pytest.param(lambda it: it["backup_id"][:-1], id="not its whole id"),
        pytest.param(lambda it: it, id="what the transfer returned"),
        pytest.param(lambda it: it | {"asked_for": "latest"}, id="what a hold of the latest returned"),
        pytest.param(lambda it: "as-of 2999-12-31T00:00:00Z", id="an instant"),
    ],
)
def test_a_suspect_is_restored_only_where_its_id_is_given(sim: Simulator, restore, suspect, chosen):
    with pytest.raises(XBackupFailError, match=f"is suspect.*backup_id='{suspect['backup_id']}'"):
        restore(backup_id=chosen(suspect))

    assert not asked(sim)
    assert restore(backup_id=suspect["backup_id"])["backup_id"] == suspect["backup_id"]


def test_a_suspect_that_was_held_by_its_id_is_restored(sim: Simulator, restore, suspect):
    held = suspect | {"asked_for": suspect["backup_id"], "state": "suspect", "flaws": []}

    assert restore(backup_id=held)["backup_id"] == suspect["backup_id"]


def test_a_backup_that_a_check_has_refuted_is_not_restored_as_the_latest(
    sim: Simulator, vault: Vault, take, restore
):
    summary = take()
    file = next(path_of(vault, summary).parent.glob("bot.*"))
    file.rename(file.with_name("elsewhere"))

    with pytest.raises(XBackupFailError, match=r"is damaged\. bot\..* is not there\. If it is the one"):
        restore(backup_id="latest")
    assert not asked(sim)


def test_an_expired_backup_is_restored_only_where_its_id_is_given(sim: Simulator, vault: Vault, take, restore):
    summary = take()
    (path_of(vault, summary).parent / "tombstone.json").write_text("{}")

    with pytest.raises(XBackupFailError, match="no backup of xenioo/welcome"):
        restore()

    assert restore(backup_id=summary["backup_id"])["bot"] == "welcome-restored-1"


def test_no_backup_of_xray_is_restored(take, restore):
    take()
    summary = {"service": "xray", "account": "acme", "backup_id": "20261123T014500Z-full-1a2b3c4d"}

    with pytest.raises(XBackupFailError, match="no bot"):
        restore(backup_id=summary)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param({"keys_variable": None}, "keys_variable .* or to keys_file", id="no place for the keys"),
        pytest.param({"keys_variable": "a", "keys_file": "/b"}, "keys_variable .* or", id="two places"),
        pytest.param({"keys_variable": " "}, "name of an Airflow Variable", id="a Variable without a name"),
        pytest.param({"keys_variable": "x" * 251}, "name of an Airflow Variable", id="a name too long"),
        pytest.param({"keys_file": "keys.json"}, "absolute path", id="a relative path"),
        pytest.param({"backup_id": ["latest", "latest-verified"]}, "one backup", id="two backups"),
        pytest.param({"backup_id": "newest"}, "names no backup", id="an unknown word"),
        pytest.param({"on_cooldown": "pray"}, "on_cooldown", id="an unknown on_cooldown"),
        pytest.param({"vault": "ftp://x"}, "vault", id="an unknown store"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused_when_the_dag_is_parsed(
    vault: Vault, arguments: dict[str, Any], says: str
):
    with pytest.raises(XBackupError, match=says):
        operator(vault, **arguments)


# Comparing


def compare(original: dict[str, Any], copy: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    task = XeniooCompareBackupsOperator(task_id="compare", original=original, copy=copy, **arguments)
    return task.execute(make_context())


@pytest.fixture
def drill(sim: Simulator, take, restore) -> Callable[..., Any]:
    """Restore a bot and back the new one up."""

    def drill(**settings: Any) -> Any:
        sim.configure({"xenioo": settings})
        take()
        made = restore()
        return made, take(made["xenioo_conn_id"], account="drill")

    return drill


def test_a_bot_that_came_back_whole_is_the_same(drill):
    assert compare(*drill()) == {"same": True, "differences": 0, "new_ids": 0, "places": []}


def test_the_ids_of_a_copy_are_counted_apart(drill):
    found = compare(*drill(restore_new_ids=True))

    assert found["same"]
    assert found["new_ids"] > 100


def test_what_a_restore_has_lost_fails_the_comparison_and_is_named(drill):
    with pytest.raises(XBackupFailError, match=r"differs from welcome/.* in 2 places: .*removed /Broadcasts"):
        compare(*drill(restore_loses=["Broadcasts", "Scripts"]))


def test_a_comparison_can_report_without_failing(drill):
    found = compare(*drill(restore_loses=["Scripts"]), fail_on_difference=False)

    assert found["places"] == [{"path": "/Scripts", "what": "removed"}]


@pytest.mark.parametrize(
    "original",
    [
        pytest.param("latest", id="a text"),
        pytest.param({"account": "a", "backup_id": "b"}, id="no vault"),
        pytest.param({"service": "xray", "account": "a", "backup_id": "b", "vault": "file:///v"}, id="Xray"),
    ],
)
def test_only_what_a_transfer_or_a_restore_returned_is_compared(original: Any):
    with pytest.raises(XBackupError, match="original"):
        XeniooCompareBackupsOperator(task_id="compare", original=original, copy={})
