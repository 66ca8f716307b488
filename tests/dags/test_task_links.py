"""The links of tasks, asked for as Airflow's UI does: from the API server, which knows no operator's code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from airflow_provider_xbackup.vault import Vault

AIRFLOW = "https://airflow.example.com/data"

RunDag = Callable[..., Any]


@pytest.fixture
def api(airflow_database: None) -> Iterator[TestClient]:
    from airflow.api_fastapi.app import create_app, get_auth_manager, purge_cached_app
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    purge_cached_app()
    app = create_app(apps="core")
    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="somebody", role="ADMIN"))
    with TestClient(app, base_url="http://127.0.0.1", headers={"Authorization": f"Bearer {token}"}) as client:
        yield client
    purge_cached_app()


@pytest.fixture
def links_of(api: TestClient) -> Callable[..., dict[str, str | None]]:
    def links_of(run: Any, task_id: str, map_index: int = -1) -> dict[str, str | None]:
        path = f"/api/v2/dags/{run.dag_id}/dagRuns/{quote(run.run_id)}/taskInstances/{task_id}/links"
        answer = api.get(path, params={"map_index": map_index})
        assert answer.status_code == 200, answer.text
        links: dict[str, str | None] = answer.json()["extra_links"]
        return links

    return links_of


@pytest.fixture
def shown(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page shows the vault of the DAGs as ``main vault``."""
    monkeypatch.setenv("AIRFLOW__XBACKUP__VAULTS", json.dumps([{"name": "main vault", "url": str(vault.url)}]))
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", AIRFLOW)


PAGE = f"{AIRFLOW}/xbackup/#/main%20vault"


def test_the_tasks_of_a_flow_lead_to_the_account_and_to_the_backup(run_dag: RunDag, vault, shown, links_of):
    run = run_dag("examples", "xray_nightly_backup")

    (backup,) = vault.backups()
    assert links_of(run, "xray_backup.create", 0)["Backup"] == f"{PAGE}/xray/acme"
    assert links_of(run, "xray_backup.store", 0) == {
        "Backup": f"{PAGE}/xray/acme/{backup.backup_id}",
        "Manifest": None,
    }


def test_tasks_that_look_after_a_vault_lead_to_what_they_looked_at(run_dag: RunDag, vault, shown, links_of):
    run_dag("examples", "xray_nightly_backup")

    run = run_dag("examples", "xbackup_retention")

    (backup,) = vault.backups()
    assert links_of(run, "verify", 0)["Backup"] == f"{PAGE}/xray/acme/{backup.backup_id}"
    assert links_of(run, "expire", 0)["Backup"] == f"{PAGE}/xray/acme"


def test_copies_are_shown_where_they_lie(run_dag: RunDag, vault, tmp_path, monkeypatch, links_of):
    copies = (tmp_path / "copies").as_uri()
    monkeypatch.setenv("AIRFLOW_VAR_XBACKUP_COPY_VAULT", copies)
    monkeypatch.setenv("AIRFLOW__XBACKUP__VAULTS", json.dumps([{"name": "copies", "url": copies}]))
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", AIRFLOW)
    run_dag("examples", "xray_nightly_backup")

    run = run_dag("examples", "xbackup_replicate")

    assert links_of(run, "copy")["Backup"] == f"{AIRFLOW}/xbackup/#/"


def test_a_failed_task_leads_to_its_account(run_dag: RunDag, shown, links_of):
    run_dag("tests", "one_bot")

    run = run_dag("tests", "one_bot", on_cooldown="fail")

    assert run.state == "failed"
    assert links_of(run, "store")["Backup"] == f"{PAGE}/xenioo/xenioo_welcome"


@pytest.mark.parametrize(
    "vaults",
    [
        pytest.param("", id="none"),
        pytest.param('[{"name": "other", "url": "file:///srv/other"}]', id="another"),
        pytest.param("[{", id="no JSON"),
    ],
)
def test_a_vault_that_the_page_does_not_show_has_no_link_to_it(
    run_dag: RunDag, monkeypatch, links_of, vaults: str
):
    monkeypatch.setenv("AIRFLOW__XBACKUP__VAULTS", vaults)

    run = run_dag("tests", "one_bot")

    assert run.state == "success"
    assert links_of(run, "store") == {"Backup": None, "Manifest": None}
