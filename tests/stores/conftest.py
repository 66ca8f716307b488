"""Every store under test, started once and reached through a connection of Airflow."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kinds import CONN_ID, STARTS, Disk, Kind, stores
from servers.authority import Authority
from servers.proxy import Proxy, proxy

from airflow_provider_xbackup.hooks.vault import VaultHook
from airflow_provider_xbackup.vault import Vault, connect
from airflow_provider_xbackup.vault.catalog import Backup
from airflow_provider_xbackup.vault.locks import Lock

BACKUP_ID = "20261123T014500Z-full-1a2b3c4d"
REQUESTED_AT = datetime(2026, 11, 23, 1, 45, tzinfo=UTC)


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Callable[[str], Kind]]:
    """Starts a store by its name, the first time."""
    with contextlib.ExitStack() as stack:
        running: dict[str, Kind] = {}

        def start(name: str) -> Kind:
            if name not in running:
                folder = tmp_path_factory.mktemp(name)
                running[name] = (
                    Disk(folder) if name == "disk" else stack.enter_context(STARTS[name](folder, authority))
                )
            return running[name]

        yield start


@pytest.fixture(params=stores())
def kind(
    request: pytest.FixtureRequest, started: Callable[[str], Kind], outcome_fact: Callable[[str, str], None]
) -> Kind:
    """The store under test."""
    import obstore

    kind = started(request.param)
    for name, version in {**kind.facts, "obstore": obstore.__version__}.items():
        outcome_fact(name, version)
    return kind


@pytest.fixture
def need(kind: Kind) -> Callable[..., None]:
    """Skip the test where the store does not have what it is about."""

    def need(*traits: str) -> None:
        for trait in traits:
            if trait in kind.lacks:
                pytest.skip(kind.lacks[trait])

    return need


@pytest.fixture
def bucket(kind: Kind) -> str:
    """A bucket that nobody has used."""
    return kind.new_bucket()


@pytest.fixture
def define(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Defines the connection of the vault's URL."""

    def define(conn_id: str = CONN_ID, **fields: Any) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))

    return define


@pytest.fixture
def open_vault(kind: Kind, define: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Vault]:
    """Opens a vault in a bucket, through an Airflow connection."""

    def open_vault(bucket: str, address: str = "") -> Vault:
        connection = kind.connection(address)
        if connection is not None:
            define(**connection)
        for name, value in kind.environment(address).items():
            monkeypatch.setenv(name, value)
        return VaultHook(kind.url(bucket)).vault

    return open_vault


@pytest.fixture
def vault(open_vault: Callable[..., Vault], bucket: str) -> Vault:
    """A vault in a new bucket of the store under test."""
    return open_vault(bucket)


@pytest.fixture
def between(kind: Kind, need: Callable[..., None]) -> Iterator[Proxy]:
    """A proxy in front of the store under test, without rules yet. A fault that met nothing proves nothing."""
    need("network")
    root = kind.address.split("/")[2]
    with proxy(int(root.rpartition(":")[2])) as running:
        yield running
    assert running.unspent == []


@pytest.fixture
def beyond(between: Proxy, open_vault: Callable[..., Vault], bucket: str) -> Vault:
    """A vault behind that proxy."""
    return open_vault(bucket, between.address)


@pytest.fixture
def short_of_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what waits for stores give up after a second or two."""
    for name in ("WORKING", "PROBING"):
        monkeypatch.setattr(connect, name, connect.Patience(connect=1, request=1, retries=1, total=2))


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let failed requests be repeated as often as in earnest, but at once."""
    import datetime

    real = connect.Patience.retry_config

    def retry_config(self: connect.Patience) -> dict[str, Any]:
        brief = datetime.timedelta(milliseconds=10)
        return {**real(self), "backoff": {"init_backoff": brief, "max_backoff": 2 * brief, "base": 2}}

    monkeypatch.setattr(connect.Patience, "retry_config", retry_config)


@pytest.fixture
def scratch(tmp_path: Path) -> Vault:
    """Another vault, on disk."""
    return Vault.open(tmp_path / "another vault")


@pytest.fixture
def store_backup() -> Callable[..., Backup]:
    """Stores a backup of a few bytes."""

    def store_backup(
        vault: Vault,
        backup_id: str = BACKUP_ID,
        *,
        account: str = "acme",
        blocks: Sequence[bytes] = (b"some" * 1000, b"thing"),
        lock: Lock | None = None,
        **fields: Any,
    ) -> Backup:
        with vault.draft("xray", account, backup_id, lock=lock) as draft:
            draft.add("backup", blocks, media_type="application/zip")
            return draft.commit(**{"requested_at": REQUESTED_AT, "producer": {"package_version": "0"}, **fields})

    return store_backup
