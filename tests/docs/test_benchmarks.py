"""The benchmarks run; what they measure is for people to read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_benchmark_of_long_listings_measures_every_command() -> None:
    command = [sys.executable, ROOT / "benchmarks" / "catalog.py", "--sizes", "20", "--s3-sizes", "--runs", "1"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("| `")]
    assert rows == ["`list --json`", "`list`", "`status`", "`retention plan`", "`retention plan --json`"]
