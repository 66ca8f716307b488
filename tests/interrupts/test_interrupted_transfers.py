"""Transfers that are told to end, by real signals, while the source or the store does not answer."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyrage
import pytest
from signalled import DEADLINE, Store, Task, until
from stand_in import STORAGE, make_context

from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.catalog import Backup

Start = Callable[..., Task]

EARLIER = "0000aaaa"
EARLIER_MANIFEST = f"{EARLIER}/manifest.json HTTP".encode()

# What Airflow does, and what the task ends with: SIGTERM calls on_kill, execution_timeout is a SIGALRM.
SIGNALS = [
    pytest.param(signal.SIGTERM, "XBackupError", "was told to end", id="told to end"),
    pytest.param(signal.SIGALRM, "AirflowTaskTimeout", "Timeout", id="execution_timeout"),
    pytest.param(signal.SIGINT, "KeyboardInterrupt", "", id="Ctrl-C"),
]
signals = pytest.mark.parametrize(("number", "error", "words"), SIGNALS)


@pytest.fixture
def patient(sim: Simulator, connect: Callable[..., None]) -> None:
    """Connections that bear a stall for an hour: what ends it is the signal."""
    extra = json.dumps({"stall_timeout": 3600, "read_timeout": 3600})
    connect("acme", conn_type="xray", host=sim.url, login="demo-client", password="demo-secret", extra=extra)
    host = sim.xenioo_url("welcome")
    connect("welcome", conn_type="xenioo", host=host, password="welcome-token", extra=extra)


@pytest.fixture
def xray(sim: Simulator, finished_job: Callable[..., Any], store: Store) -> dict[str, Any]:
    """The arguments of a transfer of 30 MB, in several parts."""
    return arguments_of(sim, finished_job, store)


def arguments_of(
    sim: Simulator, finished_job: Callable[..., Any], store: Store, padding: int = 30_000_000
) -> dict[str, Any]:
    sim.settings.xray.tenants["demo-client"].data.padding_bytes = padding
    return {"job": finished_job(), "vault": store.url, "account": "acme", "xray_conn_id": "acme"}


def xenioo(store: Store) -> dict[str, Any]:
    return {"vault": store.url, "account": "welcome", "xenioo_conn_id": "welcome"}


def stalled(sim: Simulator) -> Any:
    """The request that a fault keeps waiting, once there is one."""
    return next((entry for entry in sim.journal.entries() if entry.fault == "stall"), None)


def asked_of_the_storage(sim: Simulator) -> list[Any]:
    return sim.journal.entries(path="/_storage/…")


def names(folder: Path) -> list[str]:
    """The endings of what lies in the spool."""
    return sorted(path.suffix for path in folder.iterdir()) if folder.exists() else []


def assert_run_again_converges(operator: type[Any], arguments: dict[str, Any], store: Store) -> None:
    operator(task_id="store", **arguments).execute(make_context())

    assert len(assert_whole(store)) == 1
    assert store.unfinished() == []


def assert_whole(store: Store) -> list[Backup]:
    """See that all files of all backups that are shown are there, and return these."""
    backups = list(Vault.open(store.url).backups())
    named = {backup.path.file(artifact.name) for backup in backups for artifact in backup.manifest.artifacts}
    assert named <= {name.removeprefix("vault/") for name in store.names()}
    return backups


def store_earlier_backup(store: Store) -> None:
    """Store a backup of an earlier day, which others are compared with."""
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    draft = Vault.open(store.url).draft("xray", "acme", f"{at:%Y%m%dT%H%M%SZ}-full-{EARLIER}")
    draft.add("backup", [b"zip"], media_type="application/zip")
    draft.commit(requested_at=at, producer={"package_version": "0"})


# The source does not answer


@signals
def test_a_transfer_whose_source_stalls_ends_at_once_and_leaves_nothing(
    sim: Simulator,
    patient: None,
    xray: dict[str, Any],
    store: Store,
    start: Start,
    number: int,
    error: str,
    words: str,
):
    sim.add_fault(action="stall", path=STORAGE, after_bytes=25_000_000)
    task = start("xray", **xray)
    until(store.unfinished, task.running)

    task.signal(number)
    name, text = task.end()

    assert (name, words in text) == (error, True)
    until(lambda: stalled(sim).cut_off)
    assert (store.names(), store.unfinished()) == ([], [])
    assert_run_again_converges(XrayToObjectStorageOperator, xray, store)


@pytest.mark.parametrize(
    ("stall", "arguments"),
    [
        pytest.param({"path": "/api/v2/backup/file$"}, {}, id="before the redirect"),
        pytest.param({"path": STORAGE}, {}, id="before the status"),
        pytest.param({"path": STORAGE, "after_bytes": 0}, {}, id="before the first byte"),
        pytest.param({"path": STORAGE, "after_bytes": 1_000_000}, {}, id="within the first part"),
        pytest.param(
            {"path": STORAGE, "after_bytes": 25_000_000},
            {"encrypt_to": str(pyrage.x25519.Identity.generate().to_public())},
            id="while it is encrypted",
        ),
        pytest.param({"path": "/graphql$"}, {}, id="when all bytes have passed"),
    ],
)
def test_wherever_the_source_stalls_a_told_transfer_ends_and_leaves_nothing(
    sim: Simulator,
    patient: None,
    finished_job: Callable[..., Any],
    s3: Store,
    start: Start,
    stall: dict[str, Any],
    arguments: dict[str, Any],
):
    transfer = arguments_of(sim, finished_job, s3) | arguments
    sim.add_fault(action="stall", **stall)
    task = start("xray", **transfer)
    until(lambda: stalled(sim), task.running)

    task.signal(signal.SIGTERM)
    name, text = task.end()

    assert name == "XBackupError"
    assert "Xray account 'acme'" in text
    assert "The next try takes the job's files from their beginning" in text
    until(lambda: stalled(sim).cut_off)
    assert (s3.names(), s3.unfinished()) == ([], [])


@signals
def test_a_transfer_that_pauses_before_it_goes_on_ends_without_going_on(
    sim: Simulator,
    patient: None,
    finished_job: Callable[..., Any],
    s3: Store,
    start: Start,
    number: int,
    error: str,
    words: str,
):
    transfer = arguments_of(sim, finished_job, s3)
    sim.add_fault(action="reset", path=STORAGE, after_bytes=10_000_000)
    sim.add_fault(action="reset", path=STORAGE, after_bytes=0, header="range", times=None)
    task = start("xray", **transfer)
    until(lambda: len(asked_of_the_storage(sim)) == 4, task.running)  # the next pause is one of 8 s

    task.signal(number)
    name, text = task.end()

    assert (name, words in text) == (error, True)
    assert len(asked_of_the_storage(sim)) == 4
    assert (s3.names(), s3.unfinished()) == ([], [])


# The store does not answer


@signals
@pytest.mark.parametrize(
    ("held", "times"),
    [pytest.param(b"partNumber=", 3, id="all parts"), pytest.param(b"partNumber=3", 1, id="the last")],
)
def test_a_transfer_whose_store_takes_no_parts_ends_without_waiting_and_leaves_no_open_upload(
    sim: Simulator,
    patient: None,
    finished_job: Callable[..., Any],
    s3: Store,
    start: Start,
    number: int,
    error: str,
    words: str,
    held: bytes,
    times: int,
):
    transfer = arguments_of(sim, finished_job, s3)
    assert s3.relay is not None
    s3.relay.hold(held)
    task = start("xray", **transfer)
    until(lambda: s3.relay.held == times, task.running)  # the source has ended: nothing asks it any more

    task.signal(number)
    name, text = task.end()

    assert (name, words in text) == (error, True)
    assert (s3.names(), s3.unfinished()) == ([], [])


def test_a_transfer_told_to_end_while_its_manifest_is_written_shows_no_backup_and_converges(
    sim: Simulator, patient: None, finished_job: Callable[..., Any], s3: Store, start: Start
):
    transfer = arguments_of(sim, finished_job, s3)
    assert s3.relay is not None
    s3.relay.hold(b"manifest.json HTTP")
    task = start("xray", **transfer)
    until(lambda: s3.relay.held, task.running)

    task.signal(signal.SIGTERM)
    name, _ = task.end()

    assert name == "XBackupError"
    assert not [key for key in s3.names() if key.endswith("manifest.json")]
    s3.relay.hold(None)
    assert_run_again_converges(XrayToObjectStorageOperator, transfer, s3)


def test_a_transfer_whose_store_does_not_answer_at_all_ends_all_the_same(
    sim: Simulator, patient: None, finished_job: Callable[..., Any], s3: Store, start: Start
):
    transfer = arguments_of(sim, finished_job, s3)
    assert s3.relay is not None
    s3.relay.hold(b"HTTP/1.1")
    task = start("xray", **transfer)
    until(lambda: s3.relay.held, task.running)

    task.signal(signal.SIGTERM)

    assert task.end()[0] == "XBackupError"
    assert (s3.names(), s3.unfinished()) == ([], [])


@signals
def test_a_transfer_that_looks_through_a_vault_which_does_not_answer_ends_all_the_same(
    sim: Simulator,
    patient: None,
    finished_job: Callable[..., Any],
    s3: Store,
    start: Start,
    number: int,
    error: str,
    words: str,
):
    transfer = arguments_of(sim, finished_job, s3)
    store_earlier_backup(s3)
    before = s3.names()
    assert s3.relay is not None
    s3.relay.hold(EARLIER_MANIFEST)
    task = start("xray", **transfer)
    until(lambda: s3.relay.held, task.running)

    task.signal(number)
    name, text = task.end()

    assert (name, words in text) == (error, True)
    assert (s3.names(), s3.unfinished()) == (before, [])


# The spool


@signals
def test_half_an_answer_of_a_bot_is_removed_from_the_spool_and_its_hour_respected(
    sim: Simulator,
    patient: None,
    store: Store,
    start: Start,
    spool_dir: Path,
    number: int,
    error: str,
    words: str,
):
    sim.add_fault(action="stall", path="/bots/backup$", after_bytes=100_000)
    task = start("xenioo", **xenioo(store))
    until(lambda: ".body" in names(spool_dir), task.running)

    task.signal(number)
    name, text = task.end()

    assert (name, words in text) == (error, True)
    assert ("answer was lost" in text) is (number == signal.SIGTERM)
    until(lambda: stalled(sim).cut_off)
    assert names(spool_dir) == [".lost"]
    assert (store.names(), store.unfinished()) == ([], [])


def test_a_bot_that_has_not_answered_leaves_nothing_in_hand(
    sim: Simulator, patient: None, store: Store, start: Start, spool_dir: Path
):
    sim.add_fault(action="stall", path="/bots/backup$")
    task = start("xenioo", **xenioo(store))
    until(lambda: stalled(sim), task.running)

    task.signal(signal.SIGTERM)
    name, text = task.end()

    assert (name, "No answer of the bot is in hand" in text) == ("XBackupError", True)
    assert names(spool_dir) == []


@signals
def test_a_whole_answer_of_a_bot_stays_in_the_spool_and_is_uploaded_by_the_next_try(
    sim: Simulator,
    patient: None,
    s3: Store,
    start: Start,
    spool_dir: Path,
    number: int,
    error: str,
    words: str,
):
    assert s3.relay is not None
    s3.relay.hold(b".json HTTP")
    task = start("xenioo", **xenioo(s3))
    until(lambda: s3.relay.held, task.running)

    task.signal(number)
    name, text = task.end()

    assert (name, words in text) == (error, True)
    assert ("answer is kept on this machine" in text) is (number == signal.SIGTERM)
    assert names(spool_dir) == [".body", ".json"]
    s3.relay.hold(None)
    assert_run_again_converges(XeniooToObjectStorageOperator, xenioo(s3), s3)
    assert names(spool_dir) == []
    assert len(sim.journal.entries(path="/bots/backup")) == 1


# Moments of which nobody knows what they interrupt


@pytest.mark.parametrize(("where", "moments"), [("disk", 20), ("s3", 10)])
def test_a_transfer_told_to_end_at_any_moment_shows_no_half_backup_and_converges(
    request: pytest.FixtureRequest,
    sim: Simulator,
    patient: None,
    finished_job: Callable[..., Any],
    start: Start,
    where: str,
    moments: int,
):
    store = request.getfixturevalue(where)
    transfer = arguments_of(sim, finished_job, store, padding=11_000_000)  # two parts
    undisturbed = start("xray", **transfer | {"vault": store.part("undisturbed").url})
    seconds = undisturbed.seconds()
    random = Random(20261123)
    ended = set()
    part = store.part("first")

    for number in range(moments):  # each goes on with what the one before it left, until a backup is stored
        task = start("xray", **transfer | {"vault": part.url})
        task.signal_after((number + random.random()) / moments * seconds, signal.SIGTERM)
        name, text = task.end()

        ended.add(name)
        assert (name, "was told to end" in text) in [("XBackupError", True), ("", False)], text
        assert part.unfinished() == []
        if assert_whole(part):
            assert_run_again_converges(XrayToObjectStorageOperator, transfer | {"vault": part.url}, part)
            part = store.part(f"after-{number}")

    assert_run_again_converges(XrayToObjectStorageOperator, transfer | {"vault": part.url}, part)
    assert "XBackupError" in ended


# The command


@pytest.mark.parametrize(
    ("command", "held"),
    [
        pytest.param("list", b"GET ", id="list: nothing is answered"),
        pytest.param("list", EARLIER_MANIFEST, id="list: no manifest is answered"),
        pytest.param("verify", EARLIER_MANIFEST, id="verify: no manifest is answered"),
        pytest.param("verify", b"HEAD ", id="verify: no file is looked at"),
    ],
)
def test_an_interrupted_command_ends_at_once_and_without_a_traceback(s3: Store, command: str, held: bytes):
    store_earlier_backup(s3)
    assert s3.relay is not None
    s3.relay.hold(held)
    line = [sys.executable, "-m", "airflow_provider_xbackup.cli.main", command, s3.url]
    with subprocess.Popen(line, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            until(lambda: s3.relay.held, lambda: process.poll() is None)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=DEADLINE)
        finally:
            process.kill()

    assert (process.returncode, out, err) == (130, "", "xbackup: interrupted\n")


# on_kill by itself


def test_a_task_that_runs_nothing_is_not_disturbed_by_on_kill(disk: Store):
    XeniooToObjectStorageOperator(task_id="store", **xenioo(disk)).on_kill()
