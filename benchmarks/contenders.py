"""One transfer in a process of its own, measured in it: this package's, or one of those it is compared with.

    python benchmarks/contenders.py xbackup URL TARGET '{"check": "structure"}'

Prints wall clock, CPU and by how much memory peaked above the loaded libraries, as JSON. What only starts up is
not measured: an Airflow worker has loaded its libraries before, too.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_MIB = 1 << 20


def measure(transfer: Callable[[], object]) -> dict[str, float]:
    """Do a transfer whose libraries are loaded.

    :param transfer: does it
    :return: ``wall`` and ``cpu`` in seconds, ``peak`` in MiB
    """
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    before = _memory("VmRSS")
    cpu, wall = _cpu(), time.perf_counter()
    transfer()
    return {
        "wall": time.perf_counter() - wall,
        "cpu": _cpu() - cpu,
        "peak": (_memory("VmHWM") - before) / _MIB,
    }


def xbackup(url: str, target: str, options: dict[str, Any]) -> Callable[[], object]:
    """The operator of this package, from a finished job to the backup in the vault."""
    from datetime import UTC, datetime, timedelta
    from types import SimpleNamespace
    from uuid import uuid4

    import boto3  # noqa: F401 - loaded before the measurement
    import obstore.store  # noqa: F401
    import pyrage  # noqa: F401
    import requests
    import zstandard  # noqa: F401
    from airflow.providers.amazon.aws.assets import s3  # noqa: F401 - Airflow loads it for any asset
    from airflow.sdk.execution_time import supervisor  # noqa: F401
    from airflow.sdk.execution_time.context import OutletEventAccessors

    from airflow_provider_xbackup.transfer import xray  # noqa: F401
    from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator
    from airflow_provider_xbackup.vault import connect  # noqa: F401

    parts = urlsplit(url)
    os.environ["AIRFLOW_CONN_BENCHMARK"] = json.dumps(
        {"conn_type": "xray", "host": f"{parts.scheme}://{parts.netloc}", "login": "id", "password": "secret"}
    )
    os.environ["AIRFLOW__XBACKUP__DOWNLOAD_CONNECTIONS"] = str(options.pop("connections", 8))
    unsigned = {"payload_signing_enabled": False, "checksum_algorithm": "CRC64NVME"}
    how = {} if options.pop("signed", True) else {"service_config": {"s3": unsigned}}
    if not options.pop("named", True):
        how["endpoint_url"] = None  # the environment names the store, and boto3's client has to be asked
    if target.startswith("s3://"):
        target = target.replace("s3://", "s3://sink@")
        os.environ["AIRFLOW_CONN_SINK"] = _aws_connection(**how)
    written = requests.head(url, timeout=10).headers["last-modified"]
    at = datetime.strptime(written, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    job = {
        "job_id": uuid4().hex,
        "requested_at": (at - timedelta(minutes=1)).isoformat(),
        "finished_at": at.isoformat(),
        "kind": "full",
        "base": None,
        "project_ids": None,
        "modified_since": None,
        "with_attachments": options.pop("attachments", False),
    }
    task = XrayToObjectStorageOperator(
        task_id="store", job=job, vault=target, accept_identical=True, xray_conn_id="benchmark", **options
    )
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="store", map_index=-1, try_number=1)
    return lambda: task.execute({"ti": ti, "outlet_events": OutletEventAccessors()})


def draft(url: str, target: str, options: dict[str, Any]) -> Callable[[], object]:
    """A bot's JSON on its way into the vault, once it is here."""
    import obstore.store  # noqa: F401 - loaded before the measurement
    import pyrage  # noqa: F401
    import requests
    import zstandard  # noqa: F401

    from airflow_provider_xbackup.vault import Vault, connect  # noqa: F401

    def transfer() -> None:
        with (
            requests.get(url, stream=True, timeout=60) as answer,
            Vault.open(target).draft("xenioo", "bot", "20260101T000000Z-full-00000001") as attempt,
        ):
            attempt.add("bot", answer.iter_content(_MIB), media_type="application/json", **options)

    return transfer


def upload_fileobj(url: str, target: str, _: dict[str, Any]) -> Callable[[], object]:
    """What people write by themselves first: requests and boto3."""
    import boto3
    import requests

    place = urlsplit(target)

    def transfer() -> None:
        client = boto3.client("s3")
        with requests.get(url, stream=True, timeout=60) as answer:
            client.upload_fileobj(answer.raw, place.netloc, place.path.lstrip("/"))

    return transfer


def storage_path(url: str, target: str, _: dict[str, Any]) -> Callable[[], object]:
    """Airflow's ObjectStoragePath, which opens S3 with s3fs."""
    import requests
    import s3fs  # noqa: F401 - loaded before the measurement
    from airflow.sdk import ObjectStoragePath

    path = ObjectStoragePath(target)

    def transfer() -> None:
        with requests.get(url, stream=True, timeout=60) as answer, path.open("wb") as file:
            for block in answer.iter_content(_MIB):
                file.write(block)

    return transfer


def http_to_s3(url: str, target: str, _: dict[str, Any]) -> Callable[[], object]:
    """Airflow's own operator for this."""
    import boto3  # noqa: F401 - loaded before the measurement
    from airflow.providers.amazon.aws.transfers.http_to_s3 import HttpToS3Operator

    parts, place = urlsplit(url), urlsplit(target)
    os.environ["AIRFLOW_CONN_SOURCE"] = json.dumps(
        {"conn_type": "http", "host": f"{parts.scheme}://{parts.netloc}"}
    )
    os.environ["AIRFLOW_CONN_SINK"] = _aws_connection()
    task = HttpToS3Operator(
        task_id="store",
        http_conn_id="source",
        endpoint=parts.path,
        method="GET",
        s3_bucket=place.netloc,
        s3_key=place.path.lstrip("/"),
        replace=True,
        aws_conn_id="sink",
    )
    return lambda: task.execute({})


def bare(url: str, target: str, _: dict[str, Any]) -> Callable[[], object]:
    """The least that a transfer with a digest can be: receive, hash, send, into a server that takes anything."""
    import hashlib
    import socket

    source, place = urlsplit(url), urlsplit(target)
    sink = urlsplit(os.environ["AWS_ENDPOINT_URL"])

    def transfer() -> None:
        digest, block = hashlib.sha256(), memoryview(bytearray(_MIB))
        with (
            socket.create_connection((source.hostname, source.port)) as server,
            socket.create_connection((sink.hostname, sink.port)) as store,
        ):
            server.sendall(f"GET {source.path} HTTP/1.1\r\nHost: {source.netloc}\r\n\r\n".encode())
            head, _, body = _head(server).partition(b"\r\n\r\n")
            length = left = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            key = f"/{place.netloc}{place.path}"
            store.sendall(f"PUT {key} HTTP/1.1\r\nHost: b\r\nContent-Length: {length}\r\n\r\n".encode())
            while left:
                size = len(body) or server.recv_into(block, min(left, _MIB), socket.MSG_WAITALL)
                if not size:
                    raise SystemExit("The source has ended too soon.")
                piece, body = body or block[:size], b""
                digest.update(piece)
                store.sendall(piece)
                left -= size
            if not _head(store).startswith(b"HTTP/1.1 200"):
                raise SystemExit("The server has not taken it.")

    return transfer


def _head(connection: Any) -> bytes:
    """Receive until a head is whole; the first bytes of the body may be behind it."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(4096)
    return received


def _aws_connection(**extra: Any) -> str:
    """Describe the store in the environment as a connection of Airflow."""
    where = {"endpoint_url": os.environ["AWS_ENDPOINT_URL"], "region_name": "us-east-1"}
    return json.dumps(
        {
            "conn_type": "aws",
            "login": os.environ["AWS_ACCESS_KEY_ID"],
            "password": os.environ["AWS_SECRET_ACCESS_KEY"],
            "extra": json.dumps(where | extra),
        }
    )


def _memory(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


CONTENDERS = {each.__name__: each for each in (xbackup, draft, upload_fileobj, storage_path, http_to_s3, bare)}

if __name__ == "__main__":
    name, source, sink, *more = sys.argv[1:]
    print(json.dumps(measure(CONTENDERS[name](source, sink, json.loads(more[0]) if more else {}))))
