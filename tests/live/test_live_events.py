"""What a whole Airflow tells the world of backups: links, metrics, and a mail where a deadline was missed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from live_deployment import Deployment
from live_flows import Flows
from mail_server import MailServer, text_of
from processes import wait_for

from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.vault import Vault


@pytest.fixture
def vault(deployment: Deployment) -> Vault:
    """The vault that the page of this Airflow shows."""
    vault = Vault.open(deployment.shown.as_uri())
    vault.prepare()
    return vault


@pytest.fixture
def mails(airflow: Deployment) -> Iterator[MailServer]:
    with MailServer() as server:
        extra = json.dumps({"disable_ssl": True, "disable_tls": True, "retry_limit": 1})
        airflow.api.connect("smtp_default", conn_type="smtp", host="127.0.0.1", port=server.port, extra=extra)
        yield server


def test_a_task_links_to_its_backup_and_its_metrics_arrive(
    flows: Flows, airflow: Deployment, sim: Simulator, vault: Vault
):
    run = flows.tenant()
    run.wait_for_task("wait", "deferred")
    wait_for("a question of the trigger", lambda: len(sim.journal.entries("/status")) > 1)
    sim.finish_jobs()
    assert run.wait_for_end() == "success"

    (backup,) = vault.backups("xray", flows.name)
    links = airflow.api.call("GET", f"{run.path}/taskInstances/store/links")["extra_links"]
    assert links == {
        "Backup": f"{airflow.api.url}/xbackup/#/shown/xray/{flows.name}/{backup.backup_id}",
        "Manifest": None,
    }
    got = airflow.statsd.received
    assert got[f"stored_bytes.xray.{flows.name}"] == [f"{backup.stored_size}|c"]
    polls = sum(int(value.removesuffix("|c")) for value in got[f"polls.xray.{flows.name}"])
    assert polls == len(sim.journal.entries("/status"))


def test_a_deadline_that_passes_sends_what_the_vault_lacks(
    flows: Flows, airflow: Deployment, sim: Simulator, vault: Vault, mails: MailServer
):
    run = flows.tenant("overdue")

    mail = wait_for("a mail", lambda: mails.mails[0] if mails.mails else None)

    assert run.state == "running"
    assert "xray/expected" in text_of(mail)
    assert f"run {run.run_id} of DAG overdue" in text_of(mail)
    assert f'href="{airflow.api.url}/xbackup/#/"' in text_of(mail)
