"""The benchmarks run; what they measure is for people to read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import airflow
import pytest

ROOT = Path(__file__).resolve().parents[2]
inside_airflow = pytest.mark.skipif(
    tuple(map(int, airflow.__version__.split(".")[:2])) < (3, 3), reason="they use the insides of Airflow 3.3"
)


def printed_by(name: str, *arguments: str) -> list[str]:
    command = [sys.executable, ROOT / "benchmarks" / f"{name}.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def rows_of(lines: list[str]) -> list[str]:
    return [line.split("|")[1].strip() for line in lines if line.startswith("| ") and not line.startswith("| |")]


def test_the_benchmark_of_long_listings_measures_every_command() -> None:
    lines = printed_by("catalog", "--sizes", "20", "--s3-sizes", "20", "--restic-sizes", "--runs", "1")

    rows = [row for row in rows_of(lines) if row.startswith("`")]
    once = ("list", "list --json", "status", "retention plan", "retention plan --json", "verify --level presence")
    assert rows[:6] == [f"`xbackup {name}`" for name in once]
    assert set(rows[6:]) == set(rows[:6])
    (head,) = [line for line in lines if line.startswith("| Command")]
    requests = [name.strip() for name in head.split("|")].index("Requests")
    again = [int(line.split("|")[requests]) for line in lines if "again" in line]
    assert again == [2, 2]


@inside_airflow
def test_the_benchmark_of_waiting_runs_in_airflows_triggerer() -> None:
    lines = printed_by("waiting", "--triggers", "20", "--tenants", "2", "--seconds", "10")

    assert {"Memory a trigger, KB", "Lag of the event loop, p99, ms", "Sockets at most"} <= set(rows_of(lines))
    assert "- Tokens asked for: 2, of a tenant 1 at most." in lines
    ended = [int(line.split()[-1].rstrip(".")) for line in lines if line.startswith("- Jobs that ended: ")]
    assert len(ended) == 3
    assert ended[0] > 0


@inside_airflow
def test_the_benchmark_of_starting_measures_files_imports_and_commands() -> None:
    rows = rows_of(printed_by("startup", "--runs", "1"))

    assert {"xray_backup", "EmptyOperator", "`airflow_provider_xbackup.task_groups`"} <= set(rows)
    assert "`xbackup --help`" in rows


def test_every_part_is_a_script_and_every_result_is_on_the_page() -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import bench
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))

    page = (ROOT / "docs" / "performance.md").read_text()
    for name, (script, *_) in (bench.PARTS | bench.LARGE).items():
        assert (ROOT / "benchmarks" / f"{script}.py").exists()
        kept = (ROOT / "docs" / "results" / f"{name}.md").exists()
        assert (f"{{include}} results/{name}.md" in page) == kept
