from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
import zstandard
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, TaskDeferred
from stand_in import files_of, make_context, objects

from airflow_provider_xbackup.assets import backup_asset
from airflow_provider_xbackup.exceptions import XBackupError, XBackupFailError
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault

GET = "/bots/backup$"
Store = Callable[..., Any]


def operator(vault: Vault, /, **arguments: Any) -> XeniooToObjectStorageOperator:
    defaults = {"task_id": "store", "vault": str(vault.url), "xenioo_conn_id": "welcome"}
    return XeniooToObjectStorageOperator(**defaults | arguments)


@pytest.fixture(autouse=True)
def private_spool(spool_dir: Path) -> None:
    """No test spools where another does."""


@pytest.fixture
def store(sim: Simulator, vault: Vault) -> Store:
    def store(context: Any = None, **arguments: Any) -> Any:
        result = operator(vault, **arguments).execute(context or make_context())
        return vault.find("xenioo", result["account"], result["backup_id"])

    return store


@pytest.fixture
def content(sim: Simulator) -> bytes:
    """The bot's backup, as its server has it."""
    return sim._world.bots.find("welcome").content


def calls(sim: Simulator) -> int:
    return len(sim.journal.entries(path="/bots/backup"))


def break_vault(vault: Vault, account: str = "welcome") -> Callable[[], None]:
    """Let uploads of the bot fail, though the vault can be written and listed; returns what repairs it."""
    folder = Path(vault.url.prefix) / "xenioo" / account
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")
    return folder.unlink


# Whole


def test_the_stored_bytes_are_those_the_bot_handed_out(store: Store, content: bytes, vault: Vault):
    assert files_of(vault, store()) == {"bot": content}


def test_the_manifest_says_what_was_stored_and_who_made_it(sim: Simulator, store: Store, content: bytes):
    manifest = store(make_context(dag_id="d", run_id="r", task_id="t")).manifest

    (artifact,) = manifest.artifacts
    assert (artifact.role, artifact.size, artifact.media_type) == ("bot", len(content), "application/json")
    assert artifact.sha256 == hashlib.sha256(content).hexdigest()
    assert (manifest.kind, manifest.condition.state) == ("full", "ok")
    assert (manifest.producer.dag_id, manifest.producer.run_id, manifest.producer.task_id) == ("d", "r", "t")
    assert "welcome-token" not in json.dumps(manifest.to_dict())


def test_the_id_is_the_instant_of_the_answer_and_the_digest_of_the_bytes(store: Store, content: bytes):
    before = datetime.now(UTC).replace(microsecond=0)

    backup = store()

    assert before <= backup.instant <= datetime.now(UTC)
    assert backup.backup_id.endswith(f"-full-{hashlib.sha256(content).hexdigest()[:8]}")


def test_compressed_bytes_come_back_as_they_were(store: Store, content: bytes, vault: Vault):
    backup = store(compress=True)

    stored = files_of(vault, backup)["bot"]
    assert backup.manifest.artifacts[0].name.endswith(".json.zst")
    assert zstandard.ZstdDecompressor().decompressobj().decompress(stored) == content
    assert len(stored) < len(content)


def test_compressed_and_encrypted_bytes_come_back_as_they_were(store: Store, content: bytes, vault: Vault):
    key = pyrage.x25519.Identity.generate()

    backup = store(compress=True, encrypt_to=str(key.to_public()))

    packed = pyrage.decrypt(files_of(vault, backup)["bot"], [key])
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == content


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        pytest.param("backup_content_length", False, id="chunked"),
        pytest.param("backup_gzip", True, id="gzip in spite of identity"),
        pytest.param("backup_content_type", "application/octet-stream", id="another type"),
    ],
)
def test_however_the_backup_is_handed_out_its_bytes_are_stored(
    sim: Simulator, store: Store, content: bytes, vault: Vault, setting: str, value: Any
):
    setattr(sim.settings.xenioo, setting, value)

    assert files_of(vault, store()) == {"bot": content}


def test_keys_in_the_place_of_a_token_work_as_well(store: Store, content: bytes, keyed: str):
    assert store(xenioo_conn_id=keyed).manifest.artifacts[0].size == len(content)


@pytest.fixture
def keyed(connect: Any, sim: Simulator) -> str:
    """A connection with the bot's keys."""
    keys = {"account_api_key": "demo-account", "bot_api_key": "welcome-key", "bot_api_secret": "welcome-secret"}
    connect("keyed", conn_type="xenioo", host=sim.xenioo_url("welcome"), extra=json.dumps(keys))
    return "keyed"


def test_the_manifest_names_the_bot_by_what_its_backup_says(store: Store):
    bot = store().manifest.remote.bot

    assert (bot.name, bot.key_sha256) == ("welcome", None)


def test_the_manifest_keeps_the_digest_of_the_key_and_not_the_key(store: Store, keyed: str):
    manifest = store(xenioo_conn_id=keyed).manifest

    digest = hashlib.sha256(b"welcome-key").hexdigest()
    assert (manifest.remote.bot.name, manifest.remote.bot.key_sha256) == ("welcome", digest)
    assert "welcome-key" not in json.dumps(manifest.to_dict())


def test_the_manifest_tells_backups_of_one_connection_from_those_of_another(
    sim: Simulator, store: Store, keyed: str
):
    sim.settings.xenioo.cooldown_seconds = 0
    made_with = [
        store(make_context(run_id=f"run {number}"), xenioo_conn_id=conn_id).manifest.remote.bot.connection_sha256
        for number, conn_id in enumerate(["welcome", "support", keyed, "welcome"])
    ]

    assert len(set(made_with)) == 3
    assert made_with[0] == made_with[3]


def test_an_encrypted_backup_names_its_bot_as_well(store: Store):
    key = pyrage.x25519.Identity.generate()

    backup = store(compress=True, encrypt_to=str(key.to_public()))

    assert backup.manifest.remote.bot.name == "welcome"


def test_an_upload_that_is_tried_again_still_names_the_bot(store: Store, vault: Vault, keyed: str):
    repair = break_vault(vault, keyed)
    with pytest.raises(XBackupError):
        store(xenioo_conn_id=keyed)
    repair()

    bot = store(make_context(try_number=2), xenioo_conn_id=keyed).manifest.remote.bot

    assert (bot.name, bot.key_sha256) == ("welcome", hashlib.sha256(b"welcome-key").hexdigest())


def test_the_asset_event_of_the_outlet_describes_the_backup(store: Store):
    asset, context = backup_asset("xenioo", "welcome"), make_context()

    backup = store(context, outlets=[asset])

    assert context["outlet_events"][asset].extra["backup_id"] == backup.backup_id


# The hour

THROTTLES = [
    pytest.param(429, "Too many requests", id="429"),
    pytest.param(400, "This API can be called once per hour for each bot.", id="400 that says so"),
    pytest.param(403, "Only one call an hour is allowed.", id="403 that says so"),
]


@pytest.fixture
def spent(sim: Simulator, store: Store) -> Simulator:
    """A simulator whose bot has spent its hour in another run."""
    store(make_context(run_id="an earlier run"))
    return sim


def answer_early_calls(sim: Simulator, status: int, error: str) -> None:
    sim.configure({"xenioo": {"throttled": {"status": status, "body": json.dumps({"error": error})}}})


@pytest.mark.parametrize(("status", "error"), THROTTLES)
def test_an_hour_that_is_not_over_is_waited_for_without_a_worker(
    spent: Simulator, vault: Vault, status: int, error: str
):
    answer_early_calls(spent, status, error)

    with pytest.raises(TaskDeferred) as deferred:
        operator(vault).execute(make_context())

    wait = deferred.value.trigger.moment - datetime.now(UTC)
    assert deferred.value.method_name == "try_again"
    assert timedelta(minutes=59) < wait <= timedelta(minutes=61)


@pytest.mark.parametrize(("status", "error"), THROTTLES)
def test_an_hour_that_is_not_over_skips_where_that_is_wanted(
    spent: Simulator, vault: Vault, status: int, error: str
):
    answer_early_calls(spent, status, error)

    with pytest.raises(AirflowSkipException, match="welcome"):
        operator(vault, on_cooldown="skip").execute(make_context())


@pytest.mark.parametrize(("status", "error"), THROTTLES)
def test_an_hour_that_is_not_over_fails_where_that_is_wanted(
    spent: Simulator, vault: Vault, status: int, error: str
):
    answer_early_calls(spent, status, error)

    with pytest.raises(AirflowFailException, match="welcome"):
        operator(vault, on_cooldown="fail").execute(make_context())


def test_the_instant_is_the_servers_where_it_names_one(spent: Simulator, vault: Vault):
    spent.settings.xenioo.throttled_retry_after = True
    spent.advance(1800)

    with pytest.raises(TaskDeferred) as deferred:
        operator(vault).execute(make_context())

    assert deferred.value.trigger.moment - datetime.now(UTC) < timedelta(minutes=32)


def test_after_the_hour_the_backup_is_taken(spent: Simulator, vault: Vault):
    with pytest.raises(TaskDeferred) as deferred:
        operator(vault).execute(make_context())
    spent.advance(3600)

    operator(vault).try_again(make_context(), "now", **deferred.value.kwargs)

    assert len(list(vault.backups())) == 2


def test_a_refusal_that_says_nothing_is_waited_for_once(spent: Simulator, vault: Vault):
    answer_early_calls(spent, 400, "No.")
    with pytest.raises(TaskDeferred) as deferred:
        operator(vault).execute(make_context())

    with pytest.raises(XBackupFailError, match=r"did not say why.*the answer is the same"):
        operator(vault).try_again(make_context(), "now", **deferred.value.kwargs)


def test_a_refused_token_is_no_cooldown(sim: Simulator, connect: Any, vault: Vault):
    connect("wrong", conn_type="xenioo", host=sim.xenioo_url("welcome"), password="not-the-token")

    with pytest.raises(XBackupFailError, match=r"wrong.*token"):
        operator(vault, xenioo_conn_id="wrong").execute(make_context())


# Answers that cannot be used


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"action": "status", "status": 200, "body": ""}, id="nothing"),
        pytest.param({"action": "html", "status": 200}, id="a page"),
        pytest.param({"action": "reset", "after_bytes": 1000}, id="broken off"),
        pytest.param({"action": "truncate", "after_bytes": 1000}, id="truncated"),
        pytest.param({"action": "status", "status": 500, "processed": True}, id="5xx"),
    ],
)
def test_an_answer_that_cannot_be_used_fails_and_its_hour_is_respected(
    sim: Simulator, vault: Vault, spool_dir: Path, fault: dict[str, Any]
):
    sim.add_fault(path=GET, **fault, times=None)
    with pytest.raises(XBackupError, match="welcome"):
        operator(vault).execute(make_context())
    sim.journal.clear()

    with pytest.raises(TaskDeferred):
        operator(vault).execute(make_context(try_number=2))

    assert calls(sim) == 0
    assert objects(vault) == []


def test_an_answer_that_never_came_is_not_asked_for_again_in_the_same_try(sim: Simulator, vault: Vault):
    sim.add_fault(path=GET, action="drop_answer", times=None)

    with pytest.raises(XBackupError, match="not known"):
        operator(vault).execute(make_context())

    assert calls(sim) == 1


REFUSED_WITH_200 = {"error": "This API can be called once per hour for each bot."}


def test_a_refusal_under_the_status_of_a_backup_is_a_cooldown_and_not_stored(sim: Simulator, vault: Vault):
    sim.add_fault(path=GET, action="status", status=200, body=json.dumps(REFUSED_WITH_200))

    with pytest.raises(TaskDeferred):
        operator(vault).execute(make_context())

    assert objects(vault) == []


def test_a_token_refused_under_the_status_of_a_backup_costs_no_hour_once_it_is_corrected(
    sim: Simulator, store: Store, vault: Vault
):
    sim.add_fault(path=GET, action="status", status=200, body='{"error": "The token is invalid."}')
    with pytest.raises(XBackupFailError, match="token"):
        operator(vault).execute(make_context())

    assert store(make_context(try_number=2)).manifest.condition.state == "ok"


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_firewalls_page_is_no_answer_of_the_bot(sim: Simulator, store: Store, vault: Vault, status: int):
    sim.add_fault(path=GET, action="html", status=status)
    with pytest.raises(XBackupError, match="web page"):
        operator(vault).execute(make_context())

    assert store(make_context(try_number=2)).manifest.condition.state == "ok"


CUTS = [
    pytest.param({"action": "truncate", "after_bytes": 9000, "length": "silent"}, id="in order, within its start"),
    pytest.param({"action": "truncate", "after_bytes": 100_000, "length": "silent"}, id="in order, behind it"),
    pytest.param({"action": "truncate", "after_bytes": 1, "length": "silent"}, id="after a byte"),
    pytest.param({"action": "wrong_length", "difference": -100}, id="by a length that is too small"),
    pytest.param({"action": "wrong_length", "difference": -1}, id="by a byte"),
]


@pytest.mark.parametrize("fault", CUTS)
@pytest.mark.parametrize("coding", [False, True], ids=["plain", "compressed and encrypted"])
def test_a_backup_that_http_ends_in_order_and_its_json_does_not_is_refused_and_its_hour_respected(
    sim: Simulator, vault: Vault, spool_dir: Path, fault: dict[str, Any], coding: bool
):
    arguments = {"compress": True, "encrypt_to": encrypted_to(0)} if coding else {}
    sim.add_fault(path=GET, **fault)

    with pytest.raises(XBackupError, match=r"welcome.*in the middle of its JSON.*spent the bot's hour"):
        operator(vault, **arguments).execute(make_context())
    with pytest.raises(TaskDeferred):
        operator(vault, **arguments).execute(make_context(try_number=2))

    assert objects(vault) == []
    assert [path.suffix for path in spool_dir.iterdir()] == [".lost"]
    assert calls(sim) == 1


@pytest.mark.parametrize("headers", [b"Content-Length: %d\r\n", b""], ids=["its length", "nothing"])
def test_json_that_cannot_be_followed_is_stored_as_suspect_whatever_http_says(
    sim: Simulator, raw: Callable[..., None], store: Store, vault: Vault, headers: bytes
):
    body = b'{"a": 1}, {"a": 2'
    raw(body, headers=headers and headers % len(body))

    backup = store(xenioo_conn_id="raw")

    assert files_of(vault, backup)["bot"] == body
    assert backup.manifest.condition.state == "suspect"
    assert "cannot be followed to its end" in backup.manifest.condition.reasons[0]


def test_what_is_no_json_is_whole_where_its_length_is_kept(raw: Callable[..., None], store: Store):
    raw(b"PK\x03\x04 and so on", headers=b"Content-Length: 14\r\n")

    assert store(xenioo_conn_id="raw").manifest.condition.state == "ok"


# Whole without a proof


@pytest.fixture
def raw(connect: Any) -> Iterator[Callable[..., None]]:
    """Let the bot ``raw`` answer with these bytes, then hang up; no length, no chunks but those given."""
    server = socket.create_server(("127.0.0.1", 0))
    connect(
        "raw",
        conn_type="xenioo",
        host=f"http://127.0.0.1:{server.getsockname()[1]}",
        password="raw-token",
        extra=json.dumps({"stall_timeout": 2, "read_timeout": 5}),
    )
    threads: list[threading.Thread] = []

    def raw(*blocks: bytes, headers: bytes = b"") -> None:
        def answer() -> None:
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    while not connection.recv(65536).endswith(b"\r\n\r\n"):
                        pass
                    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + headers + b"\r\n")
                    for block in blocks:
                        connection.sendall(block)

        threads.append(threading.Thread(target=answer, daemon=True))
        threads[-1].start()

    yield raw
    with contextlib.suppress(OSError):
        server.shutdown(socket.SHUT_RDWR)
    server.close()
    for thread in threads:
        thread.join(5)


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda content: [content], id="at once"),
        pytest.param(lambda content: [b"\xef\xbb\xbf\r\n", content, b"\r\n"], id="mark and white space"),
        pytest.param(lambda content: [b"[", content, b", {}]"], id="a list"),
        pytest.param(lambda content: [b'{"n":1.5,"bot":', content, b"}"], id="in pieces"),
    ],
)
def test_without_framing_complete_json_is_whole(
    raw: Callable[..., None], store: Store, vault: Vault, content: bytes, wrap: Callable[[bytes], list[bytes]]
):
    raw(*wrap(content))

    backup = store(xenioo_conn_id="raw")

    assert files_of(vault, backup)["bot"] == b"".join(wrap(content))
    assert backup.manifest.condition.state == "ok"


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(1, id="one byte"),
        pytest.param(1000, id="a kilobyte"),
        pytest.param(100_000, id="more than is looked at as the start"),
        pytest.param(-1, id="all but the last byte"),
    ],
)
def test_without_framing_json_that_ends_early_is_refused_and_its_hour_respected(
    sim: Simulator, raw: Callable[..., None], vault: Vault, sent: int
):
    long = json.dumps({"behaviours": [{"id": number, "text": "täglich"} for number in range(5000)]}).encode()
    raw(long[:sent])

    with pytest.raises(XBackupError, match="in the middle of its JSON"):
        operator(vault, xenioo_conn_id="raw").execute(make_context())
    with pytest.raises(TaskDeferred):
        operator(vault, xenioo_conn_id="raw").execute(make_context(try_number=2))

    assert objects(vault) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"PK\x03\x04 and so on", "is not JSON", id="no JSON"),
        pytest.param(b'{"a": NaN}', "cannot be followed to its end", id="not quite JSON"),
        pytest.param(b'{"a": ' + b"9" * 6000 + b"}", "cannot be followed", id="a huge number"),
        pytest.param(b"{}{}", "cannot be followed", id="something behind it"),
    ],
)
def test_without_framing_what_cannot_be_proven_whole_is_stored_as_suspect(
    sim: Simulator, raw: Callable[..., None], store: Store, vault: Vault, body: bytes, reason: str
):
    raw(body)

    backup = store(xenioo_conn_id="raw")

    assert files_of(vault, backup)["bot"] == body
    assert backup.manifest.condition.state == "suspect"
    assert reason in backup.manifest.condition.reasons[0]


def test_a_doubt_outlives_an_upload_that_failed(sim: Simulator, raw: Callable[..., None], vault: Vault):
    raw(b"PK and so on")
    repair = break_vault(vault, "raw")
    with pytest.raises(XBackupError):
        operator(vault, xenioo_conn_id="raw").execute(make_context())
    repair()

    operator(vault, xenioo_conn_id="raw").execute(make_context(try_number=2))

    (backup,) = vault.backups()
    assert backup.manifest.condition.state == "suspect"


def test_chunks_prove_the_end_of_anything(sim: Simulator, raw: Callable[..., None], store: Store):
    raw(b"4\r\nPK..\r\n0\r\n\r\n", headers=b"Transfer-Encoding: chunked\r\n")

    assert store(xenioo_conn_id="raw").manifest.condition.state == "ok"


def test_chunks_that_stop_before_the_last_are_refused(sim: Simulator, raw: Callable[..., None], vault: Vault):
    raw(b"2\r\n{}\r\n", headers=b"Transfer-Encoding: chunked\r\n")

    with pytest.raises(XBackupError, match="broke off"):
        operator(vault, xenioo_conn_id="raw").execute(make_context())

    assert objects(vault) == []


# Suspect


@pytest.fixture
def resized(sim: Simulator, store: Store) -> Callable[..., Any]:
    """Store the bot's backup, of about so many bytes."""
    sim.settings.xenioo.cooldown_seconds = 0

    def resized(size: int) -> Any:
        sim.configure({"xenioo": {"bots": {"welcome": {"backup_bytes": size}}}})
        return store(make_context(run_id=f"{size} bytes"))

    return resized


@pytest.mark.parametrize(
    ("sizes", "state"),
    [
        pytest.param((100_000, 40_000), "suspect", id="less than half"),
        pytest.param((100_000, 60_000), "ok", id="more than half"),
        pytest.param((40_000, 100_000), "ok", id="more"),
        pytest.param((100_000, 40_000, 41_000), "suspect", id="a suspect is no measure"),
    ],
)
def test_a_backup_that_fell_by_more_than_half_is_stored_as_suspect(
    resized: Callable[..., Any], sizes: tuple[int, ...], state: str
):
    first, *_, last = [resized(size) for size in sizes]

    condition = last.manifest.condition
    assert condition.state == state
    assert all(reason.startswith("The size of the bot's backup fell from") for reason in condition.reasons)
    assert all(first.backup_id in reason for reason in condition.reasons)


def test_the_last_line_of_the_log_says_whether_the_backup_is_whole_or_suspect(
    resized: Callable[..., Any], capfd: pytest.CaptureFixture[str]
):
    resized(100_000)
    told_of_whole = capfd.readouterr().out.splitlines()[-1]
    resized(40_000)
    told_of_suspect = capfd.readouterr().out.splitlines()[-1]

    assert "is whole" in told_of_whole
    assert "stored as suspect" in told_of_suspect
    assert "fell from" in told_of_suspect
    assert "is whole" not in told_of_suspect


# Bytes in hand


def test_a_vault_that_cannot_be_written_fails_before_the_hour_is_spent(
    sim: Simulator, tmp_path: Path, vault: Vault
):
    (tmp_path / "vault").write_text("no folder")

    with pytest.raises(XBackupError, match="welcome"):
        operator(vault).execute(make_context())

    assert calls(sim) == 0


def test_an_upload_that_fails_twice_is_done_in_the_end_without_a_second_call(
    sim: Simulator, store: Store, vault: Vault, content: bytes, spool_dir: Path
):
    repair = break_vault(vault)
    for try_number in (1, 2):
        with pytest.raises(XBackupError, match=r"welcome.*answer is in hand") as failed:
            operator(vault).execute(make_context(try_number=try_number))
        assert f"this machine ({socket.gethostname()}, {spool_dir})" in str(failed.value)
        assert "without spending another hour" in str(failed.value)
        assert calls(sim) == 1
    repair()

    backup = store(make_context(try_number=3))

    assert files_of(vault, backup) == {"bot": content}
    assert calls(sim) == 1


def test_a_vault_that_cannot_be_written_is_tried_again_as_long_as_the_answer_is_in_hand(
    sim: Simulator, store: Store, vault: Vault, content: bytes
):
    root = Path(vault.url.prefix)
    break_vault(vault)
    for try_number in (1, 2):
        with pytest.raises(XBackupError, match=r"a file lies where a folder is needed.*is in hand") as failed:
            operator(vault).execute(make_context(try_number=try_number))
        assert not isinstance(failed.value, AirflowFailException)
        shutil.rmtree(root, ignore_errors=True)
        root.unlink(missing_ok=True)
        root.write_text("in the way")
    root.unlink()

    assert files_of(vault, store(make_context(try_number=3))) == {"bot": content}
    assert calls(sim) == 1


def test_a_disk_with_little_room_is_warned_of_before_the_hour_is_spent(
    sim: Simulator, store: Store, vault: Vault, caplog: pytest.LogCaptureFixture
):
    backup = store()
    manifest = Path(vault.url.prefix) / backup.path.manifest
    size = f'"stored_size": {backup.manifest.stored_size}'
    manifest.write_text(manifest.read_text().replace(size, '"stored_size": 1000000000000000000'))
    sim.settings.xenioo.cooldown_seconds = 0

    store(make_context(run_id="the next"))

    assert "make room or apply retention" in caplog.text


def test_the_log_tells_when_the_bot_is_asked_its_answer_here_and_in_the_vault(
    store: Store, content: bytes, spool_dir: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.INFO):
        backup = store(compress=True)

    said = [record.getMessage() for record in caplog.records if "transfer.xenioo" in record.name]
    assert len(said) == 4
    assert said[0].startswith("Asking the bot at 127.0.0.1")
    assert said[1].startswith(f"The bot's answer is here: {len(content)} bytes, kept as ")
    assert str(spool_dir) in said[1]
    assert said[2].startswith("Uploading the bot's answer to file://")
    assert (
        said[3] == f"The bot's answer is in the vault: {backup.manifest.stored_size} bytes in {backup.location}."
    )


def test_an_answer_is_uploaded_however_long_its_retry_took(
    sim: Simulator, store: Store, vault: Vault, spool_dir: Path, content: bytes
):
    repair = break_vault(vault)
    with pytest.raises(XBackupError):
        operator(vault).execute(make_context())
    repair()
    for path in spool_dir.iterdir():
        os.utime(path, (0, 0))

    backup = store(make_context(try_number=2))

    assert files_of(vault, backup) == {"bot": content}
    assert calls(sim) == 1


def test_whoever_corrects_a_wrong_vault_still_has_the_answer_in_hand(
    sim: Simulator, tmp_path: Path, vault: Vault, content: bytes
):
    break_vault(vault)
    with pytest.raises(XBackupError):
        operator(vault).execute(make_context())
    right = Vault.open((tmp_path / "right").as_uri())

    operator(right).execute(make_context(try_number=2))

    (backup,) = right.backups()
    assert files_of(right, backup) == {"bot": content}
    assert calls(sim) == 1


def test_what_is_safe_in_the_vault_lies_in_the_spool_no_more(store: Store, spool_dir: Path):
    store()

    assert not [path for path in spool_dir.iterdir() if path.suffix != ".lost"]


def test_what_lies_in_the_spool_is_encrypted_already(
    sim: Simulator, vault: Vault, spool_dir: Path, content: bytes
):
    key = pyrage.x25519.Identity.generate()
    break_vault(vault)

    with pytest.raises(XBackupError):
        operator(vault, encrypt_to=[str(key.to_public())]).execute(make_context())

    (body,) = spool_dir.glob("*.body")
    assert pyrage.decrypt(body.read_bytes(), [key]) == content


def encrypted_to(number: int, keys: list[Any] = []) -> str:  # noqa: B006 - the same keys for all tests
    while len(keys) <= number:
        keys.append(pyrage.x25519.Identity.generate())
    return str(keys[number].to_public())


OTHER_ENCODINGS = [
    pytest.param({}, {"encrypt_to": [encrypted_to(0)]}, id="now encrypted"),
    pytest.param({"encrypt_to": [encrypted_to(0)]}, {"encrypt_to": [encrypted_to(1)]}, id="another key"),
    pytest.param({"encrypt_to": [encrypted_to(0)]}, {}, id="no more encrypted"),
    pytest.param({}, {"compress": True}, id="now compressed"),
]


@pytest.mark.parametrize(("before", "after"), OTHER_ENCODINGS)
def test_bytes_spooled_for_another_encoding_are_not_uploaded(
    sim: Simulator, store: Store, vault: Vault, before: dict[str, Any], after: dict[str, Any]
):
    sim.settings.xenioo.cooldown_seconds = 0
    repair = break_vault(vault)
    with pytest.raises(XBackupError):
        operator(vault, **before).execute(make_context())
    repair()

    (artifact,) = store(make_context(try_number=2), **after).manifest.artifacts

    assert artifact.encryption == ("age" if "encrypt_to" in after else None)
    assert artifact.compression == ("zstd" if "compress" in after else None)
    assert calls(sim) == 2


def test_the_order_of_the_keys_makes_no_other_encoding(sim: Simulator, store: Store, vault: Vault):
    keys = [encrypted_to(0), encrypted_to(1)]
    repair = break_vault(vault)
    with pytest.raises(XBackupError):
        operator(vault, encrypt_to=keys).execute(make_context())
    repair()

    store(make_context(try_number=2), encrypt_to=keys[::-1])

    assert calls(sim) == 1


def test_the_same_task_instance_within_the_hour_returns_what_it_stored(sim: Simulator, store: Store):
    first = store(make_context(try_number=1))

    second = store(make_context(try_number=2))

    assert second.backup_id == first.backup_id
    assert calls(sim) == 1


def test_the_same_task_instance_with_another_connection_within_the_hour_asks_its_bot(
    sim: Simulator, store: Store, vault: Vault
):
    first = store(account="bot")

    second = store(make_context(try_number=2), account="bot", xenioo_conn_id="support")

    assert (first.manifest.remote.bot.name, second.manifest.remote.bot.name) == ("welcome", "support")
    assert files_of(vault, second)["bot"] == sim._world.bots.find("support").content


def test_the_same_connection_under_another_id_returns_what_was_stored(sim: Simulator, store: Store, connect: Any):
    connect("renamed", conn_type="xenioo", host=sim.xenioo_url("welcome"), password="welcome-token")
    first = store(account="bot")

    assert store(account="bot", xenioo_conn_id="renamed").backup_id == first.backup_id
    assert calls(sim) == 1


@pytest.mark.parametrize(("before", "after"), OTHER_ENCODINGS)
def test_the_same_task_instance_with_another_encoding_within_the_hour_asks_the_bot_whose_hour_decides(
    sim: Simulator, store: Store, vault: Vault, before: dict[str, Any], after: dict[str, Any]
):
    store(**before)

    with pytest.raises(TaskDeferred):
        operator(vault, **after).execute(make_context(try_number=2))
    sim.settings.xenioo.cooldown_seconds = 0
    sim.advance(5)
    (artifact,) = store(make_context(try_number=2), **after).manifest.artifacts

    assert artifact.encryption == ("age" if "encrypt_to" in after else None)
    assert artifact.compression == ("zstd" if "compress" in after else None)
    assert store(make_context(try_number=3), **after).manifest.artifacts == (artifact,)


def test_the_same_keys_in_another_order_are_no_other_encoding(sim: Simulator, store: Store):
    keys = [encrypted_to(0), encrypted_to(1)]
    first = store(encrypt_to=keys)

    assert store(make_context(try_number=2), encrypt_to=keys[::-1]).backup_id == first.backup_id
    assert calls(sim) == 1


def test_the_same_task_instance_after_the_hour_takes_a_new_backup(sim: Simulator, store: Store):
    sim.clock.set(datetime.now(UTC) - timedelta(hours=2))
    first = store()
    sim.advance(2 * 3600)

    assert store().backup_id != first.backup_id


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"run_id": "run 2"}, id="run"),
        pytest.param({"task_id": "another"}, id="task"),
        pytest.param({"map_index": 4}, id="map index"),
        pytest.param({"dag_id": "another"}, id="DAG"),
    ],
)
def test_another_task_instance_asks_for_a_backup_of_its_own(spent: Simulator, vault: Vault, other: dict[str, Any]):
    spent.settings.xenioo.cooldown_seconds = 0
    operator(vault).execute(make_context())
    spent.journal.clear()

    operator(vault).execute(make_context(**other))

    assert calls(spent) == 1


def test_another_accounts_answer_in_the_spool_is_not_taken(sim: Simulator, store: Store, vault: Vault):
    repair = break_vault(vault)
    with pytest.raises(XBackupError):
        operator(vault).execute(make_context())
    repair()

    backup = store(make_context(), xenioo_conn_id="support")

    assert files_of(vault, backup)["bot"] == sim._world.bots.find("support").content


def test_a_spool_that_others_can_enter_is_refused_before_the_hour_is_spent(
    sim: Simulator, vault: Vault, spool_dir: Path
):
    spool_dir.mkdir(mode=0o755)
    spool_dir.chmod(0o755)

    with pytest.raises(XBackupFailError, match="0700"):
        operator(vault).execute(make_context())

    assert calls(sim) == 0


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        pytest.param("account", "../x", "account", id="account that leads out"),
        pytest.param("vault", "ftp://x/y", "ftp", id="vault of an unknown scheme"),
        pytest.param("on_cooldown", "hope", "'wait', 'skip' or 'fail'", id="unknown choice"),
        pytest.param("max_wait", "12 h", "max_wait", id="a wait in words"),
        pytest.param("max_wait", "{{ params.wait }}", "max_wait", id="a template where none is rendered"),
        pytest.param("compress", "no", "compress must be True or False", id="a yes or no in words"),
        pytest.param("encrypt_to", ["AGE-SECRET-KEY-1QQ"], "encrypt_to", id="a private key"),
        pytest.param("xenioo_conn_id", "", "connection id", id="empty connection id"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_parsed_and_with_the_same_words_when_rendered(
    sim: Simulator, vault: Vault, name: str, value: Any, words: str
):
    with pytest.raises(XBackupFailError, match=words) as literal:
        operator(vault, **{name: value})
    task = operator(vault)
    setattr(task, name, value)

    with pytest.raises(XBackupFailError) as rendered:
        task.execute(make_context())

    assert str(rendered.value) == str(literal.value)
    assert "SECRET-KEY-1QQ" not in str(literal.value)
    assert calls(sim) == 0
