"""A whole Airflow of one's own: api-server, scheduler, dag-processor and triggerer, each a process."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from airflow_api import AirflowApi
from airflow_environment import AIRFLOW, environment_of, migrate
from processes import Processes, free_port
from statsd_server import StatsdServer

DAGS = Path(__file__).parent / "dags"
DAG_IDS = ("tenant", "poked_tenant", "hurried_tenant", "bot", "many", "overdue", "xenioo_restore")
COMPONENTS = {
    "api-server": ["--workers", "1"],
    "scheduler": ["--skip-serve-logs"],
    "dag-processor": [],
    "triggerer": ["--skip-serve-logs"],
}


@dataclass
class Deployment:
    """Airflow's processes on one machine.

    :param folder: where it lives: database, logs, spool
    """

    folder: Path
    processes: Processes = field(init=False)
    api: AirflowApi = field(init=False)
    statsd: StatsdServer = field(init=False)

    def __post_init__(self) -> None:
        self.processes = Processes(self.folder)
        self.api = AirflowApi(f"http://127.0.0.1:{free_port()}", self.processes)
        self.statsd = StatsdServer()
        shown = {"name": "shown", "url": self.shown.as_uri(), "expected_accounts": ["xray/expected"]}
        self._environment = environment_of(
            self.folder,
            self.api.url,
            CORE__DAGS_FOLDER=str(DAGS),
            CORE__DAGS_ARE_PAUSED_AT_CREATION="False",
            CORE__EXECUTOR="LocalExecutor",
            CORE__PARALLELISM="6",
            XBACKUP__SPOOL_DIR=str(self.spool),
            XBACKUP__VAULTS=json.dumps([shown]),
            METRICS__STATSD_ON="True",
            METRICS__STATSD_HOST="127.0.0.1",
            METRICS__STATSD_PORT=str(self.statsd.port),
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[Deployment]:
        """Run it while the block runs."""
        try:
            migrate(self._environment, self.processes.log_file("migrate"))
            for name in COMPONENTS:
                self.start(name)
            self.api.sign_in()
            self.api.wait_for_dags(
                "tenant", "poked_tenant", "hurried_tenant", "bot", "many", "overdue", "xenioo_restore"
            )
            yield self
        finally:
            self.processes.stop_all()
            self.statsd.close()

    def start(self, name: str) -> None:
        """Start a component."""
        self.processes.start(name, [*AIRFLOW, name, *COMPONENTS[name]], self._environment)

    @property
    def shown(self) -> Path:
        """The vault that the page shows."""
        return self.folder / "shown"

    @property
    def spool(self) -> Path:
        """Where Xenioo's answers are kept."""
        return self.folder / "spool"
