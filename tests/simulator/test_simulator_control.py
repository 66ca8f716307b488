"""The control endpoint and the journal."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
import requests

from airflow_provider_xbackup.simulator import SimulatorSettings


@pytest.fixture
def control(sim) -> Any:
    """Calls the control endpoint."""

    def call(method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        answer = requests.request(method, f"{sim.url}/_control/{path}", json=body, timeout=20)
        assert answer.status_code == status
        return answer.json()

    return call


def test_the_state_shows_clock_tenants_bots_and_faults(sim, xray, control):
    job_id = xray.finished_job(withAttachment=True)
    sim.add_fault(action="gzip")
    state = control("GET", "state")
    tenant = state["tenants"]["demo-client"]
    assert tenant["tests"] == 80
    assert tenant["jobs"][0]["id"] == job_id
    assert set(tenant["jobs"][0]["files"]) == {"file", "attachment"}
    assert set(state["bots"]) == {"welcome", "support", "sales"}
    assert state["faults"][0]["action"] == "gzip"


def test_all_settings_can_be_read_as_json_and_set_again(control):
    settings = control("GET", "settings")
    assert SimulatorSettings.model_validate_json(json.dumps(settings)) == SimulatorSettings()
    assert control("PATCH", "settings", settings) == settings


def test_changed_settings_are_merged_and_in_force_at_once(sim, xray, control):
    control("PATCH", "settings", {"xray": {"cooldown_seconds": 0, "download": {"redirect": False}}})
    assert sim.settings.xray.job_seconds == 3
    xray.finished_job()
    assert xray.call("GET", "/api/v2/backup/file").status_code == 200
    assert xray.create().ok


@pytest.mark.parametrize("changes", [{"xray": {"cooldown": 0}}, {"xray": {"job_seconds": -1}}, {"zray": {}}])
def test_settings_that_cannot_be_meant_are_refused_and_change_nothing(sim, control, changes):
    control("PATCH", "settings", changes, status=422)
    assert sim.settings == SimulatorSettings()


def test_the_clock_can_be_moved_set_and_frozen(sim, control):
    before = sim.clock.now()
    control("POST", "clock", {"advance_seconds": 3600})
    assert (sim.clock.now() - before).total_seconds() >= 3600
    answer = control("POST", "clock", {"set": "2030-01-02T03:04:05Z", "frozen": True})
    assert datetime.fromisoformat(answer["now"]) == sim.clock.now()
    assert answer["frozen"] is True
    assert control("GET", "clock") == answer
    assert control("POST", "clock", {"frozen": False})["frozen"] is False
    control("POST", "clock", {"set": "2030-01-02T03:04:05"}, status=422)


def test_faults_can_be_added_counted_and_removed(sim, xray, control):
    control("POST", "faults", {"action": "status", "path": "/status$", "after": 1})
    assert [xray.status("x").status_code for _ in range(2)] == [404, 500]
    rule = control("GET", "faults")[0]
    assert (rule["seen"], rule["played"]) == (2, 1)
    control("DELETE", "faults")
    assert control("GET", "faults") == []
    control("POST", "faults", {"action": "explode"}, status=422)


def test_running_jobs_can_be_finished(sim, xray, control):
    sim.settings.xray.job_seconds = 10_000
    job_id = xray.create().json()["jobId"]
    assert control("POST", "jobs/finish") == {"finished": 1}
    assert xray.status(job_id).json()["status"] == "successful"


def test_the_data_of_a_tenant_can_be_changed(xray, control):
    assert control("POST", "tenants/demo-client/data", {"tests": 7})["tests"] == 14
    assert xray.count("getTests", "10042") == 7
    control("POST", "tenants/demo-client/data", {"test": 7}, status=422)
    control("POST", "tenants/nobody/data", {}, status=404)


def test_another_client_can_make_a_backup_in_spite_of_the_cooldown(xray, control):
    job_id = xray.finished_job()
    other = control("POST", "tenants/demo-client/jobs", {"projectIds": ["10077"], "withAttachment": True})
    assert other["status"] == "successful"
    assert other["id"] != job_id
    assert {name.split("_")[1] for name in xray.unzip().namelist()} == {"10077"}
    assert control("POST", "tenants/demo-client/jobs", {"finished": False})["status"] == "running"


def test_tokens_can_be_revoked(xray, control):
    control("DELETE", "tokens")
    assert xray.create().status_code == 401


def test_a_reset_forgets_everything_but_settings_and_clock(sim, xray, control):
    sim.settings.xray.job_seconds = 5
    job_id = xray.finished_job()
    link = xray.link()
    sim.add_fault(action="status", times=None)
    sim.advance(3600)
    moved = sim.clock.now()
    control("POST", "reset")
    assert sim.journal.entries() == []
    assert sim.clock.now() >= moved
    assert sim.settings.xray.job_seconds == 5
    assert xray.create().status_code == 401
    xray.login()
    assert xray.status(job_id).status_code == 404
    assert requests.get(link, timeout=20).status_code == 403
    assert xray.create().ok


def test_the_journal_notes_every_request_but_those_to_the_control_endpoint(sim, xray, control):
    job_id = xray.create().json()["jobId"]
    requests.get(f"{sim.xenioo_url('sales')}/bots/backup?x=1", timeout=20)
    entries = control("GET", "journal")
    assert [(entry["method"], entry["path"], entry["status"]) for entry in entries] == [
        ("POST", "/api/v2/authenticate", 200),
        ("POST", "/api/v2/backup", 200),
        ("GET", "/xenioo/sales/bots/backup", 400),
    ]
    assert [entry["sequence"] for entry in entries] == list(
        range(entries[0]["sequence"], entries[0]["sequence"] + 3)
    )
    assert entries[1]["job_id"] == job_id
    assert entries[1]["tenant"] == "demo-client"
    assert entries[2]["bot"] == "sales"
    assert [entry["authorized"] for entry in entries] == [False, True, False]
    assert "content-type" in entries[1]["headers"]
    control("DELETE", "journal")
    assert control("GET", "journal") == []


def test_the_journal_holds_no_secret(sim, xray, control):
    xray.finished_job()
    link = xray.link()
    requests.get(link, timeout=20)
    told = json.dumps(control("GET", "journal"))
    for secret in ("demo-secret", xray.token, link.rpartition("/")[2]):
        assert secret not in told
    assert sim.journal.entries()[-1].path == "/_storage/…"


def test_the_journal_counts_what_was_accepted(sim, xray):
    job_id = xray.finished_job()
    for _ in range(3):
        assert xray.create().status_code == 400
    assert sim.journal.jobs() == [job_id]
    assert len(sim.journal.entries("/backup", "POST")) == 4
