"""Processes that tests start, kill and start again, each by its id."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil

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


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Tell whether somebody takes connections at a port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    log: Path,
    *,
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Keep a server running while the block runs.

    :param command: what starts it, in the foreground
    :param log: where its words go
    :param ready: tells whether it answers
    :param env: its environment, None for this process's
    :raises RuntimeError: when it ends instead of answering
    """
    # A test run that is killed leaves no servers.
    guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    with log.open("ab") as words:
        process = subprocess.Popen(
            [*guard, *command], stdin=subprocess.DEVNULL, stdout=words, stderr=words, env=env
        )

    def answers() -> bool:
        if process.poll() is not None:
            said = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{command[0]} has ended (exit code {process.returncode}): {said}")
        return ready()

    try:
        wait_for(f"an answer of {command[0]}, whose words are in {log}", answers)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass
class Processes:
    """Processes by name. They run in one folder, which tells them from all others, and so do their children.

    :param folder: where they run and write their logs
    """

    folder: Path
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        """Start a process."""
        with self.log_file(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder
            )

    def stop(self, *names: str) -> None:
        """Stop processes in an orderly way; after ten seconds, in another."""
        descendants = {pid for name in names for pid in self.pids(name)}
        processes = [self._running.pop(name) for name in names]
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + 10
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        kill_all(descendants)
        for process in processes:
            process.wait()

    def stop_all(self) -> None:
        """Stop all processes, the last one first, and whatever has outlived its parent."""
        self.stop(*reversed(self._running))
        kill_all([process.pid for process in psutil.process_iter() if self.has(process.pid)])

    def kill(self, name: str) -> None:
        """Kill a process and all its children at once, as the end of its machine would."""
        kill_all(self.pids(name))
        self._running.pop(name).wait()

    @contextlib.contextmanager
    def frozen(self, *names: str) -> Iterator[None]:
        """Let processes, not their children, do nothing while the block runs."""
        for name in names:
            self._running[name].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for name in names:
                self._running[name].send_signal(signal.SIGCONT)

    def runs(self, name: str) -> bool:
        """Tell whether a process was started and has not ended."""
        return name in self._running and self._running[name].poll() is None

    def pids(self, name: str) -> set[int]:
        """Return a process and all its children."""
        try:
            process = psutil.Process(self._running[name].pid)
            return {process.pid, *(child.pid for child in process.children(recursive=True))}
        except psutil.NoSuchProcess:
            return set()

    def has(self, pid: int) -> bool:
        """Tell whether a process is one of these, or came from one of them."""
        with contextlib.suppress(psutil.Error):
            return psutil.Process(pid).cwd() == str(self.folder)
        return False

    def log_file(self, name: str) -> Path:
        """Return where a process writes."""
        return self.folder / f"{name}.log"
