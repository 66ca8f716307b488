"""What the tests do with Airflow and the simulator, and what they look at."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import airflow
import psutil
import pytest
from airflow_api import AirflowApi, Run
from processes import wait_for

from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.vault import Vault

VERSION = tuple(map(int, airflow.__version__.split(".")[:2]))

#: For what only the task state store makes possible.
remembers = pytest.mark.skipif(VERSION < (3, 3), reason="a job is remembered from Airflow 3.3 on")

TENANTS = ("demo", "globex", "initech")
BOTS = ("welcome", "support")


@dataclass(frozen=True)
class Gate:
    """Stops tasks at moments of their lives; the DAGs say which there are."""

    folder: Path

    def hold(self, moment: str) -> None:
        (self.folder / f"hold-{moment}").touch()

    def wait_for(self, moment: str) -> int:
        """Wait until a task has stopped; return its process."""
        reached = self.folder / f"reached-{moment}"
        wait_for(f"a task to stop {moment}", reached.exists)
        return int(reached.read_text())

    def open(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()


@dataclass(frozen=True)
class Flows:
    """Starts flows against the test's own simulator, vault and connections."""

    airflow: AirflowApi
    sim: Simulator
    vault: Vault
    gate: Gate
    name: str

    def tenant(self, dag_id: str = "tenant", on_cooldown: str = "wait") -> Run:
        return self._run(dag_id, conn=self.xray("demo-client"), on_cooldown=on_cooldown)

    def stalled_transfer(self, dag_id: str = "tenant") -> Run:
        """Run a tenant's flow until its transfer has stored a part and hangs, until it is ended."""
        self.sim.change_data(padding_bytes=30_000_000)
        self.sim.add_fault(action="stall", path="/_storage/", after_bytes=20_000_000)
        self.sim.settings.xray.job_seconds = 1
        run = self.tenant(dag_id)
        wait_for(
            "bytes in the vault", lambda: sum(path.stat().st_size for path in objects(self.vault)) > 1_000_000
        )
        return run

    def bot(self, on_cooldown: str = "wait") -> Run:
        return self._run("bot", conn=self.xenioo("welcome"), on_cooldown=on_cooldown)

    def many(self) -> Run:
        tenants = [{"account": name, "xray_conn_id": self.xray(f"{name}-client")} for name in TENANTS]
        bots = [{"account": name, "xenioo_conn_id": self.xenioo(name)} for name in BOTS]
        return self._run("many", tenants=tenants, bots=bots)

    def pooled(self, *clients: str) -> Run:
        """Run flows of several tenants whose sensors and transfers share a pool of one slot, deferred or not."""
        self.airflow.set_pool("one_slot", slots=1, include_deferred=True)
        tenants = [{"account": client, "xray_conn_id": self.xray(client)} for client in clients]
        return self._run("pooled", tenants=tenants)

    def xray(self, client: str) -> str:
        """Return a connection to a tenant."""
        return self._connect(client, conn_type="xray", host=self.sim.url, login=client, password="demo-secret")

    def xenioo(self, bot: str) -> str:
        """Return a connection to a bot."""
        return self._connect(bot, conn_type="xenioo", host=self.sim.xenioo_url(bot), password=f"{bot}-token")

    def set_scope(self, *project_ids: str) -> None:
        """Say which projects the flow of a tenant backs up."""
        self.airflow.set_variable(f"scope_{self.name}", list(project_ids))

    def _run(self, dag_id: str, **conf: Any) -> Run:
        shared = {"account": self.name, "vault": str(self.vault.url), "gate": str(self.gate.folder)}
        return self.airflow.run(dag_id, **shared, **conf)

    def _connect(self, name: str, **values: Any) -> str:
        conn_id = f"{self.name}_{name}"
        self.airflow.connect(conn_id, **values)
        return conn_id


def connections_to(sim: Simulator) -> int:
    """Count who is connected to a simulator right now."""
    mine = psutil.Process().net_connections("tcp")
    return sum(each.laddr.port == sim.port and each.status == psutil.CONN_ESTABLISHED for each in mine)


def accepted(sim: Simulator) -> list[datetime]:
    """When the backup requests came that were accepted."""
    return [entry.at for entry in sim.journal.entries("/backup", "POST") if entry.job_id is not None]


def objects(vault: Vault) -> list[Path]:
    """Every file below a vault: what is visible, and what was left lying about."""
    return [path for path in Path(vault.url.prefix).rglob("*") if path.is_file()]


def whole_backups(vault: Vault) -> list[str]:
    """Return the ids of a vault's backups, each looked at byte by byte."""
    backups = list(vault.backups())
    for backup in backups:
        for artifact in backup.manifest.artifacts:
            stored = Path(vault.url.prefix) / backup.path.folder / artifact.name
            assert hashlib.sha256(stored.read_bytes()).hexdigest() == artifact.sha256
            if stored.suffix == ".zip":
                with zipfile.ZipFile(stored) as file:
                    assert file.testzip() is None
    return [backup.backup_id for backup in backups]
