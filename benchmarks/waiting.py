"""Measure what waiting for backup jobs takes in one triggerer, beside as many triggers that only sleep.

The two processes are Airflow's own: the supervisor with a log file for every trigger, and the runner with its
event loop. Only the database is left out: the triggers are handed over directly. The service is a small server in
a third process. Prints Markdown; takes about seven minutes.

    python benchmarks/waiting.py [--triggers 10000] [--tenants 100] [--seconds 305]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from measured import circumstances
from servers import HERE, certify, free_port, running

if TYPE_CHECKING:
    from airflow.executors.workloads import RunTrigger

SLEEPING = ("measured_triggers.SleepingTrigger", {})
LAG = ("measured_triggers.LagTrigger", {})
HERE_I_AM = ("measured_triggers.HereTrigger", {})
_SAMPLE_EVERY = 2.0

Trigger = tuple[str, dict[str, Any]]


@dataclass
class Figures:
    """What the runner of one triggerer took.

    :param empty: memory before there were triggers, in bytes
    :param full: memory with all of them, at its most
    :param cpu: CPU seconds from when all of them ran to the end
    :param wall: seconds of the same time
    :param starting: CPU seconds until all of them ran
    :param sockets: connections at their most
    :param lags: by how many seconds the event loop was late, from when all of them ran
    :param logged: bytes in the log files
    :param fired: when its event arrived, by the place of a trigger among them
    """

    empty: int = 0
    full: int = 0
    cpu: float = 0.0
    wall: float = 0.0
    starting: float = 0.0
    sockets: int = 0
    lags: list[float] = field(default_factory=list)
    logged: int = 0
    fired: dict[int, float] = field(default_factory=dict)

    def lag(self, share: float) -> float:
        """Return the lag in milliseconds that this share of the moments did not exceed."""
        return 1000 * sorted(self.lags)[int(share * (len(self.lags) - 1))]


def run(triggers: list[Trigger], seconds: float) -> Figures:
    """Run triggers in Airflow's triggerer, and measure its runner.

    :param triggers: class paths and arguments
    :param seconds: how long, from when all of them run
    """
    import psutil
    from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor

    figures = Figures()
    lag, here = 1, len(triggers) + 2
    arrived: set[int] = set()
    logs = Path(os.environ["AIRFLOW__LOGGING__BASE_LOG_FOLDER"])

    class Supervisor(TriggerRunnerSupervisor):
        """Airflow's supervisor of a triggerer without a database."""

        def load_triggers(self) -> None: ...
        def clean_unused(self) -> None: ...
        def heartbeat(self) -> None: ...
        def emit_metrics(self) -> None: ...

        def on_trigger_event(self, trigger_id: int, event: Any) -> None:
            arrived.add(trigger_id)
            if trigger_id == lag:
                figures.lags.extend(event.payload)
            elif trigger_id != here:
                figures.fired[trigger_id - 2] = time.time()
                if event.payload["status"] != "success":
                    raise SystemExit(f"A trigger ended with {event.payload}")

        def on_trigger_failure(self, trigger_id: int, exc: list[str] | None) -> None:
            raise SystemExit(f"Trigger {trigger_id} failed: {''.join(exc or [])}")

    supervisor = Supervisor.start(capacity=here)
    runner = psutil.Process(supervisor.pid)
    try:
        _hand_over(supervisor, {lag: LAG})
        _keep(supervisor, lambda: lag in arrived, 60)
        figures.empty, before = runner.memory_info().rss, _cpu(runner)
        _hand_over(supervisor, {**dict(enumerate(triggers, 2)), here: HERE_I_AM})
        _keep(supervisor, lambda: here in arrived, 600)
        _keep(supervisor, lambda: False, seconds / 32)
        figures.starting = _cpu(runner) - before
        figures.lags.clear()
        began, end = time.monotonic(), time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            figures.full = max(figures.full, runner.memory_info().rss)
            figures.sockets = max(figures.sockets, len(runner.net_connections("tcp")))
            _keep(supervisor, lambda: False, min(_SAMPLE_EVERY, end - now))
        figures.wall = time.monotonic() - began
        figures.cpu = _cpu(runner) - before - figures.starting
        figures.logged = sum(file.stat().st_size for file in logs.rglob("*.log"))
    finally:
        supervisor.kill(signal.SIGKILL)
        for factory in supervisor.logger_cache.values():
            factory.close()
        shutil.rmtree(logs)
    return figures


def _keep(supervisor: Any, over: Callable[[], bool], longest: float) -> None:
    """Let the supervisor do its work until something is the case."""
    end = time.monotonic() + longest
    while time.monotonic() < end and not over():
        supervisor.run_once()


def _cpu(process: Any) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _hand_over(supervisor: Any, triggers: dict[int, Trigger]) -> None:
    """Do what the supervisor does with triggers that it finds in the database."""
    from airflow.jobs.triggerer_job_runner import TriggerLoggingFactory

    for number, trigger in triggers.items():
        workload = _workload(number, trigger)
        supervisor.logger_cache[number] = TriggerLoggingFactory(
            log_path=f"attempt={number}.log.trigger.1.log", ti=workload.ti
        )
        supervisor.creating_triggers.append(workload)


def _workload(number: int, trigger: Trigger) -> RunTrigger:
    from uuid import uuid4

    from airflow.executors.workloads.task import TaskInstanceDTO
    from airflow.executors.workloads.trigger import RunTrigger
    from airflow.models.trigger import Trigger as StoredTrigger

    path, arguments = trigger
    task = TaskInstanceDTO(
        id=uuid4(),
        dag_version_id=uuid4(),
        task_id="wait",
        dag_id="benchmark",
        run_id="manual",
        try_number=1,
        map_index=number,
        queue="default",
        pool_slots=1,
        priority_weight=1,
    )
    return RunTrigger(id=number, classpath=path, encrypted_kwargs=StoredTrigger.encrypt_kwargs(arguments), ti=task)


@contextlib.contextmanager
def service(tenants: int) -> Iterator[Callable[[], dict[str, Any]]]:
    """Run the service, with a connection for each of its tenants; yields what tells what it was asked."""
    port, certificate = free_port(), certify(Path(os.environ["AIRFLOW_HOME"]))
    for number in range(tenants):
        connection = {
            "conn_type": "xray",
            "host": f"https://127.0.0.1:{port}",
            "login": f"tenant-{number}",
            "password": "secret",
            "extra": json.dumps({"verify": str(certificate.authority)}),
        }
        os.environ[f"AIRFLOW_CONN_TENANT_{number}"] = json.dumps(connection)
    trusting = ssl.create_default_context(cafile=certificate.authority)

    def asked() -> dict[str, Any]:
        with urlopen(f"https://127.0.0.1:{port}/figures", context=trusting) as answer:
            return dict(json.load(answer))

    with running(sys.executable, HERE / "status_server.py", str(port), certificate.server, port=port):
        yield asked


@dataclass(frozen=True)
class Job:
    """A job of the service.

    :param tenant: whose it is
    :param job_id: its id, which tells the service how long it takes
    :param began: when it was asked for
    :param ends: when it will be done
    """

    tenant: int
    job_id: str
    began: float
    ends: float

    def trigger(self) -> Trigger:
        """Return the trigger that waits for it, as the sensor makes it."""
        from airflow_provider_xbackup.triggers.xray import XrayBackupTrigger

        return XrayBackupTrigger(
            job_id=self.job_id,
            xray_conn_id=f"tenant_{self.tenant}",
            account=f"tenant-{self.tenant}",
            poll_interval=30.0,
            deadline=time.time() + 86_400,
            outage_tolerance=1800.0,
            requested_at=self.began,
        ).serialize()


def begin_jobs(count: int, tenants: int, shortest: float, longest: float, age: float = 0.0) -> list[Job]:
    """Begin jobs, in turn one of every tenant, that end between two numbers of seconds from now.

    :param age: how many seconds ago they were asked for
    """
    chosen, now = random.Random(1), time.time()
    jobs = []
    for number in range(count):
        ends = chosen.uniform(shortest, longest)
        job_id = f"{now - age:.3f}-{age + ends:.3f}-{number}"
        jobs.append(Job(number % tenants, job_id, now - age, now + ends))
    return jobs


def crowd(count: int, tenants: int, seconds: float) -> Iterator[str]:
    """Compare as many waits as a triggerer may have with as many triggers that sleep."""
    sleeping = run([SLEEPING] * count, min(seconds, 20))
    with service(tenants) as asked:
        jobs = begin_jobs(count, tenants, seconds / 2, 3 * seconds)
        waiting = run([job.trigger() for job in jobs], seconds)
        seen = asked()
    both = (sleeping, waiting)
    yield f"### {count:,} jobs of {tenants} tenants, {waiting.wall:.0f} s\n"
    yield "| | Sleeping | Waiting | Difference |"
    yield "|---|---:|---:|---:|"
    yield _compared("Memory a trigger, KB", [(one.full - one.empty) / count / 1024 for one in both])
    yield _compared("Logged a trigger, KB", [one.logged / count / 1024 for one in both])
    yield _compared("CPU until all ran, s", [one.starting for one in both])
    yield _compared("CPU then, % of a core", [100 * one.cpu / one.wall for one in both])
    for name, share in (("median", 0.5), ("p99", 0.99), ("longest", 1.0)):
        yield _compared(f"Lag of the event loop, {name}, ms", [one.lag(share) for one in both])
    yield _compared("Sockets at most", [one.sockets for one in both])
    yield ""
    questions = sum(seen["polls"].values())
    spent = waiting.cpu + waiting.starting - sleeping.starting - sleeping.cpu / sleeping.wall * waiting.wall
    yield f"- Questions: {questions:,}, each {1000 * spent / questions:.2f} ms of CPU, the beginning included."
    logins = seen["logins"].values()
    yield f"- Tokens asked for: {sum(logins)}, of a tenant {max(logins)} at most."
    yield f"- Requests of a tenant in any 5 minutes: {max(seen['most_in_a_period'].values())} at most."
    running_on = [job.job_id for job in jobs if job.ends > time.time()]
    asked_of = [seen["polls"].get(job, 0) for job in running_on]
    yield (
        f"- Jobs that did not end: asked about {min(asked_of)} to {max(asked_of)} times, "
        f"at most {max(seen['longest_silence'].get(job, seconds) for job in running_on):.0f} s apart."
    )
    yield from _delays(jobs, 0, waiting, seen)


def few(tenants: int, seconds: float) -> Iterator[str]:
    """Tell how soon it is noticed that a job is done where no tenant has many: jobs of seconds, and of an hour."""
    soon, late = 0.2 * seconds, 0.6 * seconds
    with service(tenants) as asked:
        short = begin_jobs(tenants, tenants, soon, late)
        long = begin_jobs(tenants, tenants, soon, late, age=3600.0)
        waiting = run([job.trigger() for job in (*short, *long)], seconds)
        seen = asked()
    yield f"### {2 * tenants} jobs of {tenants} tenants; lag of the event loop, p99: {waiting.lag(0.99):.1f} ms\n"
    for jobs, first, name in ((short, 0, f"{soon:.0f} to {late:.0f} s"), (long, tenants, "an hour")):
        questions = sum(seen["polls"].get(job.job_id, 0) for job in jobs) / tenants
        yield f"- Jobs of {name}: {questions:.1f} questions each."
        yield from _delays(jobs, first, waiting, seen)


def _compared(name: str, values: list[float]) -> str:
    return f"| {name} | {values[0]:.1f} | {values[1]:.1f} | {values[1] - values[0]:.1f} |"


def _delays(jobs: list[Job], first: int, waiting: Figures, seen: dict[str, Any]) -> Iterator[str]:
    numbered = enumerate(jobs, first)
    ended = [(job, waiting.fired[number]) for number, job in numbered if number in waiting.fired]
    yield f"- Jobs that ended: {len(ended):,}."
    if not ended:
        return
    told = [seen["told_done"][job.job_id] - job.ends for job, _ in ended]
    fired = [at - seen["told_done"][job.job_id] for job, at in ended]
    for what, delays in (("the end to the question that saw it", told), ("there to the triggerer's event", fired)):
        yield f"  From {what}: {statistics.median(delays):.2f} s in the median, {max(delays):.2f} s at most."
    yield ""


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triggers", type=int, default=10_000, metavar="N")
    parser.add_argument("--tenants", type=int, default=100, metavar="N")
    parser.add_argument("--seconds", type=float, default=305, help="how long; the vendor counts 5 minutes")
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.TemporaryDirectory(prefix="xbackup-benchmark-") as folder:
        os.environ |= {
            "AIRFLOW_HOME": folder,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": f"{folder}/logs",
            "PYTHONWARNINGS": "ignore",
        }
        # What Airflow logs goes where all it says goes, and the tables alone to the output.
        with os.fdopen(os.dup(1), "w") as output:
            os.dup2(2, 1)
            print(circumstances("aiohttp"), file=output, flush=True)
            for part in (crowd(args.triggers, args.tenants, args.seconds), few(args.tenants, args.seconds / 8)):
                for line in part:
                    print(line, file=output, flush=True)


if __name__ == "__main__":
    main()
