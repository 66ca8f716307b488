"""An Airflow as teams run it: CeleryExecutor over Redis, PostgreSQL, two workers, a vault on S3."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from airflow_api import AirflowApi
from airflow_environment import AIRFLOW, environment_of, migrate
from bucket import Bucket
from postgres_server import PostgresServer
from processes import Processes, free_port
from redis_server import RedisServer
from vendors import BOT_COOLDOWN, BOTS, COOLDOWN, TENANTS, Vendors

HERE = Path(__file__).parent
EXAMPLES = {
    "xray_nightly_backup": "xray_backup.py",
    "xenioo_nightly_backup": "xenioo_backup.py",
    "xbackup_retention": "retention.py",
}
FLOWS = ("accounts", "same_accounts", "hurried_accounts")
WORKERS = ("worker-1", "worker-2")
SLOTS = 4
"""Tasks that a worker runs at once."""
UNFINISHED = ("scheduled", "queued", "running", "restarting", "deferred", "up_for_retry", "up_for_reschedule")
PARTS = {
    "api-server": ["api-server", "--workers", "1"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
    **{
        name: [
            "celery",
            "worker",
            "--celery-hostname",
            f"{name}@%h",
            "--concurrency",
            str(SLOTS),
            "--skip-serve-logs",
        ]
        for name in WORKERS
    },
}


@dataclass
class Deployment:
    """Airflow's parts, each a process, and all they need.

    :param folder: where they live: DAGs, logs, spools
    """

    folder: Path
    postgres: PostgresServer = field(default_factory=PostgresServer)
    processes: Processes = field(init=False)
    api: AirflowApi = field(init=False)
    redis: RedisServer = field(init=False)
    bucket: Bucket = field(init=False)
    vendors: Vendors = field(init=False)

    def __post_init__(self) -> None:
        self.processes = Processes(self.folder)
        self.api = AirflowApi(f"http://127.0.0.1:{free_port()}", self.processes)
        self.redis = RedisServer(self.processes)
        self.bucket = Bucket(self.processes)
        self.vendors = Vendors(self.processes)

    @contextlib.contextmanager
    def running(self) -> Iterator[Deployment]:
        """Run it while the block runs."""
        with self.postgres.running():
            try:
                for server in (self.redis, self.bucket, self.vendors):
                    server.start()
                self._fill_dags_folder()
                migrate(self._environment, self.processes.log_file("migrate"))
                for name in PARTS:
                    self.start(name)
                self.api.sign_in()
                self._connect()
                self.api.wait_for_dags(*EXAMPLES, *FLOWS)
                for dag_id in FLOWS:
                    self.api.pause(dag_id, False)
                yield self
            finally:
                self.processes.stop_all()

    def start(self, name: str, **settings: str) -> None:
        """Start a part of Airflow.

        :param name: which
        :param settings: what is configured for it alone, as ``SECTION__OPTION``
        """
        # Each worker stands for a machine: what one has spooled the other does not see.
        own = {"XBACKUP__SPOOL_DIR": str(self.spool(name)), **settings}
        environment = {**self._environment, **{f"AIRFLOW__{option}": value for option, value in own.items()}}
        self.processes.start(name, [*AIRFLOW, *PARTS[name]], environment)

    def start_missing(self) -> list[str]:
        """Start the parts of Airflow that have ended; return which they were."""
        missing = [name for name in PARTS if not self.processes.runs(name)]
        for name in missing:
            self.start(name)
        return missing

    def spool(self, worker: str) -> Path:
        """Return where a worker keeps Xenioo's answers."""
        return self.folder / f"spool-{worker}"

    def vault(self, name: str) -> str:
        """Return the URL of a vault, as DAGs write it."""
        return f"s3://object_store@{self.bucket.name}/{name}"

    def occupied_slots(self) -> int:
        """Count what is taken or about to be: slots of pools, unfinished tasks, processes of workers.

        All slots of a worker that does not answer count.
        """
        pools = self.api.call("GET", "/pools")["pools"]
        states = "&".join(f"state={state}" for state in UNFINISHED)
        unfinished = self.api.call("GET", f"/dags/~/dagRuns/~/taskInstances?{states}")["total_entries"]
        busy = self.redis.busy_workers(len(WORKERS))
        silent = SLOTS * (len(WORKERS) - len(busy))
        return sum(pool["occupied_slots"] for pool in pools) + unfinished + sum(map(len, busy.values())) + silent

    def _fill_dags_folder(self) -> None:
        """Put DAGs where Airflow finds them: examples as they are shipped, and those of the tests."""
        (self.folder / "dags").mkdir()
        examples = (HERE.parents[1] / "example_dags" / name for name in EXAMPLES.values())
        for path in (*examples, HERE / "dags" / "accounts.py"):
            shutil.copy(path, self.folder / "dags")

    def _connect(self) -> None:
        """Make the connections and the pool that the DAGs name."""
        self.api.connect("object_store", **self.bucket.connection)
        for tenant in TENANTS:
            self.api.connect(f"xray_{tenant}", **self.vendors.connection_to_tenant(tenant))
        for bot in BOTS:
            self.api.connect(f"xenioo_{bot}", **self.vendors.connection_to_bot(bot))
        self.api.set_pool("backups", slots=12, include_deferred=False)

    @property
    def _environment(self) -> dict[str, str]:
        return environment_of(
            self.folder,
            self.api.url,
            CORE__DAGS_FOLDER=str(self.folder / "dags"),
            CORE__EXECUTOR="CeleryExecutor",
            # More than the workers have slots, so that some tasks are in the broker alone when it is lost.
            CORE__PARALLELISM=str(len(WORKERS) * SLOTS + 4),
            DATABASE__SQL_ALCHEMY_CONN=self.postgres.url,
            CELERY__BROKER_URL=self.redis.url,
            CELERY__RESULT_BACKEND=f"db+{self.postgres.url}",
            CELERY__WORKER_CONCURRENCY=str(SLOTS),
            CELERY__OPERATION_TIMEOUT="10",
            CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT="86400",
            OPERATORS__DEFAULT_DEFERRABLE="True",
            # What a test would only wait for, as in every environment of tests.
            SCHEDULER__TASK_QUEUED_TIMEOUT="40",
            SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL="5",
            SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL="10",
            SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD="10",
            # A stall is one of a whole file, not of a part.
            XBACKUP__DOWNLOAD_CONNECTIONS="1",
            # What a refusal means that names no time.
            XBACKUP__XRAY_COOLDOWN=str(COOLDOWN),
            XBACKUP__XENIOO_COOLDOWN=str(BOT_COOLDOWN),
        )
