"""Measure what commands take on vaults that hold very many backups: wall clock, CPU, peak memory.

The vaults are made by writing manifests directly, on a disk and on moto's S3 server on this machine. Every command
runs as a process of its own. Prints a Markdown table; takes about ten minutes with the default sizes.

    python benchmarks/catalog.py [--sizes 1000 10000 100000] [--s3-sizes 1000 10000] [--runs 3]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from measured import Figures, run

ACCOUNTS = [("xray", f"tenant-{number}") for number in range(10)] + [
    ("xenioo", f"bot-{number}") for number in range(10)
]
POLICY = ("--keep-daily", "30", "--keep-monthly", "12", "--override", "max-delete-fraction")
COMMANDS = {
    "list --json": ["list", "VAULT", "--json"],
    "list": ["list", "VAULT"],
    "status": ["status", "VAULT"],
    "retention plan": ["retention", "plan", "VAULT", *POLICY],
    "retention plan --json": ["retention", "plan", "VAULT", *POLICY, "--json"],
}
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def backups(count: int, vault: str) -> Iterator[dict[str, bytes]]:
    """The objects of backups of twenty accounts, one every eight hours: manifest, file, check record."""
    newest = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    for number in range(count):
        service, account = ACCOUNTS[number % len(ACCOUNTS)]
        at = newest - timedelta(hours=8) * (number // len(ACCOUNTS))
        yield _objects(vault, service, account, at, number)


def _objects(vault: str, service: str, account: str, at: datetime, number: int) -> dict[str, bytes]:
    digits = f"{number:08x}"
    backup_id = f"{at:%Y%m%dT%H%M%SZ}-full-{digits}"
    role, extension = ("backup", "zip") if service == "xray" else ("bot", "json")
    instant = f"{at:%Y-%m-%dT%H:%M:%SZ}"
    producer = {
        "package_version": "0.1.0",
        "airflow_version": "3.3.2",
        "dag_id": f"{service}_backup",
        "run_id": f"scheduled__{instant}",
        "task_id": f"{account}.store",
        "map_index": -1,
        "try_number": 1,
    }
    name = f"{role}.{digits}.{extension}"
    digest = f"{number:064x}"
    manifest = {
        "schema": "xbackup/manifest/v1",
        "service": service,
        "account": account,
        "backup_id": backup_id,
        "kind": "full",
        "requested_at": instant,
        "completed_at": instant,
        "remote": {"job_id": digest[:32], "host": "xray.example.com", "etag": f'"{digits}"'},
        "artifacts": [
            {
                "name": name,
                "role": role,
                "size": 1 << 30,
                "sha256": digest,
                "stored_size": 1 << 30,
                "stored_sha256": digest,
                "media_type": "application/zip",
            }
        ],
        "entities": {"tests": 2000, "testsets": 30, "testplans": 12, "testexecutions": 400},
        "producer": producer,
    }
    check = {
        "schema": "xbackup/check/v1",
        "at": instant,
        "vault": vault,
        "level": "digest",
        "reached": "digest",
        "passed": True,
        "objects": 1,
        "bytes": 1 << 30,
        "producer": producer,
    }
    folder = f"{service}/{account}/{backup_id}"
    return {
        f"{folder}/{name}": b"",
        f"{folder}/manifest.json": json.dumps(manifest, indent=2).encode(),
        f"{folder}/checks/{at:%Y%m%dT%H%M%SZ}-{digits}.json": json.dumps(check, indent=2).encode(),
    }


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
    """Make a vault on moto's S3 server; yields its URL and what the environment has to hold."""
    import boto3
    import requests

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = "s3://benchmark/vault"
    environment = CREDENTIALS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    try:
        while server.poll() is None:
            with contextlib.suppress(requests.ConnectionError):
                requests.get(environment["AWS_ENDPOINT_URL"], timeout=5)
                break
            time.sleep(0.1)
        os.environ.update(environment)
        client = boto3.client("s3")
        client.create_bucket(Bucket="benchmark")

        def put(objects: dict[str, bytes]) -> None:
            for path, data in objects.items():
                client.put_object(Bucket="benchmark", Key=f"vault/{path}", Body=data)

        with ThreadPoolExecutor(4) as pool:
            for _ in pool.map(put, backups(count, url)):
                pass
        yield url, environment
    finally:
        server.terminate()
        server.wait()


def measure(words: list[str], environment: dict[str, str], output: Path) -> Figures:
    """Run the command as a process of its own."""
    with output.open("wb") as file:
        return run([sys.executable, "-m", "airflow_provider_xbackup.cli.main", *words], environment, file)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 10_000, 100_000], metavar="N")
    parser.add_argument("--s3-sizes", type=int, nargs="*", default=[1000, 10_000], metavar="N")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="how often; the median counts")
    parser.add_argument("--commands", nargs="*", default=list(COMMANDS), choices=list(COMMANDS), metavar="NAME")
    args = parser.parse_args()
    print(f"Load of the machine at the beginning: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.\n")
    print("| Command | Store | Backups | Wall s | Wall s, all runs | CPU s | Peak memory MiB | Output MiB |")
    print("|---|---|---:|---:|---|---:|---:|---:|")
    makers: list[tuple[str, Callable[[int], contextlib.AbstractContextManager[tuple[str, dict[str, str]]]]]]
    makers = [("disk", vault_on_disk), ("S3 (moto)", vault_on_s3)]
    with tempfile.TemporaryDirectory() as folder:
        for (store, make), sizes in zip(makers, (args.sizes, args.s3_sizes), strict=True):
            for count in sizes:
                with make(count) as (url, environment):
                    for name in args.commands:
                        words = [url if word == "VAULT" else word for word in COMMANDS[name]]
                        output = Path(folder) / "output"
                        runs = [measure(words, environment, output) for _ in range(args.runs)]
                        print(_row(name, store, count, runs, output.stat().st_size), flush=True)
    print(f"\nLoad at the end: {os.getloadavg()[0]:.1f}.")


def _row(name: str, store: str, count: int, runs: list[Figures], written: int) -> str:
    def median(pick: Callable[[Figures], float]) -> float:
        return statistics.median(pick(run) for run in runs)

    walls = ", ".join(f"{run.wall:.1f}" for run in runs)
    return (
        f"| `{name}` | {store} | {count:,} | {median(lambda run: run.wall):.1f} | {walls} "
        f"| {median(lambda run: run.cpu):.1f} | {max(run.peak for run in runs):.0f} "
        f"| {written / (1 << 20):.1f} |"
    )


if __name__ == "__main__":
    main()
