"""The objects of very many backups, as a vault holds them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

ACCOUNTS = [("xray", f"tenant-{number}") for number in range(10)] + [
    ("xenioo", f"bot-{number}") for number in range(10)
]

_FILE = b"{}"


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
                "size": len(_FILE),
                "sha256": digest,
                "stored_size": len(_FILE),
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
        "bytes": len(_FILE),
        "producer": producer,
    }
    folder = f"{service}/{account}/{backup_id}"
    return {
        f"{folder}/{name}": _FILE,
        f"{folder}/manifest.json": json.dumps(manifest, indent=2).encode(),
        f"{folder}/checks/{at:%Y%m%dT%H%M%SZ}-{digits}.json": json.dumps(check, indent=2).encode(),
    }
