"""The broker of the tests' Celery: a Redis that keeps on disk what it is told."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processes import Processes, free_port, wait_for


@dataclass(frozen=True)
class RedisServer:
    """A Redis on this machine.

    :param processes: where it runs
    """

    processes: Processes
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, with what it kept."""
        self._data.mkdir(exist_ok=True)
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", self._data]
        self.processes.start("redis", [*command, "--appendonly", "yes", "--save", ""], os.environ)
        wait_for("Redis", lambda: self._ask("PING") == "PONG")

    def restart(self) -> None:
        """Stop it in an orderly way and start it with what it kept."""
        self.processes.stop("redis")
        self.start()

    def restart_empty(self) -> None:
        """Kill it, let it lose all it kept, and start it."""
        self.processes.kill("redis")
        shutil.rmtree(self._data)
        self.start()

    def waiting(self) -> int:
        """Count the tasks that no worker has taken yet."""
        return int(self._ask("LLEN", "default"))

    def busy_workers(self, workers: int) -> dict[str, list[Any]]:
        """Return what each worker that answers works on.

        :param workers: how many there should be
        """
        from celery import Celery
        from kombu import pools

        # A connection that was kept may be of the time before a restart.
        pools.reset()
        return Celery(broker=self.url).control.inspect(timeout=5, limit=workers).active() or {}

    @staticmethod
    def version() -> str:
        """Return its version, such as 7.0.15."""
        said = subprocess.check_output(["redis-server", "--version"], text=True)
        return said.split("v=")[1].split()[0]

    @property
    def _data(self) -> Path:
        return self.processes.folder / "redis"

    def _ask(self, *command: str) -> str:
        done = subprocess.run(["redis-cli", "-u", self.url, *command], capture_output=True, text=True, check=False)
        return done.stdout.strip()
