from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.vault import Vault


def states(run: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for ti in run.get_task_instances():
        found.setdefault(ti.task_id, set()).add(str(ti.state))
    return found


def xcom(run: Any, task_id: str, map_index: int) -> Any:
    (ti,) = [ti for ti in run.get_task_instances() if (ti.task_id, ti.map_index) == (task_id, map_index)]
    return ti.xcom_pull(task_ids=task_id, map_indexes=map_index)


def activate_assets() -> None:
    """Do what the scheduler does all the time: assets that a DAG names begin to count."""
    from airflow.models.asset import AssetActive, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        for asset in session.scalars(select(AssetModel)):
            session.merge(AssetActive(name=asset.name, uri=asset.uri))


def asset_events(uri: str) -> list[Any]:
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = select(AssetEvent).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        return list(session.scalars(found.where(AssetModel.uri == uri).order_by(AssetEvent.timestamp)))


def test_the_xray_example_puts_a_whole_backup_with_attachments_into_the_vault(run_dag, vault: Vault):
    run = run_dag("examples", "xray_nightly_backup")

    assert run.state == "success"
    (backup,) = vault.backups()
    assert (backup.manifest.service, backup.manifest.account) == ("xray", "acme")
    assert [artifact.role for artifact in backup.manifest.artifacts] == ["backup", "attachments"]
    assert backup.manifest.condition.state == "ok"
    assert backup.manifest.producer.dag_id == "xray_nightly_backup"


def test_the_transfer_returns_what_was_stored_and_where(run_dag, vault: Vault):
    run = run_dag("examples", "xray_nightly_backup")

    (backup,) = vault.backups()
    assert xcom(run, "xray_backup.store", 0) == {
        "service": "xray",
        "account": "acme",
        "backup_id": backup.backup_id,
        "vault": str(vault.url),
        "manifest": f"{vault.url}/xray/acme/{backup.backup_id}/manifest.json",
        "bytes": backup.manifest.stored_size,
    }


def test_the_xray_example_updates_the_asset_of_its_account(run_dag, vault: Vault):
    before = len(asset_events("xbackup://xray/acme"))

    run_dag("examples", "xray_nightly_backup")

    events = asset_events("xbackup://xray/acme")
    (backup,) = vault.backups()
    assert len(events) == before + 1
    assert events[-1].extra["backup_id"] == backup.backup_id
    assert events[-1].extra["condition"] == "ok"


def test_the_xenioo_example_backs_up_every_bot(run_dag, vault: Vault):
    run = run_dag("examples", "xenioo_nightly_backup")

    assert run.state == "success"
    assert {backup.manifest.account for backup in vault.backups("xenioo")} == {"welcome", "support", "sales"}


def test_a_mapped_bot_updates_the_asset_of_its_own_account(run_dag):
    before = {bot: len(asset_events(f"xbackup://xenioo/{bot}")) for bot in ("welcome", "sales")}

    run_dag("examples", "xenioo_nightly_backup")

    assert {bot: len(asset_events(f"xbackup://xenioo/{bot}")) for bot in before} == {
        bot: count + 1 for bot, count in before.items()
    }


def test_the_xray_example_backs_up_the_tenants_of_its_variable(
    run_dag, vault: Vault, monkeypatch: pytest.MonkeyPatch
):
    tenants = [
        {"account": "acme", "xray_conn_id": "xray_acme", "with_attachments": False},
        {"account": "globex", "xray_conn_id": "xray_globex", "project_ids": ["10042"]},
    ]
    monkeypatch.setenv("AIRFLOW_VAR_XBACKUP_TENANTS", json.dumps(tenants))

    run = run_dag("examples", "xray_nightly_backup")

    assert run.state == "success"
    scopes = {backup.manifest.account: backup.manifest.scope.project_ids for backup in vault.backups("xray")}
    assert scopes == {"acme": None, "globex": ("10042",)}


def test_the_xenioo_example_backs_up_the_bots_of_its_variable(
    run_dag, vault: Vault, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIRFLOW_VAR_XBACKUP_BOTS", '[{"account": "help", "xenioo_conn_id": "xenioo_support"}]')

    run = run_dag("examples", "xenioo_nightly_backup")

    assert run.state == "success"
    assert [backup.manifest.account for backup in vault.backups()] == ["help"]


def test_whole_flows_are_mapped_over_tenants_and_deferred(run_dag, vault: Vault, simulator: Simulator):
    simulator.settings.xray.job_seconds = 1

    run = run_dag("tests", "mapped_tenants")

    assert run.state == "success"
    found = {backup.manifest.account: backup.manifest for backup in vault.backups("xray")}
    assert found["acme"].scope.project_ids == ("10042",)
    assert found["acme"].scope.attachments
    assert found["globex"].scope.project_ids is None
    assert not found["globex"].scope.attachments
    assert len(list(simulator.journal.jobs())) == 2


@pytest.mark.parametrize(
    ("dag_id", "accounts"),
    [
        pytest.param("listed_bots", {"welcome", "support"}, id="xenioo"),
        pytest.param("listed_tenants", {"acme", "globex"}, id="xray"),
    ],
)
def test_whole_flows_are_mapped_over_rows_that_a_task_makes(
    run_dag, vault: Vault, dag_id: str, accounts: set[str]
):
    run = run_dag("tests", dag_id)

    assert run.state == "success"
    assert {backup.manifest.account for backup in vault.backups()} == accounts


def test_a_dag_scheduled_on_an_account_is_queued_by_the_backup_of_that_account(run_dag, vault: Vault):
    from airflow.models.asset import AssetDagRunQueue
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import delete, select, update

    run_dag("tests", "follows_globex")  # makes the scheduler know the DAG and its asset
    with create_session() as session:
        session.execute(update(DagModel).where(DagModel.dag_id == "follows_globex").values(is_paused=False))
        session.execute(delete(AssetDagRunQueue))
    activate_assets()

    run_dag("tests", "mapped_tenants")

    with create_session() as session:
        queued = {entry.target_dag_id for entry in session.scalars(select(AssetDagRunQueue))}
    assert queued == {"follows_globex"}


def test_a_second_run_within_the_cooldown_can_be_skipped(run_dag, vault: Vault):
    run_dag("tests", "one_tenant")

    second = run_dag("tests", "one_tenant", on_cooldown="skip")

    assert states(second) == {"create": {"skipped"}, "wait": {"skipped"}, "store": {"skipped"}}
    assert len(list(vault.backups())) == 1


def test_a_second_run_within_the_cooldown_can_fail_at_once(run_dag):
    run_dag("tests", "one_tenant")

    assert states(run_dag("tests", "one_tenant", on_cooldown="fail"))["create"] == {"failed"}


def test_a_second_run_waits_for_the_end_of_a_cooldown_and_then_backs_up(
    run_dag, vault: Vault, simulator: Simulator
):
    simulator.settings.xray.cooldown_seconds = 2
    run_dag("tests", "one_tenant")

    second = run_dag("tests", "one_tenant")

    assert second.state == "success"
    assert len(list(vault.backups("xray"))) == 2


def test_a_bot_waits_for_the_end_of_its_hour_and_then_backs_up(run_dag, vault: Vault, simulator: Simulator):
    simulator.settings.xenioo.cooldown_seconds = 2
    simulator.settings.xenioo.throttled_retry_after = True
    run_dag("tests", "one_bot")

    second = run_dag("tests", "one_bot")

    assert second.state == "success"
    assert len(list(vault.backups("xenioo"))) == 2


@pytest.mark.parametrize(
    "conf",
    [
        pytest.param({"account": "../x"}, id="account that leads out of the vault"),
        pytest.param({"account": "a/b"}, id="account with a slash"),
        pytest.param({"conn": "nobody"}, id="unknown connection"),
        pytest.param({"project_ids": []}, id="empty project list"),
        pytest.param({"modified_since": "2999-01-01T00:00:00Z"}, id="modified_since in the future"),
        pytest.param({"modified_since": "yesterday"}, id="modified_since that is no instant"),
    ],
)
def test_bad_input_fails_before_anything_is_asked_for_and_leaves_nothing(
    run_dag, vault: Vault, simulator: Simulator, conf: dict[str, Any]
):
    run = run_dag("tests", "one_tenant", **conf)

    assert states(run)["create"] == {"failed"}
    assert not simulator.journal.jobs()
    assert not Path(vault.url.prefix).exists()
