"""Measure the transfer of a file from HTTP into object storage, beside what a user might pick instead.

Everything runs on this machine, the contenders in turn, each in a process of its own. Prints Markdown, and writes
it into a file where one is named.

    python benchmarks/transfer.py [--parts stores longer costs bots memory breaks links] [--runs 5] [--output FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from cutting_link import CuttingLink
from measured import Figures, circumstances, compile_package, run_line
from servers import (
    BUCKET,
    CREDENTIALS,
    HERE,
    Certificate,
    certify,
    discarding_s3,
    slow_link,
    source,
    storing_s3,
    write_json,
    write_many,
    write_zip,
)

GIB = 1 << 30
KEY = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
OURS = "xbackup, check='structure'"
UNSIGNED = f"{OURS}, body not signed"
#: Those that are worth waiting for when the file is long.
QUICKEST = (OURS, UNSIGNED, "rclone copyurl", "boto3 upload_fileobj", "limit: receive, hash, send, no more")


@dataclass(frozen=True)
class Place:
    """Where files go in one of the tables.

    :param root: URL of a vault, and of single objects
    :param environment: what the contenders' environment has to hold
    """

    root: str
    environment: dict[str, str]

    def clear(self) -> None:
        """Remove what a contender has written onto the disk."""
        if self.root.startswith("file://"):
            folder = self.root.removeprefix("file://")
            shutil.rmtree(folder)
            os.mkdir(folder)


Run = Callable[[str, Place, int], Figures]


class Bench:
    """The machinery of one run of the benchmark.

    :param others: folder of the other contenders' programs
    :param folder: for files
    :param runs: how often each is measured
    """

    def __init__(self, others: Path, folder: Path, runs: int) -> None:
        self.others = others
        self.folder = folder
        self.runs = runs

    def python(self, name: str, interpreter: Path | str, **options: object) -> Run:
        """Return a contender in Python, measured in its own process once its libraries are loaded."""

        def run(url: str, place: Place, number: int) -> Figures:
            words = [interpreter, HERE / "contenders.py", name, url, f"{place.root}/{name}-{number}"]
            done = subprocess.run(
                [*map(str, words), json.dumps(options)],
                env=self._environment(place),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(f"{name} failed:\n{done.stdout}\n{done.stderr}")
            return Figures(**json.loads(done.stdout.splitlines()[-1]))

        return run

    def shell(self, line: str) -> Run:
        """Return a contender that is a line of shell, measured as a whole, its programs' start included."""

        def run(url: str, place: Place, number: int) -> Figures:
            name = f"shell-{uuid4().hex}-{number}"
            names = {
                "url": url,
                "target": f"{place.root}/{name}",
                "key": f"{BUCKET}/{name}",
                "path": f"{place.root.removeprefix('file://')}/{name}",
            }
            return run_line(line.format(**names), self._environment(place))

        return run

    def measure(self, contenders: dict[str, Run], url: str, place: Place) -> dict[str, Figures]:
        """Measure contenders in turn, each round begun by another one, and return the median of each."""
        measured: dict[str, list[Figures]] = {name: [] for name in contenders}
        names = list(contenders)
        for number in range(self.runs):
            for name in names[number:] + names[:number]:
                os.sync()  # nobody pays for what the one before has left to be written
                measured[name].append(contenders[name](url, place, number))
                place.clear()
        return {
            name: Figures(
                statistics.median(one.wall for one in all_of),
                statistics.median(one.cpu for one in all_of),
                max(one.peak for one in all_of),
            )
            for name, all_of in measured.items()
        }

    def ours(self) -> dict[str, Run]:
        """Return what this package may be told when it sends a file to S3."""
        python = sys.executable
        return {
            OURS: self.python("xbackup", python, check="structure"),
            "xbackup, check='content'": self.python("xbackup", python, check="content"),
            UNSIGNED: self.python("xbackup", python, check="structure", signed=False),
            "xbackup, check='structure', store not named": self.python(
                "xbackup", python, check="structure", named=False
            ),
        }

    def contenders(self) -> dict[str, Run]:
        """Return what sends a file from HTTP to S3, this package first."""
        others = self.others / "python"
        return {
            OURS: self.ours()[OURS],
            "rclone copyurl": self.shell(
                f"{self.others}/rclone copyurl --config /dev/null --s3-provider Other --s3-env-auth "
                '--s3-endpoint "$AWS_ENDPOINT_URL" {url} :s3:{key}'
            ),
            "curl | s5cmd pipe": self.shell(
                f"curl -s {{url}} | {self.others}/s5cmd --log error --endpoint-url $AWS_ENDPOINT_URL "
                "pipe {target}"
            ),
            "curl | aws s3 cp -": self.shell(
                "curl -s {url} | aws --endpoint-url $AWS_ENDPOINT_URL s3 cp - {target} --expected-size 1100000000"
            ),
            "boto3 upload_fileobj": self.python("upload_fileobj", others),
            "ObjectStoragePath.open('wb')": self.python("storage_path", others),
            "HttpToS3Operator": self.python("http_to_s3", others),
        }

    def through_tls(self) -> dict[str, Run]:
        """Return those that are compared through TLS as well: what is far behind without it is left out."""
        far_behind = ("ObjectStoragePath.open('wb')", "HttpToS3Operator")
        return {
            OURS: self.ours()[OURS],
            UNSIGNED: self.ours()[UNSIGNED],
            **{name: run for name, run in self.contenders().items() if name not in (OURS, *far_behind)},
            "limit: curl to /dev/null": self.limits()["limit: curl to /dev/null"],
        }

    def limits(self) -> dict[str, Run]:
        """Return what bounds all of them, and what the start of awscli takes that is counted with its transfer."""
        return {
            "limit: curl to /dev/null": self.shell("curl -s -o /dev/null {url}"),
            "limit: curl | openssl dgst -sha256": self.shell("curl -s {url} | openssl dgst -sha256"),
            "limit: receive, hash, send, no more": self.python("bare", sys.executable),
            "limit: curl into the server": self.shell("curl -s {url} | curl -s -T - $AWS_ENDPOINT_URL/{key}"),
            "of awscli: its start": self.shell("aws --version"),
        }

    def to_disk(self) -> dict[str, Run]:
        """Return what sends a file from HTTP to the disk."""
        return {
            OURS: self.python("xbackup", sys.executable, check="structure"),
            "xbackup, check='content'": self.python("xbackup", sys.executable, check="content"),
            "rclone copyurl": self.shell(f"{self.others}/rclone copyurl --config /dev/null {{url}} {{path}}"),
            "curl -o": self.shell("curl -s -o {path} {url}"),
            "curl -o, sync, openssl dgst -sha256": self.shell(
                "curl -s -o {path} {url} && sync {path} && openssl dgst -sha256 {path}"
            ),
        }

    def _environment(self, place: Place) -> dict[str, str]:
        quiet = {
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PYTHONWARNINGS": "ignore",
        }
        return os.environ | quiet | place.environment

    @contextlib.contextmanager
    def discarding(self, tls: Certificate | None = None) -> Iterator[Place]:
        """Run the S3 server that discards."""
        with discarding_s3(self.folder, tls) as port:
            yield _on_s3(port, tls)

    @contextlib.contextmanager
    def storing(self) -> Iterator[Place]:
        """Run the S3 server that stores."""
        with (
            tempfile.TemporaryDirectory(dir=self.folder) as files,
            storing_s3(Path(files), self.others) as port,
        ):
            place = _on_s3(port)
            endpoint = place.environment["AWS_ENDPOINT_URL"]
            command = [self.others / "s5cmd", "--endpoint-url", endpoint, "mb", place.root]
            subprocess.run(command, check=True, env=self._environment(place), stdout=subprocess.DEVNULL)
            yield place

    @contextlib.contextmanager
    def disk(self) -> Iterator[Place]:
        """Make a folder on the disk."""
        with tempfile.TemporaryDirectory(dir=self.folder) as files:
            yield Place(f"file://{files}", {})


def stores(bench: Bench) -> Iterator[str]:
    """Compare with others: into S3 that discards, S3 that stores, and onto the disk."""
    file = bench.folder / "incompressible.zip"
    write_zip(file, GIB, "random")
    with source(bench.folder, file) as port:
        url = f"http://127.0.0.1:{port}/{file.name}"
        with bench.discarding() as place:
            figures = bench.measure({**bench.ours(), **bench.contenders(), **bench.limits()}, url, place)
            yield from table("1 GiB, nothing compresses it, into an S3 server that discards it", figures)
        tls = certify(bench.folder)
        with source(bench.folder, file, tls=tls) as secure, bench.discarding(tls) as place:
            figures = bench.measure(bench.through_tls(), f"https://127.0.0.1:{secure}/{file.name}", place)
            yield from table("The same through TLS, in and out", figures)
        with bench.storing() as place:
            yield from table("The same into JuiceFS's S3 gateway", bench.measure(bench.contenders(), url, place))
        with bench.disk() as place:
            yield from table("The same onto the disk", bench.measure(bench.to_disk(), url, place))
    file.unlink()


def longer(bench: Bench) -> Iterator[str]:
    """Compare the quickest with a file of 4 GiB that nothing compresses, into S3 that discards."""
    file = bench.folder / "longer.zip"
    write_zip(file, 4 * GIB, "random")
    runs = {**bench.ours(), **bench.contenders(), **bench.limits()}
    with source(bench.folder, file) as port, bench.discarding() as place:
        quickest = {name: runs[name] for name in QUICKEST}
        figures = bench.measure(quickest, f"http://127.0.0.1:{port}/{file.name}", place)
        yield from table("4 GiB, nothing compresses it, into an S3 server that discards it", figures)
    file.unlink()


def costs(bench: Bench) -> Iterator[str]:
    """Tell what checking, encrypting and a digest cost, on 1 GiB that nothing compresses and of deflated JSON."""
    for content, words in (("random", "stored entries"), ("json", "deflated JSON")):
        file = bench.folder / f"{content}.zip"
        write_zip(file, GIB, content)
        ours = {
            OURS: bench.python("xbackup", sys.executable, check="structure"),
            "check='content'": bench.python("xbackup", sys.executable, check="content"),
            "check='structure', encrypted": bench.python(
                "xbackup", sys.executable, check="structure", encrypt_to=KEY
            ),
        }
        with source(bench.folder, file) as port, bench.discarding() as place:
            figures = bench.measure(ours, f"http://127.0.0.1:{port}/{file.name}", place)
            yield from table(f"What checking and encrypting costs: 1 GiB of {words}", figures)
        file.unlink()


def bots(bench: Bench) -> Iterator[str]:
    """Tell what zstd and encryption cost, on 1 GiB of a bot's JSON."""
    file = bench.folder / "bot.json"
    write_json(file, GIB)
    ours = {
        "as it is": bench.python("draft", sys.executable),
        "zstd": bench.python("draft", sys.executable, compress=True),
        "zstd, encrypted": bench.python("draft", sys.executable, compress=True, recipients=[KEY]),
    }
    with source(bench.folder, file) as port, bench.discarding() as place:
        figures = bench.measure(ours, f"http://127.0.0.1:{port}/{file.name}", place)
        yield from table("What zstd and encrypting cost: 1 GiB of a bot's JSON", figures)
    file.unlink()


def memory(bench: Bench) -> Iterator[str]:
    """Tell the peak of memory for files of several sizes, into S3 that discards them."""
    figures = {}
    for size in (1, 4, 20):
        file = bench.folder / f"holes-{size}.zip"
        write_zip(file, size * GIB, "holes")
        with source(bench.folder, file) as port, bench.discarding() as place:
            for name, options in (
                ("", {}),
                (", encrypted", {"encrypt_to": KEY}),
                (", and as much of attachments", {"attachments": True}),
            ):
                run = bench.python("xbackup", sys.executable, check="structure", **options)
                figures[f"{size} GiB{name}"] = run(f"http://127.0.0.1:{port}/{file.name}", place, 0)
        file.unlink()
    for entries in (2_000, 200_000):
        file = bench.folder / "many.zip"
        write_many(file, GIB, entries)
        with source(bench.folder, file) as port, bench.discarding() as place:
            run = bench.python("xbackup", sys.executable, check="content")
            name = f"1 GiB of {entries:,} files of JSON, check='content'"
            figures[name] = run(f"http://127.0.0.1:{port}/{file.name}", place, 0)
        file.unlink()
    yield from table("Memory by size", figures, relative=False)


def breaks(bench: Bench) -> Iterator[str]:
    """Tell what it costs when the connection breaks at 19 of 20 GiB."""
    file = bench.folder / "holes.zip"
    write_zip(file, 20 * GIB, "holes")
    yield "### 20 GiB, the connection broken at 19\n"
    yield "| | Wall s | CPU s | Peak MiB | GiB sent again |"
    yield "|---|---:|---:|---:|---:|"
    for name, options in (("plain", {}), ("encrypted", {"encrypt_to": KEY})):
        with (
            source(bench.folder, file) as port,
            CuttingLink(port, 19 * GIB).running() as link,
            bench.discarding() as place,
        ):
            run = bench.python("xbackup", sys.executable, check="structure", **options)
            one = run(f"http://127.0.0.1:{link.port}/{file.name}", place, 0)
            if not link.cut:
                raise SystemExit("The connection has not been broken.")
            again = (link.brought - file.stat().st_size) / GIB
        yield f"| {name} | {one.wall:.1f} | {one.cpu:.1f} | {one.peak:.0f} | {again:.3f} |"
    yield ""
    file.unlink()


def links(bench: Bench) -> Iterator[str]:
    """Tell what more connections bring where each of them is slow."""
    file = bench.folder / "incompressible.zip"
    write_zip(file, GIB // 2, "random")
    figures = {}
    for served, redirect, ranges in (
        ("a link to a storage", True, True),
        ("the service itself", False, True),
        ("a link, no ranges", True, False),
    ):
        with (
            source(bench.folder, file, redirect=redirect, ranges=ranges) as port,
            slow_link(port, 10e6, 0.08) as slow,
            bench.discarding() as place,
        ):
            for count in (1, 8) if ranges else (8,):
                run = bench.python("xbackup", sys.executable, check="structure", connections=count)
                name = f"{served}, {count} connection{'s' * (count > 1)}"
                figures[name] = run(f"http://127.0.0.1:{slow}/{file.name}", place, 0)
            if redirect and ranges:
                run = bench.python("xbackup", sys.executable, check="structure", attachments=True)
                name = f"{served}, 8 connections, and as much of attachments over 8 more"
                figures[name] = run(f"http://127.0.0.1:{slow}/{file.name}", place, 0)
    yield from table("512 MiB over connections of 10 MB/s and 80 ms each", figures, relative=False)
    file.unlink()


def table(title: str, figures: dict[str, Figures], *, relative: bool = True) -> Iterator[str]:
    """Write one table of medians."""
    base = next(iter(figures.values()))
    yield f"### {title}\n"
    yield f"| | Wall s |{' Wall, times ours |' * relative} CPU s | Peak MiB |"
    yield f"|---|---:|{'---:|' * relative}---:|---:|"
    for name, one in figures.items():
        ratio = f" {one.wall / base.wall:.2f} |" if relative else ""
        escaped = name.replace("|", "\\|")
        yield f"| {escaped} | {one.wall:.2f} |{ratio} {one.cpu:.2f} | {one.peak:.0f} |"
    yield ""


def _on_s3(port: int, tls: Certificate | None = None) -> Place:
    endpoint = {"AWS_ENDPOINT_URL": f"{'https' if tls else 'http'}://127.0.0.1:{port}"}
    return Place(f"s3://{BUCKET}", CREDENTIALS | endpoint | (tls.environment if tls else {}))


def others_of(args: argparse.Namespace) -> dict[str, Sequence[str | Path]]:
    """Return how the versions of the other contenders are asked for, where they take part."""
    if not {"stores", "longer"} & set(args.parts):
        return {}
    library = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
    libraries = ("boto3", "s3fs", "apache-airflow-providers-http")
    return {
        "rclone": [args.others / "rclone", "version"],
        "s5cmd": [args.others / "s5cmd", "version"],
        "awscli": ["aws", "--version"],
        "curl": ["curl", "--version"],
        "juicefs": [args.others / "juicefs", "--version"],
        **{name: [args.others / "python", "-c", library, name] for name in libraries},
    }


PARTS = {each.__name__: each for each in (stores, longer, costs, bots, memory, breaks, links)}


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS), metavar="NAME")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="how often; the median counts")
    parser.add_argument("--others", type=Path, default=Path(".venv-bench/bin"), help="programs of the others")
    parser.add_argument("--output", type=Path, help="a file for the tables")
    args = parser.parse_args()
    compile_package()
    lines = [circumstances("requests", "obstore", "pyrage", "zstandard", **others_of(args))]
    print(lines[0], flush=True)
    with tempfile.TemporaryDirectory(prefix="xbackup-benchmark-") as folder:
        bench = Bench(args.others.absolute(), Path(folder), args.runs)
        for name in args.parts:
            for line in PARTS[name](bench):
                print(line, flush=True)
                lines.append(line)
    if args.output:
        args.output.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
