"""A whole Airflow of one's own: api-server, scheduler, dag-processor and triggerer, each a process."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import requests

DAGS = Path(__file__).parent / "dags"
COMPONENTS = {
    "api-server": ["--workers", "1"],
    "scheduler": ["--skip-serve-logs"],
    "dag-processor": [],
    "triggerer": ["--skip-serve-logs"],
}
PATIENCE = 120.0
"""Seconds after which what was waited for counts as never coming; far more than anything takes."""

T = TypeVar("T")


def wait_for(what: str, look: Callable[[], T | None], patience: float = PATIENCE) -> T:
    """Look until there is something to see.

    :param what: what is waited for, for the failure
    :param look: returns it, or something false while it is not there
    :param patience: seconds
    """
    deadline = time.monotonic() + patience
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:.0f} s in vain for {what}")
        time.sleep(0.1)
    return seen


def is_alive(pid: int) -> bool:
    """Tell whether a process still does anything."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_all(pids: Collection[int]) -> None:
    """Kill processes by id; those that are gone already are no error."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for(f"the end of the processes {pids}", lambda: not any(is_alive(pid) for pid in pids))


@dataclass
class Run:
    """A run of a DAG, seen and changed through Airflow's REST API."""

    airflow: Deployment = field(repr=False)
    dag_id: str
    run_id: str

    @property
    def path(self) -> str:
        return f"/dags/{self.dag_id}/dagRuns/{self.run_id}"

    @property
    def state(self) -> str:
        return str(self.airflow.call("GET", self.path)["state"])

    def tasks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.airflow.call("GET", f"{self.path}/taskInstances?limit=100")[
            "task_instances"
        ]
        return found

    def task(self, task_id: str) -> dict[str, Any]:
        (found,) = [task for task in self.tasks() if task["task_id"] == task_id]
        return found

    def states(self) -> dict[str, str | None]:
        return {task["task_id"]: task["state"] for task in self.tasks()}

    def wait_for_end(self) -> str:
        """Wait until the run is over; return how it ended."""
        return wait_for(f"the end of {self}", lambda: self.state if self.state in ("success", "failed") else None)

    def wait_for_task(self, task_id: str, state: str) -> dict[str, Any]:
        """Wait for a state of a task; return the task instance."""

        def look() -> dict[str, Any] | None:
            task = self.task(task_id)
            return task if task["state"] == state else None

        return wait_for(f"task {task_id} of {self} to be {state}", look)

    def pid(self, task_id: str) -> int:
        """Return the process that runs a task's operator."""
        pid: int = wait_for(
            f"the process of task {task_id}", lambda: self.wait_for_task(task_id, "running")["pid"]
        )
        assert pid in self.airflow.pids("scheduler"), "not a process of this Airflow"
        return pid

    def clear(self, *task_ids: str) -> None:
        """Clear tasks and what follows them; without names the whole run."""
        body: dict[str, Any] = {
            "dry_run": False,
            "dag_run_id": self.run_id,
            "only_failed": False,
            "include_downstream": True,
        }
        if task_ids:
            body["task_ids"] = task_ids
        self.airflow.call("POST", f"/dags/{self.dag_id}/clearTaskInstances", body)

    def mark_failed(self, task_id: str) -> None:
        """Say that a task failed, as a person does in the UI."""
        self.airflow.call("PATCH", f"{self.path}/taskInstances/{task_id}", {"new_state": "failed"})

    def end(self) -> None:
        """End what still runs."""
        if self.state not in ("success", "failed"):
            self.airflow.call("PATCH", self.path, {"state": "failed"})

    def log(self, task_id: str) -> str:
        """Return what a task logged, all tries together."""
        folder = self.airflow.folder / "logs" / f"dag_id={self.dag_id}" / f"run_id={self.run_id}"
        return "".join(path.read_text() for path in sorted(folder.glob(f"task_id={task_id}/**/*.log")))


@dataclass
class Deployment:
    """Airflow's processes, and its REST API.

    :param folder: where it lives: database, logs, spool
    """

    folder: Path
    runs: list[Run] = field(default_factory=list)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _port: int = 0
    _session: requests.Session = field(default_factory=requests.Session)

    @contextlib.contextmanager
    def running(self) -> Iterator[Deployment]:
        """Run it while the block runs."""
        self._port = _free_port()
        try:
            self._migrate()
            for name in COMPONENTS:
                self.start(name)
            self._sign_in()
            wait_for("the DAGs", self._all_dags_are_known, 300)
            yield self
        finally:
            self.stop(*self._processes)

    def start(self, name: str) -> None:
        """Start a component."""
        command = [*_AIRFLOW, name, *COMPONENTS[name]]
        with self.log_file(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder
            )

    def stop(self, *names: str) -> None:
        """Stop components in an orderly way; after ten seconds, in another."""
        descendants = {pid for name in names for pid in self.pids(name)}
        processes = [self._processes.pop(name) for name in names]
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + 10
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        kill_all(descendants)
        for process in processes:
            process.wait()

    def kill(self, name: str) -> None:
        """Kill a component and all its processes at once, as the end of its machine would."""
        kill_all(self.pids(name))
        self._processes.pop(name).wait()

    def pids(self, name: str) -> set[int]:
        """Return all processes of a component."""
        try:
            process = psutil.Process(self._processes[name].pid)
            return {process.pid, *(child.pid for child in process.children(recursive=True))}
        except psutil.NoSuchProcess:
            return set()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the REST API."""
        # Sessions that were idle may be closed by the server at any time, and SQLite may be busy.
        for attempt in range(5):
            answer = self._session.request(method, f"{self._url}/api/v2{path}", json=body, timeout=30)
            if answer.status_code < 500:
                break
            time.sleep(attempt)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def run(self, dag_id: str, **conf: Any) -> Run:
        """Start a run of a DAG."""
        answer = self.call("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})
        run = Run(self, dag_id, answer["dag_run_id"])
        self.runs.append(run)
        return run

    def connect(self, conn_id: str, **values: Any) -> None:
        """Create a connection, or replace it."""
        self._upsert("/connections", {"connection_id": conn_id, **values})

    def set_variable(self, key: str, value: Any) -> None:
        """Create a variable, or give it another value."""
        self.set_text_variable(key, json.dumps(value))

    def set_text_variable(self, key: str, value: str) -> None:
        """Create a variable that holds no JSON, or give it another value."""
        self._upsert("/variables", {"key": key, "value": value})

    def _upsert(self, path: str, entity: dict[str, Any]) -> None:
        action = {"action": "create", "action_on_existence": "overwrite", "entities": [entity]}
        self.call("PATCH", path, {"actions": [action]})

    def log_file(self, name: str) -> Path:
        """Return where a component's output goes."""
        return self.folder / f"{name}.log"

    def last_words(self) -> Iterator[tuple[str, str]]:
        """Return the ends of all logs, of the components and of the tasks that ran since the last test."""
        folders = [self.folder / "logs" / f"dag_id={run.dag_id}" / f"run_id={run.run_id}" for run in self.runs]
        tasks = [path for folder in folders for path in sorted(folder.rglob("*.log"))]
        for path in (*sorted(self.folder.glob("*.log")), *tasks):
            lines = path.read_text(errors="replace").splitlines()[-60:]
            yield str(path.relative_to(self.folder)), "\n".join(lines)

    @property
    def spool(self) -> Path:
        """Where Xenioo's answers are kept."""
        return self.folder / "spool"

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def _environment(self) -> Mapping[str, str]:
        return {**_inherited(), **self._settings}

    @property
    def _settings(self) -> dict[str, str]:
        settings = {
            "CORE__DAGS_FOLDER": str(DAGS),
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": "6",
            "CORE__EXECUTION_API_SERVER_URL": f"{self._url}/execution/",
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "CORE__FERNET_KEY": _SECRET,
            "API__HOST": "127.0.0.1",
            "API__PORT": str(self._port),
            "API__BASE_URL": self._url,
            "API__SECRET_KEY": _SECRET,
            "API_AUTH__JWT_SECRET": _SECRET,
            # What a test would only wait for: beats are quick, so that a death is soon noticed.
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
            "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
            "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "WORKERS__EXECUTION_API_TIMEOUT": "30",
            "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
            "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
            "DAG_PROCESSOR__REFRESH_INTERVAL": "3600",
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
            "XBACKUP__SPOOL_DIR": str(self.spool),
        }
        return {"AIRFLOW_HOME": str(self.folder), **{f"AIRFLOW__{key}": value for key, value in settings.items()}}

    def _migrate(self) -> None:
        with self.log_file("migrate").open("wb") as log:
            command = [*_AIRFLOW, "db", "migrate"]
            subprocess.run(command, env=self._environment, stdout=log, stderr=subprocess.STDOUT, check=True)

    def _sign_in(self) -> None:
        def look() -> str | None:
            with contextlib.suppress(requests.ConnectionError):
                return str(self._session.get(f"{self._url}/auth/token", timeout=30).json()["access_token"])
            return None

        self._session.headers["Authorization"] = f"Bearer {wait_for('the api-server', look, 300)}"

    def _all_dags_are_known(self) -> bool:
        errors = self.call("GET", "/importErrors")["import_errors"]
        assert not errors, errors
        known = {dag["dag_id"] for dag in self.call("GET", "/dags")["dags"]}
        return known >= {"tenant", "poked_tenant", "hurried_tenant", "bot", "many", "xenioo_restore"}


_AIRFLOW = [sys.executable, "-m", "airflow"]
_SECRET = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
