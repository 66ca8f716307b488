"""The example DAGs that look after a vault, run by Airflow's own ``dag.test()``."""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time.context import TriggeringAssetEventsAccessor
from jinja2 import Template

from airflow_provider_xbackup.assets import backup_alias, backup_asset
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.vault import Vault

RunDag = Callable[..., Any]

RETENTION = Path(__file__).resolve().parents[2] / "example_dags" / "retention.py"


def states(run: Any) -> dict[str, str]:
    return {ti.task_id: str(ti.state) for ti in run.get_task_instances()}


SCOPE = {"project_ids": ("10042", "10077"), "attachments": True}
"""What the example DAG of Xray asks for."""


def take(vault: Vault, instant: datetime) -> str:
    """Put a backup of another day beside those of the example DAG; its bytes are no zip."""
    draft = vault.draft("xray", "acme", f"{instant:%Y%m%dT%H%M%SZ}-full-0000000a")
    draft.add("backup", [b"x"], media_type="application/zip")
    draft.commit(requested_at=instant, producer={"package_version": "1"}, scope=SCOPE)
    return f"{instant:%Y%m%dT%H%M%SZ}-full-0000000a"


@pytest.fixture
def noon() -> datetime:
    """Noon, a few days ago."""
    return datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=3)


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    vault = Vault.open((tmp_path / "copies").as_uri())
    monkeypatch.setenv("AIRFLOW_VAR_XBACKUP_COPY_VAULT", str(vault.url))
    return vault


def expired(vault: Vault) -> list[str]:
    return [backup.backup_id for backup in vault.backups() if backup.tombstoned]


def test_the_retention_example_verifies_the_newest_backup_and_expires_old_ones(
    run_dag: RunDag, vault: Vault, noon: datetime
):
    # Of one day the last is kept, and the first of all.
    _, second, _ = (take(vault, noon + timedelta(hours=hours)) for hours in (0, 1, 2))
    run_dag("examples", "xray_nightly_backup")

    run = run_dag("examples", "xbackup_retention")

    assert states(run) == {"accounts": "success", "verify": "success", "expire": "success"}
    assert next(iter(vault.backups("xray", "acme"))).verified
    assert expired(vault) == [second]


def test_the_retention_example_expires_nothing_where_the_newest_backup_is_damaged(
    run_dag: RunDag, vault: Vault, noon: datetime
):
    for hours in (0, 1, 2):
        take(vault, noon + timedelta(hours=hours))

    run = run_dag("examples", "xbackup_retention")

    assert states(run) == {"accounts": "success", "verify": "failed", "expire": "upstream_failed"}
    assert expired(vault) == []


def test_the_retention_example_looks_after_the_accounts_whose_backups_it_follows():
    example = runpy.run_path(str(RETENTION))["xbackup_retention"]()
    accounts = example.get_task("accounts").python_callable

    events = TriggeringAssetEventsAccessor.build(new_backup(service) for service in ("xray", "xenioo"))

    assert accounts(events) == [
        {"service": "xenioo", "account": "Büro 1"},
        {"service": "xray", "account": "Büro 1"},
    ]
    assert accounts({}) == [{"service": "xray", "account": "acme"}]


def new_backup(service: str) -> SimpleNamespace:
    """Return what Airflow tells of a backup of a mapped account, as far as it is looked at."""
    asset = backup_asset(service, "Büro 1")
    return SimpleNamespace(asset=asset, source_aliases=[backup_alias(service)])


@pytest.mark.parametrize(
    "backup",
    [
        pytest.param("xray_incremental_backup", id="of an account it names"),
        pytest.param("xenioo_nightly_backup", id="of mapped accounts"),
    ],
)
def test_the_retention_example_is_queued_by_a_backup(run_dag: RunDag, simulator: Simulator, backup: str):
    simulator.settings.xray.cooldown_seconds = 0
    from airflow.models.asset import AssetActive, AssetDagRunQueue, AssetModel
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import delete, select, update

    run_dag("examples", "xray_nightly_backup")
    run_dag("examples", "xbackup_retention")  # makes the scheduler know the DAG and its asset
    with create_session() as session:
        session.execute(update(DagModel).values(is_paused=False))
        session.execute(delete(AssetDagRunQueue))
        for asset in session.scalars(select(AssetModel)):
            session.merge(AssetActive(name=asset.name, uri=asset.uri))

    run_dag("examples", backup)

    with create_session() as session:
        queued = {entry.target_dag_id for entry in session.scalars(select(AssetDagRunQueue))}
    assert "xbackup_retention" in queued


def test_the_replicate_example_leaves_a_second_vault_that_would_do_alone(
    run_dag: RunDag, vault: Vault, copies: Vault
):
    run_dag("examples", "xray_nightly_backup")
    run_dag("examples", "xenioo_nightly_backup")

    run = run_dag("examples", "xbackup_replicate")

    assert states(run) == {"copy": "success", "fresh": "success"}
    assert {backup.path for backup in copies.backups()} == {backup.path for backup in vault.backups()}
    assert all(backup.verified for backup in copies.backups())


def test_the_replicate_example_says_which_account_has_no_copy(run_dag: RunDag, vault: Vault, copies: Vault):
    run_dag("examples", "xray_nightly_backup")

    run = run_dag("examples", "xbackup_replicate")

    assert states(run) == {"copy": "success", "fresh": "failed"}


def test_the_incremental_example_builds_partial_backups_on_one_full(
    run_dag: RunDag, vault: Vault, simulator: Simulator
):
    simulator.settings.xray.cooldown_seconds = 0
    runs = [run_dag("examples", "xray_incremental_backup") for _ in range(3)]

    assert [run.state for run in runs] == ["success"] * 3
    newest, middle, full = vault.backups("xray", "acme")
    assert [backup.manifest.kind for backup in (newest, middle, full)] == ["partial", "partial", "full"]
    assert newest.manifest.base == middle.manifest.base == full.backup_id
    assert newest.manifest.modified_since == full.manifest.requested_at - timedelta(minutes=10)
    assert all(backup.verified for backup in (newest, middle, full))


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "fetched"
    monkeypatch.setenv("AIRFLOW_VAR_XBACKUP_FETCH_DIR", str(folder))
    return folder


def test_the_drill_of_a_tenant_counts_what_it_fetched_and_leaves_nothing(
    run_dag: RunDag, vault: Vault, fetched: Path
):
    from airflow_provider_xbackup.cli.main import main

    run_dag("examples", "xray_nightly_backup")
    assert main(["verify", str(vault.url), "latest"]) == 0

    run = run_dag("examples", "xray_drill")

    assert states(run) == {"fetch": "success", "count_tests": "success", "tidy_up": "success"}
    (stored,) = vault.backups("xray", "acme")
    (count,) = [ti.xcom_pull(task_ids="count_tests") for ti in run.get_task_instances() if ti.task_id == "tidy_up"]
    assert count == stored.manifest.entities["tests"] > 0
    assert not any(fetched.iterdir())


@pytest.mark.parametrize("run_id", [".", "..", "manual__2026-01-01T00:00:00+00:00"])
def test_the_drill_of_a_tenant_removes_no_folder_but_one_of_its_own(run_id: str):
    tasks = runpy.run_path(str(RETENTION.with_name("xray_drill.py")))["xray_drill"]().task_dict

    for template in (tasks["fetch"].directory, *tasks["tidy_up"].op_args):
        folder = Template(template).render(var={"value": {"xbackup_fetch_dir": "/srv/drill"}}, run_id=run_id)
        assert os.path.normpath(folder) == f"/srv/drill/drill-{run_id}"


def test_the_drill_of_a_tenant_fails_without_a_verified_backup(run_dag: RunDag, fetched: Path):
    run_dag("examples", "xray_nightly_backup")

    run = run_dag("examples", "xray_drill")

    assert states(run) == {"fetch": "failed", "count_tests": "upstream_failed", "tidy_up": "success"}
    assert run.state == "failed"
