"""An Airflow as its users have it before them: through its REST API."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import requests
from processes import Processes, wait_for

OVER = ("success", "failed")


@dataclass
class Run:
    """A run of a DAG, seen and changed through Airflow's REST API."""

    airflow: AirflowApi = field(repr=False)
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

    def task(self, task_id: str, map_index: int = -1) -> dict[str, Any] | None:
        """Return a task instance; None for a mapped one that is still to come into being."""
        found = [task for task in self.tasks() if (task["task_id"], task["map_index"]) == (task_id, map_index)]
        return found[0] if found else None

    def states(self) -> dict[str, str | None]:
        return {task["task_id"]: task["state"] for task in self.tasks()}

    def wait_for_end(self, patience: float = 120) -> str:
        """Wait until the run is over; return how it ended."""
        return wait_for(f"the end of {self}", lambda: self.state if self.state in OVER else None, patience)

    def wait_for_task(self, task_id: str, state: str, map_index: int = -1) -> dict[str, Any]:
        """Wait for a state of a task; return the task instance."""

        def look() -> dict[str, Any] | None:
            task = self.task(task_id, map_index)
            return task if task is not None and task["state"] == state else None

        return wait_for(f"task {task_id} [{map_index}] of {self} to be {state}", look)

    def pid(self, task_id: str, map_index: int = -1) -> int:
        """Return the process that runs a task's operator."""
        pid: int = wait_for(
            f"the process of task {task_id}", lambda: self.wait_for_task(task_id, "running", map_index)["pid"]
        )
        assert self.airflow.processes.has(pid), "not a process of this Airflow"
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

    def mark_failed(self, task_id: str, map_index: int = -1) -> None:
        """Say that a task failed, as a person does in the UI."""
        self.airflow.call("PATCH", f"{self.path}/taskInstances/{task_id}/{map_index}", {"new_state": "failed"})

    def end(self) -> None:
        """End what still runs."""
        if self.state not in OVER:
            self.airflow.call("PATCH", self.path, {"state": "failed"})

    def log(self, task_id: str) -> str:
        """Return what a task logged, all tries together."""
        folder = self.airflow.processes.folder / "logs" / f"dag_id={self.dag_id}" / f"run_id={self.run_id}"
        return "".join(path.read_text() for path in sorted(folder.glob(f"task_id={task_id}/**/*.log")))


@dataclass
class AirflowApi:
    """The REST API of an Airflow.

    :param url: where its api-server listens
    :param processes: its processes
    """

    url: str
    processes: Processes
    runs: list[Run] = field(default_factory=list)
    _session: requests.Session = field(default_factory=requests.Session)

    def sign_in(self) -> None:
        """Wait for the api-server, and sign in."""

        def look() -> str | None:
            with contextlib.suppress(requests.ConnectionError):
                return str(self._session.get(f"{self.url}/auth/token", timeout=30).json()["access_token"])
            return None

        self._session.headers["Authorization"] = f"Bearer {wait_for('the api-server', look, 300)}"

    def wait_for_dags(self, *dag_ids: str) -> None:
        """Wait until DAGs are known; none may have an error."""

        def look() -> bool:
            errors = self.call("GET", "/importErrors")["import_errors"]
            assert not errors, errors
            return {dag["dag_id"] for dag in self.call("GET", "/dags")["dags"]} >= set(dag_ids)

        wait_for("the DAGs", look, 300)

    def pause(self, dag_id: str, paused: bool = True) -> None:
        """Pause a DAG, or let it run."""
        self.call("PATCH", f"/dags/{dag_id}", {"is_paused": paused})

    def all_runs(self, dag_id: str) -> list[Run]:
        """Return the runs of a DAG, whoever started them."""
        found = self.call("GET", f"/dags/{dag_id}/dagRuns?limit=100")["dag_runs"]
        return [Run(self, dag_id, each["dag_run_id"]) for each in found]

    def unfinished_runs(self) -> list[Run]:
        """Return the runs of all DAGs that are not over."""
        found = self.call("GET", "/dags/~/dagRuns?state=queued&state=running")["dag_runs"]
        return [Run(self, each["dag_id"], each["dag_run_id"]) for each in found]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the API."""
        # Sessions that were idle may be closed by the server at any time, and a database may be busy.
        for attempt in range(5):
            answer = self._session.request(method, f"{self.url}/api/v2{path}", json=body, timeout=30)
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

    def set_pool(self, name: str, **values: Any) -> None:
        """Create a pool, or replace it."""
        self._upsert("/pools", {"name": name, **values})

    def pool(self, name: str = "default_pool") -> dict[str, Any]:
        """Return what a pool is used for right now."""
        found: dict[str, Any] = self.call("GET", f"/pools/{name}")
        return found

    def last_words(self) -> Iterator[tuple[str, str]]:
        """Return the ends of all logs, of the processes and of the tasks that ran since the last test."""
        folder = self.processes.folder
        folders = [folder / "logs" / f"dag_id={run.dag_id}" / f"run_id={run.run_id}" for run in self.runs]
        tasks = [path for each in folders for path in sorted(each.rglob("*.log"))]
        for path in (*sorted(folder.glob("*.log")), *tasks):
            lines = path.read_text(errors="replace").splitlines()[-60:]
            yield str(path.relative_to(folder)), "\n".join(lines)

    def _upsert(self, path: str, entity: dict[str, Any]) -> None:
        action = {"action": "create", "action_on_existence": "overwrite", "entities": [entity]}
        self.call("PATCH", path, {"actions": [action]})
