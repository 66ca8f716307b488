"""Measure what commands take on vaults that hold very many backups: wall clock, CPU, peak memory, requests.

The vaults are made by writing manifests directly, on a disk and in an S3 server that takes its time for every
answer; beside them repositories of restic with as many snapshots. Every command runs as a process of its own, and
everything on this machine. Prints a Markdown table.

    python benchmarks/catalog.py [--sizes 10 1000 10000] [--s3-sizes 10000] [--restic-sizes 1000 10000] [--runs 3]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests
from latent_s3 import ANSWERED
from measured import Figures, compile_package, run
from servers import CREDENTIALS, HERE, free_port, running
from stored import backups

POLICY = ("--keep-daily", "30", "--keep-monthly", "12", "--override", "max-delete-fraction")
COMMANDS = {
    "list": ["list", "VAULT"],
    "list --json": ["list", "VAULT", "--json"],
    "status": ["status", "VAULT"],
    "retention plan": ["retention", "plan", "VAULT", *POLICY],
    "retention plan --json": ["retention", "plan", "VAULT", *POLICY, "--json"],
    "verify --level presence": ["verify", "VAULT", "--level", "presence"],
}
#: Those that read nothing again.
REMEMBERING = ("list --json", "retention plan --json")
RESTICS = {
    "snapshots": ["snapshots"],
    "snapshots --json": ["snapshots", "--json"],
    "forget --dry-run": ["forget", "--dry-run", "--keep-daily", "30", "--keep-monthly", "12"],
}
#: Seconds that the S3 server takes for every answer.
LATENCY = 0.02


@dataclass(frozen=True)
class Measured:
    """What one run of a command took.

    :param figures: time and memory
    :param requests: how often a store was asked, None where that is not counted
    :param written: bytes of output
    """

    figures: Figures
    requests: int | None
    written: int


@contextlib.contextmanager
def vault_on_disk(count: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Make a vault in a temporary folder; yields its URL and what the environment has to hold."""
    folder = Path(tempfile.mkdtemp(prefix="xbackup-benchmark-"))
    try:
        for objects in backups(count, folder.as_uri()):
            for path, data in objects.items():
                file = folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
        yield folder.as_uri(), {}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def vault_on_s3(count: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Make a vault in an S3 server that takes its time; yields its URL and what the environment has to hold."""
    port = free_port()
    program = (sys.executable, HERE / "latent_s3.py", str(port), str(count), "--latency", str(LATENCY))
    with running(*program, port=port):
        yield "s3://benchmark/vault", CREDENTIALS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}


@contextlib.contextmanager
def restics_repository(count: int) -> Iterator[dict[str, str]]:
    """Make a repository of restic with so many snapshots; yields what the environment has to hold.

    Some are made by backups of one small file. Then all are given another tag, which writes each anew, and the old
    ones are put back beside them, until they are enough.
    """
    with tempfile.TemporaryDirectory(prefix="xbackup-benchmark-") as name:
        folder = Path(name)
        snapshots, kept = folder / "repository" / "snapshots", folder / "kept"
        environment = {"RESTIC_REPOSITORY": str(folder / "repository"), "RESTIC_PASSWORD": "benchmark"}
        environment["RESTIC_CACHE_DIR"] = str(folder / "cache")

        def restic(*words: str) -> None:
            command = ["restic", "--quiet", *words]
            subprocess.run(command, check=True, env=os.environ | environment, stdout=subprocess.DEVNULL)

        restic("init")
        (folder / "file").write_text("small")
        newest = datetime.now(UTC) - timedelta(hours=1)
        for number in range(min(count, 80)):
            at = newest - timedelta(hours=8 * number)
            restic("backup", str(folder / "file"), "--time", f"{at:%Y-%m-%d %H:%M:%S}")
        while (there := len(list(snapshots.iterdir()))) < count:
            shutil.copytree(snapshots, kept)
            restic("tag", "--set", f"of {there}")
            for old in list(kept.iterdir())[: count - there]:
                shutil.copy(old, snapshots / old.name)
            shutil.rmtree(kept)
        yield environment


def measure(words: list[str], environment: dict[str, str], output: Path) -> Measured:
    """Run the command as a process of its own."""
    _requests_to(environment)
    with output.open("wb") as file:
        figures = run(words, environment, file)
    return Measured(figures, _requests_to(environment), output.stat().st_size)


def _requests_to(environment: dict[str, str]) -> int | None:
    """Ask the store how often it was asked since it last told; None where there is none that counts."""
    endpoint = environment.get("AWS_ENDPOINT_URL")
    if endpoint is None:
        return None
    return sum(requests.get(f"{endpoint}{ANSWERED}", timeout=60).json().values())


def of_xbackup(sizes: dict[str, list[int]], commands: list[str], runs: int, folder: Path) -> Iterator[str]:
    """Measure this package's commands; on S3 also when everything was read before.

    :param sizes: how many backups there are, by where
    :param commands: which
    :param runs: how often each
    :param folder: for what they print and remember
    """
    makers = {"disk": vault_on_disk, f"S3, {LATENCY * 1000:g} ms": vault_on_s3}
    for (store, make), counts in zip(makers.items(), sizes.values(), strict=True):
        for count in counts:
            with make(count) as (url, environment):
                forgetful = environment | {"XBACKUP_CACHE_DIR": ""}
                remembering = environment | {"XBACKUP_CACHE_DIR": str(folder / "cache")}
                for name in commands:
                    words = [url if word == "VAULT" else word for word in COMMANDS[name]]
                    command = [sys.executable, "-m", "airflow_provider_xbackup.cli.main", *words]
                    measured = [measure(command, forgetful, folder / "output") for _ in range(runs)]
                    yield _row(f"xbackup {name}", store, count, measured)
                    if store != "disk" and name in REMEMBERING:
                        again = [measure(command, remembering, folder / "output") for _ in range(runs + 1)]
                        yield _row(f"xbackup {name}", f"{store}, again", count, again[1:])


def of_restic(counts: list[int], runs: int, output: Path) -> Iterator[str]:
    """Measure restic's commands.

    :param counts: how many snapshots there are
    :param runs: how often each
    :param output: a file for what they print
    """
    for count in counts:
        with restics_repository(count) as environment:
            for name, words in RESTICS.items():
                yield _row(
                    f"restic {name}",
                    "disk",
                    count,
                    [measure(["restic", *words], environment, output) for _ in range(runs)],
                )


def _row(name: str, store: str, count: int, runs: list[Measured]) -> str:
    def median(pick: Callable[[Figures], float]) -> float:
        return statistics.median(pick(run.figures) for run in runs)

    requests = "" if runs[0].requests is None else f"{runs[0].requests:,}"
    return (
        f"| `{name}` | {store} | {count:,} | {median(lambda run: run.wall):.1f} "
        f"| {median(lambda run: run.cpu):.1f} | {max(run.figures.peak for run in runs):.0f} "
        f"| {requests} | {runs[0].written / (1 << 20):.1f} |"
    )


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10, 1000, 10_000], metavar="N")
    parser.add_argument("--s3-sizes", type=int, nargs="*", default=[10_000], metavar="N")
    parser.add_argument("--restic-sizes", type=int, nargs="*", default=[1000, 10_000], metavar="N")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="how often; the median counts")
    parser.add_argument("--commands", nargs="*", default=list(COMMANDS), choices=list(COMMANDS), metavar="NAME")
    args = parser.parse_args()
    compile_package()
    print(f"Load of the machine at the beginning: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.\n")
    print("| Command | Store | Backups | Wall s | CPU s | Peak memory MiB | Requests | Output MiB |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    sizes = {"disk": args.sizes, "S3": args.s3_sizes}
    with tempfile.TemporaryDirectory() as folder:
        for row in of_xbackup(sizes, args.commands, args.runs, Path(folder)):
            print(row, flush=True)
        for row in of_restic(args.restic_sizes, args.runs, Path(folder) / "output"):
            print(row, flush=True)


if __name__ == "__main__":
    main()
