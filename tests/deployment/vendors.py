"""Both vendors: the simulator as a process of its own, seen and changed through its control endpoint."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from processes import Processes, free_port, wait_for

TENANTS = tuple(f"tenant-{number}" for number in range(1, 6))
BOTS = tuple(f"bot-{number:02}" for number in range(1, 21))
COOLDOWN = 20
"""Seconds in the place of a tenant's six hours, where a test waits for its end."""
BOT_COOLDOWN = 15
"""Seconds in the place of a bot's hour: who lost an answer must not wait longer."""
_SECRET = "secret-of-a-tenant"
_SETTINGS = {
    "xray": {
        "tenants": {name: {"client_secret": _SECRET, "data": {"padding_bytes": 2_000_000}} for name in TENANTS},
        "job_seconds": 8,
        "cooldown_seconds": 6 * 3600,
        "throttle": True,
        "download": {"link_seconds": 900},
    },
    "xenioo": {"cooldown_seconds": BOT_COOLDOWN},
}


@dataclass(frozen=True)
class Vendors:
    """The simulator on this machine.

    :param processes: where it runs
    """

    processes: Processes
    url: str = field(default_factory=lambda: f"http://127.0.0.1:{free_port()}")

    def start(self) -> None:
        """Start it."""
        port = self.url.rpartition(":")[2]
        command = [Path(sys.executable).parent / "xbackup", "simulate", "--port", port, "--bots", ",".join(BOTS)]
        self.processes.start("vendors", command, os.environ)
        wait_for("the simulator", self._answers)

    def reset(self) -> None:
        """Forget all that happened, and go back to the time and the settings of all tests."""
        self.start_clock()
        self._call("POST", "/reset")
        self.configure(_SETTINGS)

    def configure(self, changes: dict[str, Any]) -> None:
        """Change settings."""
        self._call("PATCH", "/settings", changes)

    def add_fault(self, **fault: Any) -> None:
        """Add a fault."""
        self._call("POST", "/faults", fault)

    def stop_clock(self) -> None:
        """Let their time stand still, so that however slow Airflow is, it meets a cooldown."""
        self._call("POST", "/clock", {"frozen": True})

    def start_clock(self) -> None:
        """Show the time of this machine, and go on from there."""
        self._call("POST", "/clock", {"set": datetime.now(UTC).isoformat(), "frozen": False})

    def finish_jobs(self) -> None:
        """End all jobs that run."""
        self._call("POST", "/jobs/finish")

    def requests(self, path: str, method: str) -> list[dict[str, Any]]:
        """Return the requests that came, by the end of their path."""
        journal: list[dict[str, Any]] = self._call("GET", "/journal")
        return [entry for entry in journal if entry["path"].endswith(path) and entry["method"] == method]

    def asked_for(self) -> list[str]:
        """Return the tenant of every request for a backup, granted or not."""
        return [entry["tenant"] for entry in self.requests("/backup", "POST")]

    def granted(self) -> list[str]:
        """Return the tenant of every backup that was granted."""
        return [entry["tenant"] for entry in self.requests("/backup", "POST") if entry["job_id"]]

    def answered(self) -> list[str]:
        """Return the bot of every backup that was handed out, or begun to be."""
        return [entry["bot"] for entry in self.requests("/bots/backup", "GET") if entry["status"] == 200]

    def files_of(self, tenant: str, job_id: str) -> set[str]:
        """Return the MD5 of the files that a job made."""
        (job,) = [each for each in self._call("GET", "/state")["tenants"][tenant]["jobs"] if each["id"] == job_id]
        return {file["md5"] for file in job["files"].values()}

    def connection_to_tenant(self, tenant: str) -> dict[str, Any]:
        """Return the connection to a tenant, as the REST API of Airflow takes it."""
        return {"conn_type": "xray", "host": self.url, "login": tenant, "password": _SECRET}

    def connection_to_bot(self, bot: str) -> dict[str, Any]:
        """Return the connection to a bot."""
        return {"conn_type": "xenioo", "host": f"{self.url}/xenioo/{bot}", "password": f"{bot}-token"}

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(method, f"{self.url}/_control{path}", json=body, timeout=30)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def _answers(self) -> bool:
        try:
            return bool(self._call("GET", "/clock"))
        except requests.ConnectionError:
            return False
