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
from measured import Figures, circumstances, compile_package, run
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
#: Those that write into the vault.
WRITING = ("verify --level presence",)
#: Those that read nothing again.
REMEMBERING = ("list --json", "retention plan --json")
RESTICS = {
    "snapshots": ["snapshots"],
    "snapshots --json": ["snapshots", "--json"],
    "forget --dry-run": ["forget", "--dry-run", "--keep-daily", "30", "--keep-monthly", "12"],
}
#: Which of our commands somebody would use in place of restic's.
IN_PLACE_OF = {"snapshots": "list", "snapshots --json": "list --json", "forget --dry-run": "retention plan"}
DISK = "disk"
#: Seconds after which a row is not measured again.
LONG_ENOUGH = 4.0
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
        for number in range(min(count, 10)):
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


@dataclass(frozen=True, eq=False)
class Contender:
    """A command on a vault or a repository.

    :param name: what the table calls it
    :param store: where the backups are
    :param count: how many there are
    :param words: the program and its arguments
    :param environment: what its environment has beside ours
    :param writes: whether it writes into the vault: then it is measured after the others
    :param beside: the name of the one that it is compared with
    """

    name: str
    store: str
    count: int
    words: list[str]
    environment: dict[str, str]
    writes: bool = False
    beside: str | None = None


def of_xbackup(
    store: str, count: int, url: str, environment: dict[str, str], commands: list[str], folder: Path
) -> Iterator[Contender]:
    """Return this package's commands; on S3 also as they are when everything was read before.

    :param store: where the vault is
    :param count: how many backups there are
    :param url: the vault
    :param environment: what leads to it
    :param commands: which
    :param folder: for what is remembered
    """
    forgetful = environment | {"XBACKUP_CACHE_DIR": ""}
    remembering = environment | {"XBACKUP_CACHE_DIR": str(folder / "cache")}
    for name in commands:
        arguments = [url if word == "VAULT" else word for word in COMMANDS[name]]
        words = [sys.executable, "-m", "airflow_provider_xbackup.cli.main", *arguments]
        yield Contender(f"xbackup {name}", store, count, words, forgetful, writes=name in WRITING)
        if store != DISK and name in REMEMBERING:
            run(words, remembering, subprocess.DEVNULL)
            yield Contender(f"xbackup {name}", f"{store}, again", count, words, remembering)


def of_restic(count: int, environment: dict[str, str]) -> Iterator[Contender]:
    """Return restic's commands.

    :param count: how many snapshots there are
    :param environment: what leads to the repository
    """
    for name, words in RESTICS.items():
        beside = f"xbackup {IN_PLACE_OF[name]}"
        yield Contender(f"restic {name}", DISK, count, ["restic", *words], environment, beside=beside)


def in_turn(contenders: list[Contender], runs: int, output: Path) -> Iterator[str]:
    """Measure contenders in turn; what takes long is not measured as often.

    :param contenders: the contenders
    :param runs: how often each
    :param output: a file for what they print
    """
    measured: dict[Contender, list[Measured]] = {contender: [] for contender in contenders}
    for writing in (False, True):
        for _ in range(runs):
            for contender, so_far in measured.items():
                if contender.writes == writing and sum(one.figures.wall for one in so_far) < LONG_ENOUGH:
                    so_far.append(measure(contender.words, contender.environment, output))
    walls = {contender.name: _median(all_of, lambda run: run.wall) for contender, all_of in measured.items()}
    for contender, all_of in measured.items():
        ours = walls.get(contender.beside or "")
        yield _row(contender, all_of, f"{walls[contender.name] / ours:.2f}" if ours else "")


def on_disk(sizes: list[int], restics: list[int], commands: list[str], runs: int, folder: Path) -> Iterator[str]:
    """Measure this package's commands on the disk, and restic's where there are to be as many snapshots."""
    for count in sorted({*sizes, *restics}):
        with contextlib.ExitStack() as made:
            contenders: list[Contender] = []
            if count in sizes:
                vault = made.enter_context(vault_on_disk(count))
                contenders += of_xbackup(DISK, count, *vault, commands, folder)
            if count in restics:
                contenders += of_restic(count, made.enter_context(restics_repository(count)))
            yield from in_turn(contenders, runs, folder / "output")


def on_s3(sizes: list[int], commands: list[str], runs: int, folder: Path) -> Iterator[str]:
    """Measure this package's commands on S3."""
    store = f"S3, {LATENCY * 1000:g} ms"
    for count in sizes:
        with vault_on_s3(count) as vault:
            contenders = list(of_xbackup(store, count, *vault, commands, folder))
            yield from in_turn(contenders, runs, folder / "output")


def _median(runs: list[Measured], pick: Callable[[Figures], float]) -> float:
    return statistics.median(pick(run.figures) for run in runs)


def _row(contender: Contender, runs: list[Measured], times_ours: str) -> str:
    requests = "" if runs[0].requests is None else f"{runs[0].requests:,}"
    return (
        f"| `{contender.name}` | {contender.store} | {contender.count:,} "
        f"| {_median(runs, lambda run: run.wall):.1f} | {times_ours} | {_median(runs, lambda run: run.cpu):.1f} "
        f"| {max(run.figures.peak for run in runs):.0f} "
        f"| {requests} | {runs[0].written / (1 << 20):.1f} |"
    )


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10, 1000, 10_000], metavar="N")
    parser.add_argument("--s3-sizes", type=int, nargs="*", default=[10_000], metavar="N")
    parser.add_argument("--restic-sizes", type=int, nargs="*", default=[1000, 10_000], metavar="N")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="how often at most; the median counts")
    parser.add_argument("--commands", nargs="*", default=list(COMMANDS), choices=list(COMMANDS), metavar="NAME")
    args = parser.parse_args()
    compile_package()
    restic = {"restic": ["restic", "version"]} if args.restic_sizes else {}
    print(circumstances("obstore", **restic))
    print("| Command | Store | Backups | Wall s | Wall, times ours | CPU s | Peak MiB | Requests | Output MiB |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for row in on_disk(args.sizes, args.restic_sizes, args.commands, args.runs, folder):
            print(row, flush=True)
        for row in on_s3(args.s3_sizes, args.commands, args.runs, folder):
            print(row, flush=True)


if __name__ == "__main__":
    main()
