"""Runs a command, and tells what it took, and under which circumstances."""

from __future__ import annotations

import compileall
import os
import platform
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
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


def circumstances(*packages: str, **others: Sequence[str | Path]) -> str:
    """Return the line that stands before tables: the day, what was measured, and what else the machine did.

    :param packages: what of this environment is named with its version, beside Python and Airflow
    :param others: what is named as well, by the command that tells its version
    """
    versions = {"Python": platform.python_version(), "Airflow": version("apache-airflow")}
    versions |= {name: version(name) for name in packages}
    versions |= {name: _version_told(command) for name, command in others.items()}
    named = ", ".join(f"{name} {number}" for name, number in versions.items())
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    return f"{datetime.now(UTC):%d %B %Y}: {named}. Load of the machine at the beginning: {load}.\n"


def _version_told(command: Sequence[str | Path]) -> str:
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        told = ""
    found = re.search(r"\d+\.\d[\w.]*", told)
    return found[0] if found else "of an unknown version"


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
