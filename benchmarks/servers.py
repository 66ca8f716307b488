"""The servers of the benchmarks, on this machine: a fast source, S3 that discards, S3 that stores, a slow link."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing123",
    "AWS_DEFAULT_REGION": "us-east-1",
}
BUCKET = "benchmark"
_ENTRY = 16 << 20
_NGINX = """
worker_processes 2;
daemon off;
user root;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    sendfile on;
    sendfile_max_chunk 2m;
    tcp_nopush on;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    default_type application/octet-stream;
    server {{
        listen 127.0.0.1:{port}{tls};
        absolute_redirect off;
        # As much of Xray's API as a transfer asks for.
        location = /api/v2/authenticate {{ default_type application/json; return 200 '"benchmark"'; }}
        location = /api/v2/backup/file {{ {file} }}
        location = /api/v2/backup/file/attachment {{ {file} }}
        location / {{ root {folder}; {ranges} }}
    }}
}}
"""


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def running(*command: str | Path, port: int, environment: dict[str, str] | None = None) -> Iterator[None]:
    """Run a server as long as the block, from when it listens.

    :param command: the program and its arguments
    :param port: where it will listen
    :param environment: what its environment has beside ours
    """
    process = subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | (environment or {}),
    )
    try:
        while True:
            if process.poll() is not None:
                raise SystemExit(f"{command[0]} ended with {process.returncode}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


@dataclass(frozen=True)
class Certificate:
    """What servers of this machine show to who speaks TLS with them.

    :param authority: file with the certificate of who has signed it
    :param server: file with the certificate and its key
    """

    authority: Path
    server: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes everybody believe it: boto3, awscli and this package; Python's requests; curl; Go."""
        names = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
        return dict.fromkeys(names, str(self.authority))


def certify(folder: Path) -> Certificate:
    """Make a certificate for 127.0.0.1.

    :param folder: for its files
    """
    import trustme

    authority, made = trustme.CA(), Certificate(folder / "authority.pem", folder / "server.pem")
    authority.cert_pem.write_to_path(made.authority)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(made.server)
    return made


@contextlib.contextmanager
def source(
    folder: Path, file: Path, *, redirect: bool = False, ranges: bool = True, tls: Certificate | None = None
) -> Iterator[int]:
    """Serve a folder with nginx, and a file of it as Xray serves backups.

    :param folder: the folder
    :param file: the file
    :param redirect: whether Xray's answer is a link to the file
    :param ranges: whether parts of it can be had
    :param tls: for https
    :return: the port
    """
    port = free_port()
    listening = f" ssl; ssl_certificate {tls.server}; ssl_certificate_key {tls.server}" if tls else ""
    limits = "" if ranges else "max_ranges 0;"
    serve = f"return 302 /{file.name};" if redirect else f"alias {file}; {limits}"
    settings = folder / "nginx.conf"
    settings.write_text(_NGINX.format(folder=folder, port=port, tls=listening, file=serve, ranges=limits))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    with running(program, "-p", folder, "-c", settings, port=port):
        yield port


@contextlib.contextmanager
def discarding_s3(folder: Path, tls: Certificate | None = None) -> Iterator[int]:
    """Run an S3 server that throws away what it is sent; returns its port."""
    program, port = folder / "s3_sink", free_port()
    libraries = ("-lssl", "-lcrypto")
    subprocess.run(["cc", "-O2", "-pthread", "-o", program, HERE / "s3_sink.c", *libraries], check=True)
    with running(program, str(port), *([tls.server] if tls else ()), port=port):
        yield port


@contextlib.contextmanager
def storing_s3(folder: Path, programs: Path) -> Iterator[int]:
    """Run JuiceFS's gateway, a MinIO over files on this machine's disk; returns its port."""
    juicefs, port = programs / "juicefs", free_port()
    database, files = f"sqlite3://{folder}/juicefs.db", f"{folder}/juicefs/"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    make = [juicefs, "format", "--storage", "file", "--bucket", files, "--trash-days", "0", database, "benchmark"]
    subprocess.run(make, check=True, **quiet)
    environment = {
        "MINIO_ROOT_USER": CREDENTIALS["AWS_ACCESS_KEY_ID"],
        "MINIO_ROOT_PASSWORD": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    }
    serve = (juicefs, "gateway", "--multi-buckets", "--keep-etag", "--no-banner", "--cache-size", "0", database)
    with running(*serve, f"127.0.0.1:{port}", port=port, environment=environment):
        yield port


@contextlib.contextmanager
def slow_link(to: int, rate: float, latency: float) -> Iterator[int]:
    """Run the slow link to a port; returns its own."""
    port = free_port()
    program = (sys.executable, HERE / "slow_link.py", str(port), str(to))
    with running(*program, "--rate", str(rate), "--latency", str(latency), port=port):
        yield port


def write_zip(path: Path, size: int, content: str) -> None:
    """Write a zip of about a size.

    :param path: where
    :param size: bytes, about
    :param content: ``random``: stored entries that nothing compresses; ``json``: deflated entities;
        ``holes``: one stored entry of a sparse file, which takes no room on the disk
    """
    if content == "holes":
        return _write_holes(path, size)
    if content == "json":
        return _write_entities(path, size)
    with zipfile.ZipFile(path, "w") as file:
        number = 0
        while path.stat().st_size < size:
            file.writestr(f"blob_{number}.bin", os.urandom(min(_ENTRY, size)))
            file.fp.flush()  # type: ignore[union-attr]
            number += 1
    return None


def write_many(path: Path, size: int, entries: int) -> None:
    """Write a zip of many small entity files, stored.

    :param path: where
    :param size: bytes, about
    :param entries: how many files
    """
    noise = base64.b64encode(os.urandom(size // entries * 3 // 4)).decode()
    with zipfile.ZipFile(path, "w") as file:
        for number in range(entries):
            file.writestr(
                f"tests_10042_{number}.json", json.dumps({"tests": [{"id": str(number), "summary": noise}]})
            )


def write_json(path: Path, size: int) -> None:
    """Write the JSON of a bot, of about a size.

    :param path: where
    :param size: bytes, about
    """
    text = _entities()
    with path.open("wb") as file:
        file.write(b'{"flows": [')
        while file.tell() < size:
            file.write(text + b",")
        file.write(text + b"]}")


def _entities() -> bytes:
    chosen = random.Random(1)
    words = ["".join(chosen.choices("etaoinshrdlu", k=chosen.randrange(3, 11))) for _ in range(2000)]
    tests = [
        {
            "id": str(10_000 + number),
            "type": "Manual",
            "steps": [
                {"action": " ".join(chosen.choices(words, k=20)), "result": " ".join(chosen.choices(words, k=12))}
                for _ in range(5)
            ],
        }
        for number in range(5000)
    ]
    return json.dumps({"tests": tests}).encode()


def _write_entities(path: Path, size: int) -> None:
    """Entities that are deflated once, and stand in the zip under many names."""
    text = _entities()
    packed = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = packed.compress(text) + packed.flush()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(-(-size // len(deflated))):
            entry = zipfile.ZipInfo(f"tests_10042_{number}.json")
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.CRC, entry.compress_size, entry.file_size = zlib.crc32(text), len(deflated), len(text)
            entry.header_offset = file.start_dir
            file.fp.write(entry.FileHeader() + deflated)  # type: ignore[union-attr]
            file.start_dir = file.fp.tell()  # type: ignore[union-attr]
            file.filelist.append(entry)


def _write_holes(path: Path, size: int) -> None:
    """One stored entry of zeros, whose CRC is left out: only ``check="structure"`` takes it."""
    name = b"hole.bin"
    extra = struct.pack("<HHQQ", 1, 16, size, size)
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 45, 0, 0, 0, 0x21, 0, 0xFFFFFFFF, 0xFFFFFFFF, len(name), 20)
    central = struct.pack(
        "<IHHHHHHIIIHHHHHII",
        *(0x02014B50, 45, 45, 0, 0, 0, 0x21, 0, 0xFFFFFFFF, 0xFFFFFFFF),
        *(len(name), 20, 0, 0, 0, 0, 0),
    )
    start = len(local) + len(name) + len(extra) + size
    directory = central + name + extra
    end64 = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 1, 1, len(directory), start)
    locator = struct.pack("<IIQI", 0x07064B50, 0, start + len(directory), 1)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(directory), 0xFFFFFFFF, 0)
    with path.open("wb") as file:
        file.write(local + name + extra)
        file.truncate(start)
        file.seek(start)
        file.write(directory + end64 + locator + end)
