"""A simulator, and connections as Airflow reads them from the environment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_xbackup.http import tokens
from airflow_provider_xbackup.simulator import Simulator, SimulatorSettings


@pytest.fixture(scope="session")
def _server() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def sim(_server: Simulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """A simulator that nobody has used, and no token of another test."""
    _server.reset()
    _server.configure(SimulatorSettings().model_dump())
    _server.clock.run()
    monkeypatch.setattr(tokens, "_cache", {})
    return _server


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Defines a connection."""

    def define(conn_id: str, **fields: Any) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))

    return define
