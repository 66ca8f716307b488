"""Real stores for the vault's tests: a folder, and moto's S3 over HTTP."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from s3_gate import Gate, QuietHandler, gate_before, served

from airflow_provider_xbackup.vault import Backup, Vault
from airflow_provider_xbackup.vault.checks import Check
from airflow_provider_xbackup.vault.draft import Draft
from airflow_provider_xbackup.vault.layout import new_nonce

BACKUP_ID = "20261123T014500Z-full-1a2b3c4d"
REQUESTED_AT = datetime(2026, 11, 23, 1, 45, tzinfo=UTC)


@dataclass
class S3:
    """A bucket on an emulator."""

    endpoint: str
    client: Any
    bucket: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/some prefix/ü"

    def keys(self) -> list[str]:
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])]

    def uploads(self) -> list[Any]:
        return self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))


_numbers = itertools.count()


@pytest.fixture
def s3(s3_server: str, aws_environment: None, monkeypatch: pytest.MonkeyPatch) -> S3:
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    client = boto3.client("s3")
    bucket = f"bucket-{next(_numbers)}"
    client.create_bucket(Bucket=bucket)
    return S3(s3_server, client, bucket)


@pytest.fixture(params=["file", "s3"])
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Vault:
    """The same vault, on disk and on S3."""
    if request.param == "file":
        return Vault.open(tmp_path / "my backups")
    return Vault.open(request.getfixturevalue("s3").url)


@pytest.fixture
def local(tmp_path: Path) -> Vault:
    return Vault.open(tmp_path / "vault")


@dataclass
class Answers:
    """A store that gives the same answer to every request, over real HTTP."""

    status: int = 200
    body: bytes = b""
    seen: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def answers() -> Iterator[Answers]:
    told = Answers()

    class Handler(QuietHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            told.seen.append(f"{self.command} {self.path}")
            self.send_response(told.status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(told.body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815

    with served(Handler) as told.url:
        yield told


@pytest.fixture
def gate(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Everything goes through a gate before the bucket's server."""
    with gate_before(s3.endpoint) as gate:
        monkeypatch.setenv("AWS_ENDPOINT_URL", gate.url)
        yield gate


@pytest.fixture
def commit() -> Callable[..., Any]:
    """Commit a draft with the least there is to say."""

    def commit(draft: Draft, **fields: Any) -> Any:
        fields = {"requested_at": REQUESTED_AT, "producer": {"package_version": "0.1.0"}, **fields}
        return draft.commit(**fields)

    return commit


@pytest.fixture
def take(commit: Callable[..., Any]) -> Callable[..., Any]:
    """Store a small backup."""

    def take(vault: Vault, account: str = "acme", backup_id: str = BACKUP_ID, **fields: Any) -> Any:
        service = fields.pop("service", "xray")
        draft = vault.draft(service, account, backup_id)
        draft.add("bot" if service == "xenioo" else "backup", [b"some", b"thing"], media_type="application/zip")
        return commit(draft, **fields)

    return take


@pytest.fixture
def put_check() -> Callable[..., str]:
    """Lay a check record beside a backup as it is, as any program may that knows the format."""

    def put_check(vault: Vault, backup: Backup, check: Check) -> str:
        path: str = backup.path.check(check.at, new_nonce())
        vault.store.create(path, check.to_json())
        return path

    return put_check
