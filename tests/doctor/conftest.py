"""A simulator, and the environment's variables that lead to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from airflow_provider_xbackup.http import tokens
from airflow_provider_xbackup.simulator import Simulator, SimulatorSettings

ACCOUNT_KEYS = {
    "XENIOO_ACCOUNT_API_KEY": "demo-account",
    "XENIOO_BOT_API_KEY": "welcome-key",
    "XENIOO_BOT_API_SECRET": "welcome-secret",
}


@pytest.fixture(scope="session")
def _server() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def sim(_server: Simulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """A simulator that nobody has used, to which the variables of ``xbackup doctor`` lead."""
    _server.reset()
    _server.configure(SimulatorSettings().model_dump())
    _server.clock.set(datetime.now(UTC))
    _server.clock.run()
    monkeypatch.setattr(tokens, "_cache", {})
    monkeypatch.setenv("AIRFLOW_CONN_XBACKUP_DOCTOR", "")
    for name, value in {
        "XRAY_HOST": _server.url,
        "XRAY_CLIENT_ID": "demo-client",
        "XRAY_CLIENT_SECRET": "demo-secret",
        "XENIOO_ENDPOINT": _server.xenioo_url("welcome"),
        **ACCOUNT_KEYS,
    }.items():
        monkeypatch.setenv(name, value)
    return _server


@pytest.fixture
def with_file(sim: Simulator) -> str:
    """The id of a job whose file is there."""
    return sim.other_client_backup()
