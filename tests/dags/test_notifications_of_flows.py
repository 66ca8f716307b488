"""The example that watches over backups: its mails, and what its deadline does, in Airflow's own trigger."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow import __version__
from mail_server import MailServer, text_of
from stand_in import load_dags

from airflow_provider_xbackup.vault import Vault

EXAMPLES = Path(__file__).resolve().parents[2] / "example_dags"
airflow_version = tuple(map(int, __version__.split(".")[:2]))
RunDag = Callable[..., Any]


def watch() -> Any:
    """Run the example; returns the DAG run."""
    dag = load_dags(EXAMPLES)["xbackup_watch"]
    # dag.test() trips over deadlines: before 3.2 always, in 3.3 when the run succeeds. The scheduler does not.
    dag.deadline = None
    return dag.test()


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with MailServer() as server:
        extra = {"disable_ssl": True, "disable_tls": True, "retry_limit": 1}
        connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": server.port, "extra": json.dumps(extra)}
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com")
        yield server


@pytest.fixture
def watched(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vault is one of the page's, with a promise."""
    promise = {"name": "main", "url": str(vault.url), "rpo": "26h", "expected_accounts": ["xray/acme"]}
    monkeypatch.setenv("AIRFLOW__XBACKUP__VAULTS", json.dumps([promise]))


def test_a_missing_backup_is_a_mail_that_says_whose_and_where_to_look(
    watched: None, vault: Vault, mails: MailServer
):
    vault.prepare()

    assert watch().state == "failed"

    (mail,) = mails.mails
    assert (mail["To"], mail["From"]) == ("on-call@example.com", "airflow@example.com")
    assert mail["Subject"] == "xray/acme: fresh failed"
    if airflow_version >= (3, 3):  # before, dag.test() tells callbacks no error; the runner of tasks always did
        assert "xray/acme" in text_of(mail)
    assert 'href="https://airflow.example.com/xbackup/#/main/xray/acme"' in text_of(mail)
    assert "Task fresh of DAG xbackup_watch" in text_of(mail)


def test_backups_as_promised_are_no_mail(run_dag: RunDag, mails: MailServer):
    run_dag("examples", "xray_nightly_backup")
    run_dag("examples", "xbackup_retention")  # verifies it

    assert watch().state == "success"

    assert mails.mails == []


# -- the deadline ------------------------------------------------------------------------------------------


async def miss_the_deadline() -> list[dict[str, Any]]:
    """Do what the scheduler and the triggerer do when the deadline of the example has passed."""
    try:
        from airflow.triggers.callback import CallbackTrigger
    except ImportError:  # Airflow 3.1
        from airflow.triggers.deadline import DeadlineCallbackTrigger as CallbackTrigger

    deadline = load_dags(EXAMPLES)["xbackup_watch"].deadline
    (alert,) = deadline if isinstance(deadline, list) else [deadline]
    context = {
        "dag_run": {"dag_id": "xbackup_watch", "dag_run_id": "run 1"},
        "deadline": {"id": "1", "deadline_time": datetime.now(UTC).isoformat()},
    }
    callback = alert.callback
    trigger = CallbackTrigger(callback.path, {**(callback.kwargs or {}), "context": context})
    return [event.payload async for event in trigger.run()]


async def test_a_missed_deadline_tells_what_the_vault_lacks(vault: Vault, watched: None, mails: MailServer):
    vault.prepare()

    (*_, last) = await miss_the_deadline()

    assert last["state"] == "success", last
    (mail,) = mails.mails
    assert "xray/acme" in mail["Subject"]
    assert "The deadline of run run 1 of DAG xbackup_watch was missed." in text_of(mail)
    assert 'href="https://airflow.example.com/xbackup/#/"' in text_of(mail)


async def test_a_missed_deadline_is_no_mail_while_the_backups_are_there(
    run_dag: RunDag, watched: None, mails: MailServer
):
    run_dag("examples", "xray_nightly_backup")
    run_dag("examples", "xbackup_retention")

    (*_, last) = await miss_the_deadline()

    assert (last["state"], mails.mails) == ("success", [])
    assert "All backups are as promised" in last["body"]


async def test_a_vault_that_cannot_be_read_is_an_alarm(monkeypatch: pytest.MonkeyPatch, mails: MailServer):
    gone = [{"name": "gone", "url": "s3://nobody@gone/vault"}]
    monkeypatch.setenv("AIRFLOW__XBACKUP__VAULTS", json.dumps(gone))

    (*_, last) = await miss_the_deadline()

    assert last["state"] == "success", last
    (mail,) = mails.mails
    assert "names the Airflow connection" in text_of(mail)
    assert "nobody" in text_of(mail)


async def test_a_deadline_that_knows_no_vault_says_so(mails: MailServer):
    (*_, last) = await miss_the_deadline()

    assert last["state"] == "failed"
    assert "set [xbackup] vaults for the triggerer" in last["body"]
