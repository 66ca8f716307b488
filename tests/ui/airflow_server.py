"""A real API server of Airflow with the page in it, and users of two roles."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

PASSWORDS = {"admin": "let me in", "viewer": "let me look"}
_PATIENCE = 120.0


@dataclass(frozen=True)
class AirflowServer:
    """Where it is.

    :param url: its address, without a slash at the end
    """

    url: str

    def token(self, user: str) -> str:
        """Sign a user in as the login page does."""
        answer = requests.post(
            f"{self.url}/auth/token", json={"username": user, "password": PASSWORDS[user]}, timeout=30
        )
        answer.raise_for_status()
        token: str = answer.json()["access_token"]
        return token


@contextlib.contextmanager
def api_server(
    home: Path, vaults: Sequence[Mapping[str, Any]], *, base_path: str = "", **variables: str
) -> Iterator[AirflowServer]:
    """Run ``airflow api-server`` while the block runs.

    :param home: its home, which is made
    :param vaults: what ``[xbackup] vaults`` says
    :param base_path: the path below which it is served, for whoever has a proxy before it
    :param variables: more for its environment
    """
    home.mkdir()
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps(PASSWORDS))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    url = f"http://127.0.0.1:{port}{base_path}"
    environment = kept | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,viewer:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__XBACKUP__VAULTS": json.dumps(vaults),
        **variables,
    }
    airflow = [sys.executable, "-m", "airflow"]
    log = home / "api-server.log"
    subprocess.run(
        [*airflow, "db", "migrate"],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    command = [*airflow, "api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        ) as process,
    ):
        try:
            _await(url, process, log)
            yield AirflowServer(url)
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"{url}/api/v2/version", timeout=30).ok:
                return
        time.sleep(0.2)
    raise AssertionError(f"Airflow's API server did not come up: {log.read_text()[-3000:]}")
