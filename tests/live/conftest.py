"""Faults in a whole Airflow: real processes that are really killed. Run by ``make test-live``."""

from __future__ import annotations

import contextlib
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live_deployment import Deployment
from live_flows import Flows, Gate
from processes import wait_for

from airflow_provider_xbackup.simulator import Simulator, SimulatorSettings
from airflow_provider_xbackup.vault import Vault

HERE = Path(__file__).parent
_AIRFLOW: pytest.StashKey[Deployment] = pytest.StashKey()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and keep them in one process: they share one Airflow."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.live)
            item.add_marker(pytest.mark.xdist_group("live airflow"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show with a failed test what Airflow's processes and the test's tasks said last."""
    outcome: Any = yield
    report = outcome.get_result()
    airflow = item.session.stash.get(_AIRFLOW, None)
    if report.failed and airflow is not None and HERE in item.path.parents:
        report.sections.extend(airflow.api.last_words())


@pytest.fixture(scope="session")
def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    deployment = request.session.stash[_AIRFLOW] = Deployment(tmp_path_factory.mktemp("airflow"))
    # Whoever stops the tests from outside must not leave an Airflow behind, however impatient he is: fixtures are
    # not ended where an interrupt comes while others end.
    with contextlib.ExitStack() as stack:
        request.config.add_cleanup(stack.close)
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        stack.callback(signal.signal, signal.SIGTERM, before)
        yield stack.enter_context(deployment.running())


@pytest.fixture
def airflow(deployment: Deployment) -> Iterator[Deployment]:
    """The Airflow that all tests share; what a test leaves running in it is ended."""
    deployment.api.runs.clear()
    yield deployment
    for run in deployment.api.unfinished_runs():
        run.end()
    wait_for("free workers", lambda: not deployment.api.pool()["occupied_slots"])


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """A simulator of the test's own, whose jobs end when the test says so."""
    settings = SimulatorSettings()
    settings.xray.job_seconds = 3600
    for tenant in ("globex-client", "initech-client"):
        settings.xray.tenants[tenant] = settings.xray.tenants["demo-client"].model_copy(deep=True)
    with Simulator(settings) as running:
        yield running


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault.open((tmp_path / "vault").as_uri())


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    folder = tmp_path / "gate"
    folder.mkdir()
    gate = Gate(folder)
    yield gate
    gate.open()


@pytest.fixture
def flows(airflow: Deployment, sim: Simulator, vault: Vault, gate: Gate) -> Flows:
    return Flows(airflow.api, sim, vault, gate, f"acme{secrets.token_hex(3)}")
