"""The app in an Airflow with its real security, and users with and without rights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sample_vault import SampleVault
from starlette.routing import compile_path

from airflow_provider_xbackup.vault import Vault


@pytest.fixture
def sample(tmp_path: Path) -> SampleVault:
    """An empty vault on this disk."""
    (tmp_path / "vault").mkdir()
    return SampleVault(Vault.open((tmp_path / "vault").as_uri()))


Configure = Callable[..., None]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Write the option that names the vaults."""

    def configure(*vaults: dict[str, Any]) -> None:
        monkeypatch.setenv("AIRFLOW__XBACKUP__VAULTS", json.dumps(vaults))

    return configure


@pytest.fixture
def main_vault(configure: Configure, sample: SampleVault) -> SampleVault:
    """The sample, configured as the vault ``main``."""
    configure({"name": "main", "url": str(sample.vault.url), "rpo": "26h"})
    return sample


Visit = Callable[[str | None], TestClient]


@pytest.fixture
def visit(airflow_database: None) -> Iterator[Visit]:
    """Visit the app as somebody with a role in Airflow, or as nobody.

    Whatever it answers must be in its own description.
    """
    from airflow.api_fastapi.app import init_auth_manager, purge_cached_app
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    from airflow_provider_xbackup.page.app import create_app

    purge_cached_app()
    airflow = FastAPI()
    manager = init_auth_manager(airflow)
    app = create_app()
    airflow.mount("/xbackup", app)

    def visit(role: str | None) -> TestClient:
        cookies = {}
        if role is not None:
            user = SimpleAuthManagerUser(username="somebody", role=role)
            cookies = {"_token": manager.generate_jwt(user)}
        client = TestClient(airflow, base_url="http://127.0.0.1", cookies=cookies)
        client.event_hooks["response"].append(partial(_is_described, app))
        return client

    yield visit
    purge_cached_app()


def _is_described(app: FastAPI, answer: httpx.Response) -> None:
    path = answer.url.path.removeprefix("/xbackup")
    for route, methods in app.openapi()["paths"].items():
        if answer.request.method == "GET" and compile_path(route)[0].match(path):
            assert str(answer.status_code) in methods["get"]["responses"], (route, answer.status_code)


@pytest.fixture
def viewer(visit: Visit) -> TestClient:
    """Somebody who may look."""
    return visit("VIEWER")
