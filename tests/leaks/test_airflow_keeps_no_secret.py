"""Whole runs by ``dag.test()``; then the metadata database, the logs and the output are searched for secrets."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from evidence import every_object_shown, everything_logged
from known_secrets import AGE_SECRET, BOT_TOKEN, CLIENT_SECRET, URL_PASSWORD
from stand_in import load_dags

if TYPE_CHECKING:
    from conftest import Scene

BUNDLE = Path(__file__).resolve().parents[1] / "dags" / "bundle"


@pytest.fixture
def run(
    airflow_database: None, scene: Scene, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> Callable[..., dict[str, set[str]]]:
    """Run a DAG, keep all that it leaves behind, and return the states of its tasks."""
    for tenant in ("acme", "globex"):
        scene.connect(
            f"xray_{tenant}", conn_type="xray", host=scene.sim.url, login="demo-client", password=CLIENT_SECRET
        )
    host = scene.sim.xenioo_url("welcome")
    scene.connect("xenioo_welcome", conn_type="xenioo", host=host, password=BOT_TOKEN)
    monkeypatch.setenv("AIRFLOW_VAR_XBACKUP_VAULT", str(scene.vault.url))

    def run(dag_id: str, **conf: Any) -> dict[str, set[str]]:
        dags = load_dags(BUNDLE)
        with everything_logged(scene.evidence), every_object_shown(scene.evidence):
            finished = dags[dag_id].test(run_conf=conf or None)
        states: dict[str, set[str]] = {}
        for ti in finished.get_task_instances():
            states.setdefault(ti.task_id, set()).add(str(ti.state))
        keep_airflow(scene)
        # Airflow's supervisor prints, inside dag.test() only, what it hands to a task.
        told = "".join(capfd.readouterr()).splitlines()
        scene.evidence.add("output", "\n".join(line for line in told if "supervisor" not in line))
        scene.evidence.add_folder("vault", Path(scene.vault.url.prefix))
        scene.evidence.add_folder("spool", scene.spool)
        return states

    return run


def keep_airflow(scene: Scene) -> None:
    """Keep every row of every table, the database's raw bytes, and the files beside it."""
    home = Path(os.environ["AIRFLOW_HOME"])
    with sqlite3.connect(f"file:{home / 'airflow.db'}?mode=ro", uri=True) as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        for table in tables:
            for row in database.execute(f'select * from "{table}"'):
                scene.evidence.add(f"table {table}", repr(row))
    database.close()
    scene.evidence.add_folder("AIRFLOW_HOME", home)


def tables_seen(scene: Scene) -> set[str]:
    return {where.removeprefix("table ") for where, _ in scene.evidence.texts if where.startswith("table ")}


def test_a_deferred_run_of_whole_flows_leaves_no_secret_in_airflow(scene, run):
    scene.sim.settings.xray.job_seconds = 1
    scene.sim.settings.xray.cooldown_scope = "projects"

    states = run("mapped_tenants")

    assert states["xray_backup.create"] >= {"success"}
    assert {"xcom", "rendered_task_instance_fields", "task_instance", "dag_run", "asset_event"} <= tables_seen(
        scene
    )
    assert scene.leaks() == []


@pytest.mark.parametrize("on_cooldown", ["wait", "skip", "fail"])
def test_a_cooldown_leaves_no_secret_in_airflow(scene, run, on_cooldown):
    if on_cooldown == "wait":
        scene.sim.configure({"xray": {"cooldown_seconds": 2}, "xenioo": {"cooldown_seconds": 2}})
    scene.sim.settings.xenioo.throttled_retry_after = True

    for dag_id in ("one_tenant", "one_bot"):
        assert run(dag_id, **({} if dag_id == "one_bot" else {"project_ids": None}))
        again = run(dag_id, on_cooldown=on_cooldown)

    assert {"wait": "success", "skip": "skipped", "fail": "failed"}[on_cooldown] in again["store"]
    assert scene.leaks() == []


@pytest.mark.parametrize("path", ["/authenticate$", "/api/v2/backup$", "/status$", "/backup/file$", "^/_storage/"])
def test_an_echo_leaves_no_secret_in_airflow(scene, run, path):
    scene.sim.add_fault(action="echo", path=path, times=None)

    assert "failed" in set().union(*run("one_tenant").values())
    assert scene.leaks() == []


def test_what_a_template_became_by_mistake_is_not_stored(scene, run, monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_XBACKUP_KEYS", AGE_SECRET)

    states = run("mistaken_variables")

    assert states["store_tenant"] == states["store_bot"] == states["xenioo_backup.store"] == {"failed"}
    assert any("private age key" in text for _, text in scene.evidence.texts)
    assert scene.leaks() == []


def test_a_password_that_a_template_brings_into_a_vaults_url_is_not_stored(scene, run, monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_XBACKUP_KEYS", "age1x")
    monkeypatch.setenv("AIRFLOW_VAR_XBACKUP_VAULT", f"s3://key:{URL_PASSWORD}@bucket/x")

    states = run("mistaken_variables")

    assert set().union(*states.values()) == {"failed"}
    assert scene.leaks() == []
