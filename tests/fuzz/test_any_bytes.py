"""Whatever a server, a disk, a store or another task hands in is understood or refused: nothing else is raised."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hostile_inputs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_xbackup.contents.jsonend import JsonEnd, may_begin_json
from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.exceptions import XBackupError
from airflow_provider_xbackup.http.endpoint import Endpoint, Timeouts, read_url
from airflow_provider_xbackup.http.message import (
    Answer,
    read_content_range,
    read_http_date,
    read_unsatisfied_range,
)
from airflow_provider_xbackup.http.places import places_of
from airflow_provider_xbackup.http.sync import Client
from airflow_provider_xbackup.http.tokens import GivenToken
from airflow_provider_xbackup.quoting import quotable, without
from airflow_provider_xbackup.services import answers, xenioo, xray, xray_cooldown, xray_jobs
from airflow_provider_xbackup.transfer.download import decoded
from airflow_provider_xbackup.transfer.spool import Spool
from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.checks import Check
from airflow_provider_xbackup.vault.manifest import Manifest
from airflow_provider_xbackup.vault.records import Acceptance, Hold, Tombstone
from airflow_provider_xbackup.vault.translate import translate
from airflow_provider_xbackup.vault.url import VaultUrl

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ONCE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ODDITIES = [
    "",
    " ",
    "\0",
    "\ud800",
    "..",
    "/",
    "a/b",
    "9" * 5000,
    "-1",
    "1e999",
    "٣",
    "2026-11-23T01:00:00Z",
    "x" * 3000,
]
# By number: Hypothesis writes down what it draws from, again and again.
ODD = st.integers(0, len(ODDITIES) - 1).map(ODDITIES.__getitem__)
DEEP = [b"[" * 20_000, b'{"a":' * 20_000, b"1" * 5000]
TEXTS = st.text(max_size=60) | ODD
DAMAGE = JSON | ODD
HEADER = st.text(st.characters(max_codepoint=255), max_size=60)


def outcome_of(call: Callable[[Any], Any], value: Any) -> Any:
    """What a call returns, or the error of the package's that it raises."""
    try:
        return call(value)
    except (BackupError, XBackupError) as error:
        return error


def changed(valid: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """A JSON object with some of its fields replaced, at any depth, or cut, or any bytes."""

    def change(value: Any) -> st.SearchStrategy[Any]:
        if isinstance(value, dict):
            kept = {name: change(inner) for name, inner in value.items()}
            return st.fixed_dictionaries({}, optional=kept) | st.fixed_dictionaries(kept) | DAMAGE
        if isinstance(value, list) and value:
            return st.lists(st.one_of([change(inner) for inner in value]), max_size=3) | DAMAGE
        return st.just(value) | st.just(value) | DAMAGE

    objects = change(valid).map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))
    cut = st.integers(0, 2000).map(lambda end: json.dumps(valid).encode()[:end])
    return objects | cut | st.binary(max_size=100) | st.integers(0, 2).map(DEEP.__getitem__)


ARTIFACT = {
    "name": "backup.1a2b3c4d.zip", "role": "backup", "size": 1, "sha256": "0" * 64, "stored_size": 1,
    "stored_sha256": "0" * 64, "media_type": "application/zip", "compression": None,
}  # fmt: skip
MANIFEST = {
    "schema": "xbackup/manifest/v1", "service": "xray", "account": "acme", "kind": "full",
    "backup_id": "20261123T014500Z-full-1a2b3c4d", "requested_at": "2026-11-23T01:45:00Z",
    "completed_at": "2026-11-23T01:46:00Z", "modified_since": None, "scope": {"project_ids": ["1"]},
    "condition": {"state": "ok", "reasons": []}, "remote": {"last_modified": None}, "entities": {"tests": 1},
    "artifacts": [ARTIFACT], "producer": {"package_version": "1"},
}  # fmt: skip
WORD = {"who": "me", "why": "so", "at": "2026-11-23T01:45:00Z", "until": None}
CHECK = {
    "schema": "xbackup/check/v1", "at": "2026-11-23T01:45:00Z", "vault": "file:///x", "level": "digest",
    "reached": "digest", "passed": True, "objects": 1, "bytes": 1, "producer": {"package_version": "1"},
    "findings": [{"code": "x", "kind": "error", "object": None, "text": "x"}],
}  # fmt: skip
STORED: dict[str, tuple[Callable[[bytes], Any], dict[str, Any]]] = {
    "manifest": (Manifest.from_json, MANIFEST),
    "hold": (Hold.from_json, {"schema": "xbackup/hold/v1", **WORD}),
    "acceptance": (Acceptance.from_json, {"schema": "xbackup/accepted/v1", **WORD}),
    "tombstone": (Tombstone.from_json, {"schema": "xbackup/tombstone/v1", **WORD}),
    "check": (Check.from_json, CHECK),
}


# Made once: that takes longer than an example.
DAMAGED = {kind: changed(valid) for kind, (_, valid) in STORED.items()}


@pytest.mark.parametrize("kind", STORED)
@given(data=st.data())
def test_any_object_of_a_vault_is_read_or_refused(kind, data):
    read, _ = STORED[kind]
    value = outcome_of(read, data.draw(DAMAGED[kind]))
    if isinstance(value, BackupError):
        assert len(str(value)) < 1000
    else:
        assert read(value.to_json()) == value


@pytest.mark.parametrize("kind", STORED)
def test_an_undamaged_object_of_a_vault_is_read(kind):
    read, valid = STORED[kind]
    assert read(json.dumps(valid).encode())


@given(TEXTS)
def test_any_name_in_a_vault_is_a_backups_or_foreign(text):
    layout.nonce_of(text)
    layout.is_record(text)
    layout.is_clock(text)
    for path in (text, f"xray/{text}/20261123T014500Z-full-1a2b3c4d/manifest.json", f"xray/acme/{text}"):
        found = layout.BackupPath.of(path)
        assert found is None or f"{found[0].folder}/{found[1]}" == path
    for check in (layout.parse_backup_id, layout.check_account, layout.check_service, layout.check_id_start):
        assert len(str(outcome_of(check, text))) < 500 + len(text)


@given(st.integers(0, 9999), st.text("0123456789", min_size=10, max_size=10))
def test_any_digits_are_a_backup_id_or_not(year, digits):
    name = f"{year:04}{digits[:4]}T{digits[4:]}Z-full-1a2b3c4d"
    try:
        parsed = layout.parse_backup_id(name)
    except BackupError:
        return
    assert layout.make_backup_id(parsed.instant, parsed.kind, parsed.digits) == name


@given(
    st.builds("{}://{}{}".format, st.sampled_from(["s3", "gs", "abfs", "file", "x"]), TEXTS, TEXTS) | TEXTS,
)
def test_any_text_is_a_vaults_url_or_refused(text):
    try:
        url = VaultUrl.parse(text)
    except BackupError:
        return
    assert VaultUrl.parse(str(url)) == url


@given(HEADER | ODD)
def test_any_header_is_read_or_passed_over(value):
    read_http_date(value)
    found = read_content_range(value)
    assert found is None or found[0] >= 0
    names = ("date", "retry-after", "content-length", "content-range", "last-modified", "location", "etag")
    for status in (200, 206, 302, 429, 503):
        answer = Answer(status, dict.fromkeys(names, value), b"", NOW)
        assert answer.date.tzinfo is not None
        assert answer.retry_after is None or timedelta() <= answer.retry_after <= timedelta(days=31)
        assert answer.length is None or answer.length >= 0
        for read in (
            xray.read_file,
            xray.read_file_end,
            xray.read_linked_file,
            xray.read_redirect,
            xenioo.read_backup,
        ):
            try:
                read(answer)
            except BackupError:
                continue


@given(st.integers(0, 10**20), st.integers(0, 10**20), st.integers(0, 10**20) | st.just("*"))
def test_any_range_is_read_or_passed_over(first, last, length):
    found = read_content_range(f"bytes {first}-{last}/{length}")
    known = max(first, last, 0 if length == "*" else length) < 10**18
    assert found == ((first, None if length == "*" else length) if known else None)


@given(st.integers(0, 10**20))
def test_any_end_of_a_file_is_read_or_passed_over(length):
    assert read_unsatisfied_range(f"bytes */{length}") == (length if length < 10**18 else None)


@pytest.fixture
def no_network(monkeypatch):
    """No name is known, and what listens on no port refuses."""

    def unknown(*_: object, **__: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr("airflow_provider_xbackup.http.retry._pause", lambda _: 0.0)


LOCATIONS = (
    TEXTS
    | HEADER
    | st.builds("{}://{}/{}".format, st.sampled_from(["http", "https", "ftp", "HTTPS"]), HEADER, HEADER)
    | st.builds("https://x.example:{}/{}?{}".format, HEADER, HEADER, HEADER)
)


@ONCE
@given(LOCATIONS)
def test_any_place_a_redirect_names_is_gone_to_or_refused(no_network, location):
    client = Client(Endpoint("https://xray.example", timeouts=Timeouts(1, 1, 1)), GivenToken("token-value"))
    with pytest.raises(BackupError) as caught:
        client.open_link(xray.file_request(xray.Artifact.DATA), location)
    assert "xray.example" in str(caught.value)
    client.close()


@ONCE
@given(LOCATIONS)
def test_any_host_of_a_connection_is_read_or_refused(no_network, host):
    places_of(host)
    try:
        url = read_url(host)
    except BackupError:
        return
    assert read_url(url, allow_http=True) == url


@given(st.binary(max_size=200), st.lists(st.binary(max_size=50), max_size=5))
def test_any_end_of_a_body_is_followed_or_disliked(start, blocks):
    end = JsonEnd(start)
    for block in blocks:
        end.feed(block)
    assert not (end.is_complete() and end.is_cut_off())
    assert may_begin_json(start) or not end.is_complete()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
@given(blocks=st.lists(st.binary(max_size=100) | st.just(b"\x1f\x8b\x08\0\0\0\0\0\0\x03"), max_size=4))
def test_any_coded_body_is_decoded_or_refused(encoding, blocks):
    try:
        for piece in decoded(iter(blocks), encoding):
            assert len(piece) <= 1 << 20
    except BackupError:
        return


@given(start=st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()), headers=HEADER)
def test_any_short_body_is_a_backup_or_a_refusal(start, headers):
    answer = Answer(200, {"content-type": headers}, b"", NOW)
    for check in (lambda: xenioo.check_start(start), lambda: xenioo.check_short(answer, start)):
        try:
            check()
        except BackupError:
            continue


@given(claims=JSON | st.fixed_dictionaries({}, optional={"iat": DAMAGE, "exp": DAMAGE}))
def test_any_claims_of_a_token_are_read_or_passed_over(claims):
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode("utf-8", "surrogatepass")).decode().rstrip("=")
    answer = Answer(200, {}, json.dumps(f"eyJhbGciOiJIUzI1NiJ9.{payload}.signature").encode(), NOW)
    try:
        token = xray.read_token(answer)
    except BackupError:
        return
    assert timedelta() < token.lifetime < timedelta(days=366)


@given(
    st.text(max_size=300)
    | st.lists(st.sampled_from(["in", "in:", "6 hours", "1 minute", "and", ","])).map(" ".join)
)
def test_any_sentence_of_a_server_is_read_and_quoted(text):
    remaining = xray_cooldown.read_remaining(text)
    assert remaining is None or remaining >= timedelta()
    quoted = quotable(text)
    assert quoted.isprintable()
    assert len(quoted) <= 200


@given(st.text(min_size=4, max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_a_secret_is_in_no_quote_however_it_is_written(secret, before, behind):
    for form in (secret, json.dumps(secret)[1:-1]):
        shown = without([secret], before + form + behind)
        assert form not in shown or form in "…"
    answer = Answer(400, {}, json.dumps({"error": before + secret + behind}).encode(), NOW, (secret,))
    said = answers.error_text(answer)
    assert secret not in said or len(secret.strip()) < 4


@given(
    record=changed({"body": "x.body", "answered_at": "2026-11-23T00:00:00Z", "media_type": "x", "doubts": [],
                    "facts": {"size": 1, "sha256": "0" * 64, "stored_size": 1, "stored_sha256": "0" * 64,
                              "compression": None, "encryption": None}}),
    lost=st.binary(max_size=40),
)  # fmt: skip
def test_any_file_in_the_spool_is_an_answer_or_passed_over(record, lost):
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        spool = Spool(folder)
        outside = folder.parent / "x.body"
        spool._path("key", ".json").write_bytes(record)
        spool._path("bot", ".lost").write_bytes(lost)
        found = outcome_of(spool.find, "key")
        assert found is None or isinstance(found, BackupError) or found.body.parent == folder
        spool.find_lost_answer("bot")
        spool.sweep()
        assert not outside.exists()


JOB = {"job_id": "x", "requested_at": "2026-11-23T00:00:00Z"}


@given(JSON | st.fixed_dictionaries({"fingerprint": st.just("?") | DAMAGE, "job": DAMAGE | st.just(JOB)}))
def test_any_value_of_the_task_state_store_is_a_job_or_none(value):
    from airflow_provider_xbackup.tasks.job_memory import JobMemory

    class Store(dict[str, Any]):
        set = dict.__setitem__

    store = Store()
    memory = JobMemory({"task_state_store": store}, {})
    memory.keep(xray_jobs.XrayBackupJob.from_dict(JOB))
    (key,) = store
    if isinstance(value, dict) and value.get("fingerprint") == "?":
        value["fingerprint"] = store[key]["fingerprint"]
    store[key] = value
    job = memory.recall()
    assert job is None or job.job_id


@pytest.fixture(scope="module")
def success() -> dict[str, Any]:
    """The event of a trigger that has seen its job run, and then done."""
    from airflow_provider_xbackup.hooks.xray import XrayHook
    from airflow_provider_xbackup.simulator import Simulator, SimulatorSettings
    from airflow_provider_xbackup.triggers.xray import XrayBackupTrigger

    service = SimulatorSettings()
    service.xray.job_seconds = 0
    with Simulator(service) as sim, pytest.MonkeyPatch.context() as patch:
        acme = {"conn_type": "xray", "host": sim.url, "login": "demo-client", "password": "demo-secret"}
        patch.setenv("AIRFLOW_CONN_ACME", json.dumps(acme))
        hook = XrayHook("acme")
        job = hook.create_backup(xray_jobs.XrayBackupRequest())
        hook.client.close()
        trigger = XrayBackupTrigger(
            job_id=job.job_id,
            xray_conn_id="acme",
            account="acme",
            poll_interval=0.01,
            deadline=time.time() + 60,
            outage_tolerance=0,
            running_at="2020-01-02T00:00:00Z",
        )

        async def first() -> dict[str, Any]:
            return (await anext(trigger.run())).payload

        return asyncio.run(first())


def end_of_the_wait(event: Any) -> Any:
    """What the sensor makes of an event."""
    from airflow_provider_xbackup.sensors.xray import XrayBackupSensor

    # Long ago, whenever this is run.
    sensor = XrayBackupSensor(task_id="wait", job={"job_id": "x", "requested_at": "2020-01-01T00:00:00Z"})
    return outcome_of(lambda value: sensor.execute_complete({}, value), event)


@given(data=st.data())
def test_any_event_of_a_trigger_ends_the_wait(success, data):
    gone = data.draw(st.sets(st.sampled_from(sorted(success))))
    words = {"status": st.sampled_from(["error", "timeout"]) | DAMAGE}
    damage = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(success, DAMAGE) | words) | JSON)
    kept = {name: value for name, value in success.items() if name not in gone}
    outcome = end_of_the_wait(kept | damage if isinstance(damage, dict) else damage)
    assert str(outcome) if isinstance(outcome, XBackupError) else outcome["finished_at"]


@pytest.mark.parametrize("value", [*ODDITIES[1:], 5, 1.5, True, [1], {"a": 1}])
def test_a_damaged_instant_of_a_trigger_is_refused_unless_it_is_one(success, value):
    for name in ("finished_at", "running_at"):
        outcome = end_of_the_wait(success | {name: value})
        assert isinstance(outcome, XBackupError) or value == "2026-11-23T01:00:00Z"


def test_an_undamaged_event_of_a_trigger_ends_the_wait_well(success):
    assert success["running_at"]
    outcome = end_of_the_wait(success)
    assert outcome["finished_at"] == success["finished_at"]
    assert outcome["running_at"] == success["running_at"]


@given(st.text(max_size=200) | TEXTS.map(lambda text: f"status: 403 <Code>X</Code><Message>{text}</Message>"))
def test_any_error_of_a_store_becomes_one_of_ours(text):
    for url in ("s3://bucket/x", "file:///x", "abfs://conn@container"):
        error = translate(RuntimeError(text), VaultUrl.parse(url), "read", "x")
        assert isinstance(error, BackupError)
        assert str(error)


def _played(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Read in a process with little time and memory. Only a wait that takes neither is ended from out here."""
    folder = Path(hostile_inputs.__file__).parent
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("reader", hostile_inputs.READERS)
def test_no_hostile_input_needs_much_of_the_processor_or_of_memory(reader):
    played = _played(hostile_inputs.__file__, reader)

    *_, last = played.stdout.splitlines() or ["nothing was read"]
    assert (last, played.returncode) == (hostile_inputs.THE_END, 0), played.stderr[-2000:]


@pytest.mark.parametrize(
    ("code", "end"),
    [
        pytest.param("while True: pass", -signal.SIGXCPU, id="a loop without end"),
        pytest.param("bytes(hostile_inputs.BYTES)", 1, id="a blow-up"),
    ],
)
def test_what_needs_too_much_is_ended_and_named(code, end):
    planted = f"lambda: exec({code!r})"
    played = _played("-c", f"import hostile_inputs; hostile_inputs.play({{'planted': {planted}}}, seconds=1)")

    assert (played.stdout, played.returncode) == ("planted\n", end)
