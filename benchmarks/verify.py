"""Measure what reading a backup takes: verifying its content on disk, and looking at one project of it on S3.

The backup is a zip of deflated JSON, most of it one project's, and a hundred tests of another. Verification is
compared with what one might type instead. What ``explore`` reads is counted between it and the store. Everything
runs on this machine, each in a process of its own. Prints Markdown.

    python benchmarks/verify.py [--gib 4] [--entities 200000] [--runs 3] [--others .venv-bench/bin]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from measured import Figures, circumstances, compile_package, run_line
from servers import BUCKET, CREDENTIALS, free_port, storing_s3

from airflow_provider_xbackup.vault import Vault

GIB = 1 << 30
LARGE, SMALL = "10042", "10099"
_A_FILE = 1000
_OF_SMALL = 100
_PRODUCER = {"package_version": "0.1.0", "dag_id": "d", "run_id": "r", "task_id": "t"}


def write_backup(path: Path, size: int, entities: int) -> None:
    """Write a zip of about a size.

    :param path: where
    :param size: bytes, about
    :param entities: how many tests, of about the same size each
    """
    chosen = random.Random(1)
    # base64 of noise shrinks to three quarters, which is what it was made of.
    noise = size // entities
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for start in range(0, entities, _A_FILE):
            _write(file, LARGE, start, min(_A_FILE, entities - start), noise, chosen)
        _write(file, SMALL, entities, _OF_SMALL, noise, chosen)


def _write(file: zipfile.ZipFile, project: str, first: int, count: int, noise: int, chosen: random.Random) -> None:
    tests = [
        {
            "id": str(number),
            "projectId": project,
            "type": "Manual",
            "steps": [{"action": base64.b64encode(chosen.randbytes(noise)).decode()}],
        }
        for number in range(first, first + count)
    ]
    file.writestr(f"tests_{project}_{first}.json", json.dumps({"tests": tests}))


def store(url: str, zipped: Path) -> None:
    """Make a vault of one backup.

    :param url: the vault
    :param zipped: the backup's file
    """
    at = datetime.now(UTC).replace(microsecond=0)
    with (
        Vault.open(url).draft("xray", "acme", f"{at:%Y%m%dT%H%M%SZ}-full-00000001") as draft,
        zipped.open("rb") as file,
    ):
        blocks = iter(lambda: file.read(1 << 20), b"")
        draft.add("backup", blocks, media_type="application/zip", expected_size=zipped.stat().st_size)
        draft.commit(requested_at=at, producer=_PRODUCER)


class Counter:
    """Counts what a server sends, in the middle between it and its clients.

    :param to: the server's port
    :ivar port: where it listens
    :ivar sent: bytes that the server sent, headers included
    """

    def __init__(self, to: int) -> None:
        self.port = free_port()
        self.sent = 0
        self._to = to

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Count as long as the block."""
        loop = asyncio.new_event_loop()
        server = loop.run_until_complete(asyncio.start_server(self._connected, "127.0.0.1", self.port))
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            loop.call_soon_threadsafe(server.close)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    async def _connected(self, questions: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        answers, server = await asyncio.open_connection("127.0.0.1", self._to)
        with contextlib.suppress(OSError):
            await asyncio.gather(self._carry(questions, server, 0), self._carry(answers, client, 1))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counts: int) -> None:
        try:
            while block := await reader.read(1 << 16):
                self.sent += len(block) * counts
                writer.write(block)
                await writer.drain()
        finally:
            writer.close()


def verified(folder: Path, zipped: Path, runs: int) -> Iterator[str]:
    """Compare the verification of the content with unzip and jq."""
    vault = (folder / "vault").as_uri()
    store(vault, zipped)
    xbackup = Path(sys.executable).with_name("xbackup")
    lines = {
        "xbackup verify --level content": f"{xbackup} verify {vault} --level content",
        "unzip -t": f"unzip -tqq {zipped}",
        "unzip -t, then unzip -p and jq -c .": f"unzip -tqq {zipped} && unzip -p {zipped} | jq -c . >/dev/null",
    }
    measured: dict[str, list[Figures]] = {name: [] for name in lines}
    for _ in range(runs):
        for name, line in lines.items():
            measured[name].append(run_line(line, {}))
    size = zipped.stat().st_size / (1 << 20)
    yield "| | Wall s | CPU s | Zip, MiB a second | Peak MiB |"
    yield "|---|---:|---:|---:|---:|"
    for name, all_of in measured.items():
        wall = statistics.median(one.wall for one in all_of)
        cpu = statistics.median(one.cpu for one in all_of)
        peak = max(one.peak for one in all_of)
        yield f"| {name} | {wall:.1f} | {cpu:.1f} | {size / wall:.0f} | {peak:.0f} |"
    yield ""


def explored(folder: Path, zipped: Path, others: Path) -> Iterator[str]:
    """Count what is read of a backup on S3 when one project is looked at."""
    with tempfile.TemporaryDirectory(dir=folder) as files, storing_s3(Path(files), others) as port:
        os.environ.update(CREDENTIALS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"})
        command = [others / "s5cmd", "--endpoint-url", os.environ["AWS_ENDPOINT_URL"], "mb", f"s3://{BUCKET}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        vault = f"s3://{BUCKET}/vault"
        store(vault, zipped)
        counter = Counter(port)
        xbackup = Path(sys.executable).with_name("xbackup")
        line = f"{xbackup} explore {vault} latest --account acme --project {SMALL} --kind tests"
        with counter.running():
            figures = run_line(line, {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{counter.port}"})
    size = zipped.stat().st_size / (1 << 20)
    yield (
        f"`explore` of a project of {_OF_SMALL} tests in a backup of {size:.0f} MiB on S3: "
        f"{counter.sent / (1 << 20):.1f} MiB were read, in {figures.wall:.1f} s with {figures.cpu:.1f} CPU s."
    )


def main() -> None:
    """Measure, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=4, metavar="N", help="size of the zip")
    parser.add_argument("--entities", type=int, default=200_000, metavar="N", help="tests in it")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="how often; the median counts")
    parser.add_argument("--others", type=Path, default=Path(".venv-bench/bin"), help="programs of the others")
    args = parser.parse_args()
    compile_package()
    print(circumstances("obstore", unzip=["unzip", "-v"], jq=["jq", "--version"]), flush=True)
    with tempfile.TemporaryDirectory(prefix="xbackup-benchmark-") as name:
        zipped = Path(name, "backup.zip")
        # A command's peak begins at this process's, which must stay small.
        apart = multiprocessing.get_context("spawn").Process
        maker = apart(target=write_backup, args=(zipped, int(args.gib * GIB), args.entities))
        maker.start()
        maker.join()
        for line in verified(Path(name), zipped, args.runs):
            print(line, flush=True)
        for line in explored(Path(name), zipped, args.others.absolute()):
            print(line, flush=True)


if __name__ == "__main__":
    main()
