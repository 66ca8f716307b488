"""The hook of Xray, over a connection of Airflow and real HTTP."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from datetime import timedelta

import pytest

from airflow_provider_xbackup.exceptions import XBackupCooldownError, XBackupError, XBackupFailError
from airflow_provider_xbackup.hooks.xray import XrayHook
from airflow_provider_xbackup.services.xray import Artifact, JobPhase
from airflow_provider_xbackup.services.xray_jobs import XrayBackupRequest

FULL = XrayBackupRequest()


@pytest.fixture
def hook(sim, connect):
    """A hook of the simulator's tenant."""
    connect("acme", conn_type="xray", host=sim.url, login="demo-client", password="demo-secret")
    return XrayHook("acme", account="Acme Inc")


def test_a_backup_is_asked_for_watched_and_opened(sim, hook):
    job = hook.create_backup(XrayBackupRequest(("10042",)), base="base-id")
    assert (sim.journal.jobs(), job.base, job.project_ids) == ([job.job_id], "base-id", ("10042",))
    assert hook.get_backup_status(job.job_id).phase is JobPhase.RUNNING
    sim.finish_jobs()
    assert asyncio.run(hook.aget_backup_status(job.job_id)).phase is JobPhase.SUCCEEDED
    with hook.open_backup_file(Artifact.DATA).stream as stream:
        assert next(stream.blocks()).startswith(b"PK")
    assert len(sim.journal.entries("/authenticate")) == 1


ON_THE_LOOP = """
import asyncio, sys, threading
from airflow_provider_xbackup.hooks.xray import XrayHook
from airflow_provider_xbackup.triggers.xray import XrayBackupTrigger

class Watch:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is threading.main_thread():
            print(name)

async def main():
    sys.meta_path.insert(0, Watch())
    await {call}
    sys.meta_path.pop(0)

asyncio.run(main())
"""
TRIGGER = (
    "XrayBackupTrigger(job_id='{job_id}', xray_conn_id='acme', account='acme', poll_interval=1, deadline=0, "
    "outage_tolerance=1).run().__anext__()"
)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param("XrayHook('acme').aget_backup_status('{job_id}')", id="a question"),
        pytest.param(TRIGGER, id="a trigger"),
    ],
)
def test_nothing_heavy_is_loaded_on_the_event_loop(sim, hook, call):
    script = ON_THE_LOOP.format(call=call.format(job_id=hook.create_backup(FULL).job_id))

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)

    assert ran.returncode == 0, ran.stderr
    loaded = {name.split(".")[0] for name in ran.stdout.split()}
    assert loaded.isdisjoint({"airflow_provider_xbackup", "aiohttp", "requests", "pendulum", "tenacity"})


def test_the_projects_entities_are_counted(hook):
    counts = hook.count_entities("10042")
    assert counts["tests"] == 40
    assert {"tests", "testSets", "testPlans", "preconditions"} <= counts.keys()


def test_a_cooldown_says_until_when_and_to_whom(sim, hook):
    first = hook.create_backup(FULL)
    sim.finish_jobs()
    with pytest.raises(XBackupCooldownError, match=r"^Xray account 'Acme Inc': .*5 h 59|6 h") as caught:
        hook.create_backup(FULL)
    assert caught.value.certain
    assert caught.value.available_at - first.requested_at > timedelta(hours=5, minutes=59)


def test_a_running_job_is_a_cooldown_too(hook):
    hook.create_backup(FULL)
    with pytest.raises(XBackupCooldownError, match="already being created"):
        hook.create_backup(FULL)


def test_an_unknown_job_is_final_whoever_asks(hook):
    says = r"'Acme Inc' \(connection 'acme'\): Xray does not know the backup job 'nope'"
    with pytest.raises(XBackupFailError, match=says):
        hook.get_backup_status("nope")
    with pytest.raises(XBackupFailError, match=says):
        asyncio.run(hook.aget_backup_status("nope"))


@pytest.mark.parametrize("status", [403, 404])
def test_a_page_of_a_firewall_is_not_final(sim, hook, status):
    job = hook.create_backup(FULL)
    sim.add_fault(action="html", path="/status$", status=status, times=2)
    for ask in (hook.get_backup_status, lambda job_id: asyncio.run(hook.aget_backup_status(job_id))):
        with pytest.raises(XBackupError, match="web page") as caught:
            ask(job.job_id)
        assert not isinstance(caught.value, XBackupFailError)
    assert hook.get_backup_status(job.job_id).word == "working"


def test_a_job_that_was_asked_for_twice_in_vain_is_made_once(sim, hook):
    sim.add_fault(action="drop_answer", path="/backup$")
    with pytest.raises(XBackupError, match="whether it took effect is not known"):
        hook.create_backup(FULL)
    assert len(sim.journal.jobs()) == 1
    assert len(sim.journal.entries("/backup")) == 1


# Airflow 3.1 itself does not read a connection from the environment whose extra is no object.
NO_OBJECT = "no JSON object|cannot read its definition"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"login": "demo-client"}, r"'acme' has no client secret \(password\)"),
        ({"password": "demo-secret"}, r"'acme' has no client id \(login\)"),
        ({}, "has no client id"),
        ({"login": "c", "password": "demo-secret", "extra": ["x"]}, NO_OBJECT),
        ({"login": "c", "password": "demo-secret", "host": "http://other.example"}, "plain http"),
        ({"login": "c", "password": "demo-secret", "host": "https://u:demo-secret@other.example"}, "user name"),
    ],
)
def test_a_connection_that_cannot_work_says_what_it_lacks(connect, fields, says):
    connect("acme", conn_type="xray", **fields)
    with pytest.raises(XBackupFailError, match=says) as caught:
        XrayHook("acme").get_conn()
    assert "demo-secret" not in str(caught.value)
    with pytest.raises(XBackupFailError, match=says):
        asyncio.run(XrayHook("acme").aget_backup_status("x"))


def test_without_a_host_it_is_the_global_one(connect):
    connect("acme", conn_type="xray", login="c", password="s")
    assert XrayHook("acme").client.endpoint.url == "https://xray.cloud.getxray.app"


def test_the_account_is_the_connections_name_unless_given():
    assert XrayHook("acme").account == "acme"
    assert XrayHook().xray_conn_id == "xray_default"


class TestConnectionTest:
    def test_it_logs_in_and_starts_nothing(self, sim, hook):
        assert hook.test_connection() == (True, f"Xray at {sim.url.removeprefix('http://')} accepted the API key.")
        assert [entry.path for entry in sim.journal.entries()] == ["/api/v2/authenticate"]

    def test_it_does_not_believe_an_old_token(self, sim, hook, connect):
        assert hook.test_connection()[0]
        sim.configure({"xray": {"tenants": {"demo-client": {"client_secret": "changed"}}}})
        assert not hook.test_connection()[0]

    def test_a_wrong_secret_is_said_without_it(self, sim, connect):
        connect("acme", conn_type="xray", host=sim.url, login="demo-client", password="wr0ng-s3cret")
        ok, message = XrayHook("acme").test_connection()
        assert not ok
        assert "Check client id and client secret" in message
        assert "wr0ng" not in message

    def test_a_host_that_is_not_there_is_said(self, connect, monkeypatch):
        monkeypatch.setattr("airflow_provider_xbackup.http.retry._pause", lambda _: 0.0)
        connect("acme", conn_type="xray", host="http://127.0.0.1:9", login="c", password="s")
        ok, message = XrayHook("acme").test_connection()
        assert not ok
        assert "could not be reached" in message


def test_no_secret_is_in_sight(sim, hook, caplog):
    caplog.set_level(logging.DEBUG)
    job = hook.create_backup(FULL)
    sim.finish_jobs()
    hook.open_backup_file(Artifact.DATA).stream.close()
    client = hook.client
    token = client._tokens.current().value
    shown = f"{hook!r}{client!r}{client.endpoint!r}{client._tokens!r}{job!r}{caplog.text}"
    assert "demo-secret" not in shown
    assert token not in shown
    assert "/_storage/" not in shown


@pytest.mark.parametrize(("conn_type", "said"), [("http", True), ("xray", False)])
def test_a_connection_of_another_type_is_told_of(sim, connect, caplog, conn_type: str, said: bool):
    connect("acme", conn_type=conn_type, host=sim.url, login="demo-client", password="demo-secret")

    assert XrayHook("acme").test_connection()[0]

    assert ("Was another one meant?" in caplog.text) is said
    assert "demo-secret" not in caplog.text
