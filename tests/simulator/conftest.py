"""One running simulator for all tests, as new before each, and a client that knows no more than HTTP."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from airflow_provider_xbackup.simulator import Simulator, SimulatorSettings

TIMEOUT = 20


class XrayCaller:
    """Calls the Xray API of a simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.token = ""

    def login(self, client_id: str = "demo-client", client_secret: str = "demo-secret") -> requests.Response:
        body = {"client_id": client_id, "client_secret": client_secret}
        answer = requests.post(f"{self.simulator.url}/api/v2/authenticate", json=body, timeout=TIMEOUT)
        if answer.ok:
            self.token = answer.text.strip('"')
        return answer

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("headers", {})["Authorization"] = f"Bearer {self.token}"
        options = {"timeout": TIMEOUT, "allow_redirects": False} | options
        return requests.request(method, f"{self.simulator.url}{path}", **options)

    def create(self, **body: Any) -> requests.Response:
        return self.call("POST", "/api/v2/backup", json=body)

    def status(self, job_id: str) -> requests.Response:
        return self.call("GET", f"/api/v2/backup/{job_id}/status")

    def finished_job(self, **body: Any) -> str:
        """The id of a job that is done."""
        job_id: str = self.create(**body).json()["jobId"]
        self.simulator.finish_jobs()
        return job_id

    def next_job(self, **body: Any) -> str:
        """The id of a job that is done, after the cooldown of the one before."""
        self.simulator.advance(self.simulator.settings.xray.cooldown_seconds)
        self.login()
        return self.finished_job(**body)

    def link(self, path: str = "/api/v2/backup/file") -> str:
        return self.call("GET", path).headers["location"]

    def download(self, path: str = "/api/v2/backup/file", **headers: str) -> requests.Response:
        return requests.get(self.link(path), headers=headers, timeout=TIMEOUT)

    def unzip(self, path: str = "/api/v2/backup/file") -> zipfile.ZipFile:
        archive = zipfile.ZipFile(io.BytesIO(self.download(path).content))
        assert archive.testzip() is None
        return archive

    def count(self, name: str, project: str) -> int:
        query = f'{{ {name}(projectId: "{project}", limit: 1) {{ total }} }}'
        total: int = self.call("POST", "/api/v2/graphql", json={"query": query}).json()["data"][name]["total"]
        return total


def entries(archive: zipfile.ZipFile, entity: str, project: str) -> list[dict[str, Any]]:
    """The entities of a kind in all chunks of a data zip."""
    return [
        item
        for name in archive.namelist()
        if name.startswith(f"{entity}_{project}_")
        for item in json.loads(archive.read(name))[entity]
    ]


@pytest.fixture(scope="session")
def _server() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def sim(_server: Simulator) -> Simulator:
    """A simulator that nobody has used."""
    _server.reset()
    _server.configure(SimulatorSettings().model_dump())
    _server.clock.run()
    return _server


@pytest.fixture
def xray(sim: Simulator) -> XrayCaller:
    """A caller that is logged in."""
    caller = XrayCaller(sim)
    caller.login()
    return caller


@pytest.fixture
def read_entries() -> Any:
    """Reads the entities out of a data zip."""
    return entries
