"""Whole DAGs, run by Airflow's own ``dag.test()`` against the simulator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stand_in import load_dags

from airflow_provider_xbackup.simulator import Simulator, SimulatorSettings
from airflow_provider_xbackup.vault import Vault

BUNDLES = {
    "examples": Path(__file__).resolve().parents[2] / "example_dags",
    "tests": Path(__file__).parent / "bundle",
}


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    settings = SimulatorSettings()
    settings.xray.job_seconds = 0
    settings.xray.tenants["globex-client"] = settings.xray.tenants["demo-client"].model_copy(deep=True)
    with Simulator(settings) as running:
        yield running


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault.open((tmp_path / "vault").as_uri())


@pytest.fixture(autouse=True)
def airflow(
    airflow_database: None, simulator: Simulator, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Give Airflow the connections and the Variable that the DAGs name."""

    def connection(conn_id: str, **values: Any) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(values))

    for conn_id, client in (
        ("xray_default", "demo-client"),
        ("xray_acme", "demo-client"),
        ("xray_globex", "globex-client"),
    ):
        connection(conn_id, conn_type="xray", host=simulator.url, login=client, password="demo-secret")
    for bot in ("welcome", "support", "sales"):
        connection(f"xenioo_{bot}", conn_type="xenioo", host=simulator.xenioo_url(bot), password=f"{bot}-token")
    monkeypatch.setenv("AIRFLOW_VAR_XBACKUP_VAULT", str(vault.url))
    monkeypatch.setenv("AIRFLOW__XBACKUP__SPOOL_DIR", str(tmp_path / "spool"))


@pytest.fixture
def run_dag():
    """Run a DAG of one of the bundles; returns the DAG run."""

    def run(bundle: str, dag_id: str, **conf: Any) -> Any:
        return load_dags(BUNDLES[bundle])[dag_id].test(run_conf=conf or None)

    return run
