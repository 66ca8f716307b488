"""Servers as child processes: started from nothing, waited for until they answer, ended by their id."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

PATIENCE = 120.0
"""Seconds that a server may take to answer, on a machine that has other work."""


def free_port() -> int:
    """Find a port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
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
    """Keep a server running.

    :param command: what starts it, in the foreground
    :param log: where its words go
    :param ready: tells whether it answers
    :param env: its environment, None for this process's
    :raises RuntimeError: when it ends, or does not answer in time
    """
    # A test run that is killed leaves no servers.
    guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    with log.open("ab") as words:
        process = subprocess.Popen(
            [*guard, *command], stdin=subprocess.DEVNULL, stdout=words, stderr=words, env=env
        )
    try:
        _await(process, log, ready)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not ready():
        if process.poll() is not None or time.monotonic() > give_up:
            said = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{process.args} does not answer (exit code {process.returncode}): {said}")
        time.sleep(0.05)
