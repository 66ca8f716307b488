"""Measure when a task goes on after its backup job has ended: a whole Airflow, beside its own sleeping sensor.

Scheduler, triggerer, DAG processor and API server are Airflow's, as it is configured from the start, with SQLite.
Some tasks wait for jobs, as many for nothing but a moment; jobs and moments end in turn, a few seconds apart.
Prints Markdown; takes about three minutes.

    python benchmarks/resume.py [--jobs 12]
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import secrets
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from measured import circumstances
from servers import HERE, free_port
from waiting import Job, service

_PARTS = {
    "api-server": ["--workers", "1"],
    "scheduler": ["--skip-serve-logs"],
    "dag-processor": [],
    "triggerer": ["--skip-serve-logs"],
}
_READY_AFTER = 90.0
"""Seconds until Airflow has begun and all tasks wait."""
_APART = 3.0
_LONGEST = 180.0
"""Seconds after the last end until the benchmark gives up."""


@contextlib.contextmanager
def airflow(folder: Path) -> Iterator[None]:
    """Run a whole Airflow as long as the block.

    :param folder: its home; what it says goes there, too
    """
    with (folder / "airflow.log").open("wb") as said, contextlib.ExitStack() as parts:

        def start(*words: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "airflow", *words]
            return subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)

        if start("db", "migrate").wait():
            raise SystemExit(f"Airflow's database was not made:\n{_said(folder)}")
        for name, arguments in _PARTS.items():
            parts.callback(_stop, start(name, *arguments))
        yield


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def configure(jobs: list[Job], moments: list[float]) -> None:
    """Set the environment of an Airflow that has the one DAG, and nothing else that is not Airflow's default.

    :param jobs: the jobs that the DAG waits for
    :param moments: the moments, in seconds since the epoch
    """
    port, secret = free_port(), base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    os.environ |= {
        "AIRFLOW__CORE__DAGS_FOLDER": str(HERE / "dags"),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__FERNET_KEY": secret,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__SECRET_KEY": secret,
        "AIRFLOW__API_AUTH__JWT_SECRET": secret,
        "BENCHMARK_JOBS": json.dumps([[f"tenant_{job.tenant}", job.job_id, job.began] for job in jobs]),
        "BENCHMARK_MOMENTS": json.dumps(moments),
    }


def see_them_wait(folder: Path, count: int, until: float) -> None:
    """Sleep until the first job ends, and make sure that all tasks wait by then.

    :param folder: Airflow's home
    :param count: how many tasks there are
    :param until: seconds since the epoch
    """
    time.sleep(max(0.0, until - time.time() - 1))
    states = [state for _, state, _ in _tasks(folder)]
    if states.count("deferred") != count:
        raise SystemExit(f"Not all tasks wait {_READY_AFTER:.0f} s after the beginning: {states}\n{_said(folder)}")


def ends_of_tasks(folder: Path, count: int, patience: float) -> dict[str, float]:
    """Wait until all tasks have succeeded, and tell when each did.

    :param folder: Airflow's home
    :param count: how many tasks there are
    :param patience: seconds
    """
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        rows = _tasks(folder)
        if failed := [task for task, state, _ in rows if state == "failed"]:
            raise SystemExit(f"The tasks {' '.join(failed)} failed.\n{_said(folder)}")
        if sum(state == "success" for _, state, _ in rows) == count:
            return {task: _seconds(end) for task, _, end in rows}
        time.sleep(1)
    raise SystemExit(f"Not all tasks ended: {rows}\n{_said(folder)}")


def _tasks(folder: Path) -> list[tuple[str, str, str]]:
    """Return the name, the state and the end of every task."""
    with contextlib.closing(sqlite3.connect(folder / "airflow.db", timeout=30)) as database:
        return database.execute("SELECT task_id, state, end_date FROM task_instance").fetchall()


def _said(folder: Path) -> str:
    return (folder / "airflow.log").read_text(errors="replace")[-2000:]


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def measure(folder: Path, count: int) -> Iterator[str]:
    """Let tasks wait for jobs and for moments, and compare."""
    now = time.time()
    ends = [now + _READY_AFTER + 2 * _APART * number for number in range(count)]
    moments = [end + _APART for end in ends]
    # The jobs are of an hour, as backups of large tenants are: they are asked about seldom.
    began = now - 3600
    jobs = [Job(n, f"{began:.3f}-{end - began:.3f}-{n}", began, end) for n, end in enumerate(ends)]
    with service(count) as asked:
        configure(jobs, moments)
        with airflow(folder):
            see_them_wait(folder, 2 * count, ends[0])
            ended = ends_of_tasks(folder, 2 * count, moments[-1] - now + _LONGEST)
        told = asked()["told_done"]
    seen = [told[job.job_id] for job in jobs]
    yield f"### {count} jobs of an hour and {count} moments, one every {_APART:.0f} s, in a whole Airflow\n"
    yield "| | Median s | At most s |"
    yield "|---|---:|---:|"
    yield _row("`XrayBackupSensor`: from the end of the job to the question that saw it", seen, ends)
    yield _row(
        "`XrayBackupSensor`: from there to the end of the task", [ended[f"job_{n}"] for n in range(count)], seen
    )
    yield _row(
        "`DateTimeSensorAsync`: from the moment to the end of the task",
        [ended[f"moment_{n}"] for n in range(count)],
        moments,
    )
    yield ""


def _row(name: str, later: list[float], earlier: list[float]) -> str:
    delays = [after - before for after, before in zip(later, earlier, strict=True)]
    return f"| {name} | {statistics.median(delays):.1f} | {max(delays):.1f} |"


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=12, metavar="N")
    args = parser.parse_args()
    print(circumstances("aiohttp"), flush=True)
    with tempfile.TemporaryDirectory(prefix="xbackup-benchmark-", ignore_cleanup_errors=True) as folder:
        os.environ |= {
            "AIRFLOW_HOME": folder,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PYTHONWARNINGS": "ignore",
        }
        for line in measure(Path(folder), args.jobs):
            print(line, flush=True)


if __name__ == "__main__":
    main()
