"""Whole DAGs whose metrics arrive at a StatsD server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from statsd_server import StatsdServer, sending_metrics

from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.vault import Vault

RunDag = Callable[..., Any]


@pytest.fixture
def statsd(monkeypatch: pytest.MonkeyPatch) -> Iterator[StatsdServer]:
    with sending_metrics(monkeypatch) as server:
        yield server


def test_a_backup_is_told_of_from_its_request_to_its_check(
    run_dag: RunDag, vault: Vault, simulator: Simulator, statsd: StatsdServer
):
    working = {"status": 200, "content_type": "application/json", "body": '{"status": "working"}'}
    simulator.add_fault(action="status", path="/status$", times=2, **working)

    run_dag("tests", "mapped_tenants")
    run_dag("examples", "xbackup_retention")

    sizes = {backup.manifest.account: backup.manifest.stored_size for backup in vault.backups("xray")}
    got = statsd.received
    for account in ("acme", "globex"):
        assert got[f"stored_backups.xray.{account}"] == ["1|c"]
        assert got[f"stored_bytes.xray.{account}"] == [f"{sizes[account]}|c"]
        (taken,) = got[f"transfer.xray.{account}"]
        assert taken.endswith("|ms")
    # One sensor asks once, goes to the triggerer, and tells what was asked there when it comes back.
    polls = [values for name, values in got.items() if name.startswith("polls.xray.")]
    assert sorted(polls) == [["1|c"], ["1|c", "2|c"]]
    assert len(simulator.journal.entries(path="/status")) == 4
    assert got["checks.xray.acme.passed"] == ["1|c"]
    assert not [name for name in got if name.startswith(("refused", "retries", "resumes"))]


def test_the_ages_of_backups_are_told_of_with_every_look_of_the_sensor(
    run_dag: RunDag, statsd: StatsdServer, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIRFLOW_VAR_XBACKUP_COPY_VAULT", (tmp_path / "copies").as_uri())
    run_dag("examples", "xray_nightly_backup")

    run = run_dag("examples", "xbackup_replicate")

    assert {ti.task_id: str(ti.state) for ti in run.get_task_instances()}["fresh"] == "failed"
    for gauge in ("age_of_whole.xray.acme", "age_of_verified.xray.acme"):
        (age,) = statsd.received[gauge]
        assert 0 <= float(age.removesuffix("|g")) < 300
