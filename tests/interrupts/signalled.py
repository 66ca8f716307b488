"""A task in a process of its own, and a store that stops answering when it is told to."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

DEADLINE = 180
"""Seconds after which something that should have happened has not. Nothing here takes a tenth of it."""

_numbers = itertools.count()


def until(condition: Callable[[], Any], running: Callable[[], bool] = lambda: True) -> Any:
    """Wait for something to be true, while something runs, and return it."""
    end = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert running(), "the process has ended before"
        assert time.monotonic() < end, "it did not happen"
        threading.Event().wait(0.02)
    return value


class Relay:
    """Passes connections on to a server; one that sends certain bytes is held, and not passed on any more.

    :param port: of the server, on this machine
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._sent: bytes | None = None
        self.held = 0
        self._end = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def hold(self, sent: bytes | None) -> None:
        """Stop passing on what a client sends from where it sends these bytes; None: pass everything on."""
        self.held = 0
        self._sent = sent

    def close(self) -> None:
        self._end.set()
        self._listening.close()

    def _accept(self) -> None:
        while not self._end.is_set():
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as server:
            while not self._end.is_set():
                for ready in select.select([client, server], [], [], 0.5)[0]:
                    try:
                        data = ready.recv(1 << 16)
                        if ready is client and self._sent is not None and self._sent in data:
                            self.held += 1
                            self._end.wait()
                        if not data:
                            return
                        (server if ready is client else client).sendall(data)
                    except OSError:
                        return


@dataclass
class Store:
    """A vault, and what can be seen of it from outside."""

    url: str
    relay: Relay | None = None
    names: Callable[[], list[str]] = field(default=list)
    unfinished: Callable[[], list[Any]] = field(default=list)

    def part(self, folder: str) -> Store:
        """A vault of its own below this one."""

        def names() -> list[str]:
            inside = [name.removeprefix("vault/") for name in self.names()]
            return [name.removeprefix(f"{folder}/") for name in inside if name.startswith(f"{folder}/")]

        return replace(self, url=f"{self.url}/{folder}", names=names)


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture
def s3(s3_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    import boto3

    relay = Relay(s3_port)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", relay.url)
    client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{s3_port}")
    # All emulators in one process share their buckets.
    bucket = f"signalled-{next(_numbers)}"
    client.create_bucket(Bucket=bucket)
    yield Store(
        f"s3://{bucket}/vault",
        relay,
        lambda: [found["Key"] for found in client.list_objects_v2(Bucket=bucket).get("Contents", [])],
        lambda: client.list_multipart_uploads(Bucket=bucket).get("Uploads", []),
    )
    relay.close()


@pytest.fixture
def disk(tmp_path: Path) -> Store:
    folder = tmp_path / "vault"

    def files() -> list[str]:
        return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]

    return Store(
        folder.as_uri(),
        None,
        lambda: [name for name in files() if "#" not in name],
        lambda: [name for name in files() if "#" in name],
    )


@pytest.fixture(params=["disk", "s3"])
def store(request: pytest.FixtureRequest) -> Store:
    """A vault on disk and one on S3."""
    found: Store = request.getfixturevalue(request.param)
    return found


@dataclass(frozen=True)
class Task:
    """A task on the way in a process of its own."""

    process: BaseProcess
    told: Connection

    def running(self) -> bool:
        return self.process.is_alive()

    def signal(self, number: int) -> None:
        """Send a signal to the process once its main thread waits for something."""
        pid = self.process.pid
        assert pid is not None
        until(lambda: _sleeps(pid) and not threading.Event().wait(0.1) and _sleeps(pid), self.running)
        os.kill(pid, number)

    def signal_after(self, seconds: float, number: int) -> None:
        """Send a signal so long after the task has begun, whatever it does then, or has done."""
        self._begun()
        if not self.told.poll(seconds):
            assert self.process.pid is not None
            os.kill(self.process.pid, number)

    def seconds(self) -> float:
        """Wait for the end of the task, and return how long it took."""
        self._begun()
        begun = time.monotonic()
        assert self.told.poll(DEADLINE)
        return time.monotonic() - begun

    def _begun(self) -> None:
        """Wait until the process handles SIGTERM, which is the first thing it does."""
        until(lambda: _handles(self.process.pid, signal.SIGTERM), self.running)

    def end(self) -> tuple[str, str]:
        """Wait for the end of the process; returns the name and the text of the task's error."""
        self.process.join(DEADLINE)
        assert self.process.exitcode == 0, self.process.exitcode
        found: tuple[str, str] = self.told.recv()
        return found


def _sleeps(pid: int) -> bool:
    status = Path(f"/proc/{pid}/task/{pid}/stat").read_text()
    return status.rpartition(")")[2].split()[0] == "S"


def _handles(pid: int | None, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (number - 1) & 1)


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Makes processes that have loaded Airflow already, and hold nothing else of this one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["interrupted_task"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    context.Process().start()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before
    return context


@pytest.fixture
def start(processes: ForkServerContext, spool_dir: Path) -> Iterator[Callable[..., Task]]:
    """Start a task in a process of its own."""
    started: list[Task] = []

    def start(kind: str, **arguments: Any) -> Task:
        from interrupted_task import main

        told, telling = processes.Pipe(duplex=False)
        process = processes.Process(target=main, args=(kind, arguments, dict(os.environ), telling))
        process.start()
        started.append(Task(process, told))
        return started[-1]

    yield start
    for task in started:
        task.process.kill()
        task.process.join()
