"""The demo that shows its vault on the page of a whole Airflow of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote

import psutil
import pytest
import requests

pytestmark = [pytest.mark.ui, pytest.mark.xdist_group("ui")]

COMMAND = [sys.executable, "-m", "airflow_provider_xbackup.cli.main", "demo", "--ui"]
#: Servers of Airflow's parts, the one of logs among them, listen once their part runs.
PARTS = ("scheduler", "dag_processor", "triggerer")
PATIENCE = 120
ACCOUNTS = ("xenioo/sales", "xenioo/support", "xenioo/welcome", "xray/acme")


@dataclass(frozen=True)
class Demo:
    """A demo that runs.

    :param process: its process
    :param url: the address of its Airflow
    :param session: somebody who is signed in to it
    """

    process: psutil.Process
    url: str
    session: requests.Session

    def get(self, path: str) -> Any:
        """Ask its Airflow."""
        answer = self.session.get(f"{self.url}{path}", timeout=60)
        answer.raise_for_status()
        return answer.json()

    def tasks(self, dag_id: str) -> list[dict[str, Any]]:
        """The task instances of a DAG, each with the address of its run's as ``path``."""
        found = self.get(f"/api/v2/dags/{dag_id}/dagRuns/~/taskInstances")["task_instances"]
        for task in found:
            run = quote(task["dag_run_id"])
            task["path"] = f"/api/v2/dags/{dag_id}/dagRuns/{run}/taskInstances/{task['task_id']}"
        return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    with subprocess.Popen(
        [*COMMAND, folder], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            said = ""
            for line in process.stdout or ():
                said += line
                if "Ctrl-C ends it" in line:
                    break
            found = re.search(r"(http://127\.0\.0\.1:\d+)/plugin/xbackup", said)
            assert found, said
            signed_in = requests.Session()
            answer = signed_in.post(
                f"{found[1]}/auth/token", json={"username": "admin", "password": "admin"}, timeout=60
            )
            signed_in.headers["Accept"] = "application/json"
            signed_in.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            yield Demo(psutil.Process(process.pid), found[1], signed_in)
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate()
    assert process.returncode == 0


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_nothing_of_it_listens_where_another_machine_could_call(demo: Demo):
    def healthy() -> bool:
        health = demo.get("/api/v2/monitor/health")
        return all(health[part]["status"] == "healthy" for part in PARTS)

    eventually(healthy)
    tree = [demo.process, *demo.process.children(recursive=True)]
    listening = {
        f"{connection.laddr.ip}:{connection.laddr.port}": " ".join(process.cmdline())
        for process in tree
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }

    assert any(f"http://{address}" == demo.url for address in listening), listening
    assert {
        address: what
        for address, what in listening.items()
        if not ip_address(address.rpartition(":")[0]).is_loopback
    } == {}


def test_every_task_that_stored_a_backup_leads_to_it_on_the_page(demo: Demo):
    links = [
        str(demo.get(f"{task['path']}/links?map_index={task['map_index']}")["extra_links"]["Backup"])
        for dag_id in ("xray_nightly_backup", "xenioo_nightly_backup")
        for task in demo.tasks(dag_id)
        if task["task_id"].endswith(".store")
    ]

    expected = [f"{demo.url}/xbackup/#/demo/{name}/20" for name in ACCOUNTS]
    assert sorted(link[: len(start)] for link, start in zip(sorted(links), expected, strict=True)) == expected


def test_a_log_can_be_read_though_no_part_serves_logs(demo: Demo):
    demo.session.patch(
        f"{demo.url}/api/v2/dags/xray_nightly_backup", json={"is_paused": False}, timeout=60
    ).raise_for_status()

    def waiting() -> list[dict[str, Any]]:
        return [task for task in demo.tasks("xray_nightly_backup") if task["state"] == "deferred"]

    eventually(lambda: bool(waiting()))
    (task,) = waiting()
    path = f"{task['path']}/logs/{task['try_number']}?map_index={task['map_index']}"
    assert "Xray refused a new backup" in json.dumps(demo.get(path)["content"])
