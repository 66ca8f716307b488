"""What stands in for Airflow and for time where a task is run without a scheduler: shared by the folders below."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from airflow_provider_xbackup.http import tokens
from airflow_provider_xbackup.simulator import Simulator, SimulatorSettings
from airflow_provider_xbackup.vault import Vault

DATA, ATTACHMENTS = "/api/v2/backup/file", "/api/v2/backup/file/attachment"
STORAGE = "/_storage/"


@dataclass
class TaskInstance:
    """What the package reads of a task instance."""

    dag_id: str = "nightly"
    run_id: str = "run 1"
    task_id: str = "task"
    map_index: int | None = -1
    try_number: int = 1


@dataclass
class StateStore:
    """Airflow's task state store, as long as its process lives. Only JSON survives it."""

    values: dict[str, str] = field(default_factory=dict)

    def get(self, key: str) -> Any:
        return json.loads(self.values[key]) if key in self.values else None

    def set(self, key: str, value: Any) -> None:
        self.values[key] = json.dumps(value)

    def delete(self, key: str) -> None:
        self.values.pop(key, None)


def make_context(store: StateStore | None = None, **ti: Any) -> dict[str, Any]:
    """The context of one try of a task; without a store, that of an Airflow before 3.3."""
    from airflow.sdk.execution_time.context import OutletEventAccessors

    context: dict[str, Any] = {"ti": TaskInstance(**ti), "outlet_events": OutletEventAccessors()}
    return context if store is None else context | {"task_state_store": store}


@dataclass
class Naps:
    """Sleeps that take no time, and a clock that believes in them."""

    pauses: list[float] = field(default_factory=list)
    wake: Callable[[], None] = lambda: None

    @property
    def slept(self) -> float:
        return sum(self.pauses)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.wake()

    def monotonic(self) -> float:
        return time.monotonic() + self.slept


def quick_naps(monkeypatch: pytest.MonkeyPatch) -> Naps:
    """Let the waits between retries pass at once."""
    import tenacity
    from tenacity.wait import wait_none

    naps = Naps()
    quick = SimpleNamespace(sleep=naps.sleep, monotonic=naps.monotonic)
    monkeypatch.setattr(tenacity.nap, "time", quick)
    monkeypatch.setattr(tenacity, "time", quick)
    monkeypatch.setattr("airflow_provider_xbackup.http.retry._backoff", wait_none())
    return naps


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> Naps:
    """Let the waits between retries pass at once; ``naps.wake`` is called in each of them."""
    return quick_naps(monkeypatch)


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """A simulator whose jobs are done at once."""
    # An earlier one may have had this port, and a token of it would cost a request.
    monkeypatch.setattr(tokens, "_cache", {})
    settings = SimulatorSettings()
    settings.xray.job_seconds = 0
    with Simulator(settings) as running:
        yield running


@pytest.fixture
def connect(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Define an Airflow connection."""

    def connect(conn_id: str, **values: Any) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(values))

    return connect


@pytest.fixture(autouse=True)
def connections(request: pytest.FixtureRequest) -> None:
    """The connections that the tests name, where a test uses the simulator."""
    if "sim" not in request.fixturenames:
        return
    sim: Simulator = request.getfixturevalue("sim")
    connect = request.getfixturevalue("connect")
    for conn_id in ("xray_default", "acme"):
        connect(
            conn_id,
            conn_type="xray",
            host=sim.url,
            login="demo-client",
            password="demo-secret",
            extra=json.dumps({"stall_timeout": 1, "read_timeout": 15}),
        )
    for bot in ("welcome", "support"):
        connect(
            bot,
            conn_type="xenioo",
            host=sim.xenioo_url(bot),
            password=f"{bot}-token",
            extra=json.dumps({"stall_timeout": 1, "read_timeout": 15}),
        )


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault.open((tmp_path / "vault").as_uri())


@pytest.fixture
def spool_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "spool"
    monkeypatch.setenv("AIRFLOW__XBACKUP__SPOOL_DIR", str(folder))
    return folder


@pytest.fixture
def finished_job(sim: Simulator) -> Callable[..., dict[str, Any]]:
    """Ask for a backup and wait for it: the dict that the sensor returns."""
    from airflow_provider_xbackup.hooks.xray import XrayHook
    from airflow_provider_xbackup.services.xray_jobs import XrayBackupRequest

    def finished_job(
        project_ids: Any = None,
        modified_since: Any = None,
        with_attachments: bool = False,
        base: str | None = None,
    ) -> dict[str, Any]:
        hook = XrayHook("acme")
        request = XrayBackupRequest.checked(project_ids, modified_since, with_attachments)
        job = hook.create_backup(request, base)
        sim.finish_jobs()
        return job.finished(hook.get_backup_status(job.job_id).at).to_dict()

    return finished_job


@pytest.fixture
def served(sim: Simulator) -> Callable[..., bytes]:
    """Download what the simulator serves right now, knowing no more than HTTP."""

    def served(path: str = DATA) -> bytes:
        keys = {"client_id": "demo-client", "client_secret": "demo-secret"}
        token = requests.post(f"{sim.url}/api/v2/authenticate", json=keys, timeout=20).json()
        bearer = {"Authorization": f"Bearer {token}"}
        answer = requests.get(f"{sim.url}{path}", headers=bearer, allow_redirects=False, timeout=20)
        if answer.is_redirect:
            answer = requests.get(answer.headers["location"], timeout=20)
        assert answer.ok
        return answer.content

    return served


@pytest.fixture
def several_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every connection count as slow, so that files of 600 KB already come in parts of 200 KB."""
    from airflow_provider_xbackup.transfer import parts

    monkeypatch.setattr(parts, "TRIAL", 200_000)
    monkeypatch.setattr(parts, "ENOUGH", float("inf"))
    monkeypatch.setattr(parts, "MEMORY", 4 * 200_000)
    monkeypatch.setenv("AIRFLOW__XBACKUP__DOWNLOAD_CONNECTIONS", "4")


def load_dags(folder: Path) -> dict[str, Any]:
    """Parse a folder as Airflow would; every file in it must be importable."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 3.1
        from airflow.models.dagbag import DagBag

    bag = DagBag(dag_folder=folder, bundle_path=folder)
    assert not bag.import_errors
    return dict(bag.dags)


def objects(vault: Vault) -> list[Path]:
    """Every file below a vault: what is visible, and what was left lying about."""
    root = Path(vault.url.prefix)
    return sorted(path for path in root.rglob("*") if path.is_file()) if root.exists() else []


def files_of(vault: Vault, backup: Any) -> dict[str, bytes]:
    """The stored bytes of a backup by role."""
    folder = Path(vault.url.prefix) / backup.path.folder
    return {artifact.role: (folder / artifact.name).read_bytes() for artifact in backup.manifest.artifacts}
