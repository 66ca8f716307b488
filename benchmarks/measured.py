"""Runs a command, and tells what it took."""

from __future__ import annotations

import compileall
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import airflow_provider_xbackup


@dataclass(frozen=True)
class Figures:
    """What one command took, all that it started included.

    :param wall: seconds by the clock
    :param cpu: seconds of processors
    :param peak: MiB of memory at the most, of the largest of its processes
    """

    wall: float
    cpu: float
    peak: float


def compile_package() -> None:
    """Leave this package as pip leaves it: an import that has to compile first would be measured as such."""
    compileall.compile_dir(Path(airflow_provider_xbackup.__file__).parent, quiet=1)


def run(command: Sequence[str], environment: Mapping[str, str], output: IO[bytes] | int) -> Figures:
    """Run a command to its end.

    :param command: the program and its arguments
    :param environment: what its environment has beside ours
    :param output: where its output goes
    """
    started = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | environment, stdout=output)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return Figures(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def run_line(line: str, environment: Mapping[str, str]) -> Figures:
    """Run a line of shell, whose output nobody needs.

    :param line: the line
    :param environment: what its environment has beside ours
    """
    return run(["bash", "-o", "pipefail", "-c", line], environment, subprocess.DEVNULL)
