"""A vault on a disk that has not the room for one more backup says so beforehand."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_provider_xbackup.vault import Vault

AN_EXABYTE = 10**18


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault.open(tmp_path / "vault")


def store(vault: Vault, day: int, *, claimed_size: int | None = None) -> None:
    """Store a small backup; its manifest may claim that it is a large one."""
    at = datetime(2026, 11, day, tzinfo=UTC)
    with vault.draft("xray", "acme", f"{at:%Y%m%dT%H%M%SZ}-full-0000000{day}") as draft:
        draft.add("backup", [b"zip"], media_type="application/zip")
        backup = draft.commit(requested_at=at, producer={"package_version": "0"})
    if claimed_size is not None:
        path = Path(vault.url.prefix) / backup.path.manifest
        manifest = json.loads(path.read_text())
        manifest["artifacts"][0]["stored_size"] = claimed_size
        path.write_text(json.dumps(manifest))


def warnings(vault: Vault, caplog: pytest.LogCaptureFixture, account: str = "acme") -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        vault.warn_of_little_room("xray", account)
    return [record.getMessage() for record in caplog.records]


def test_a_disk_with_less_room_than_the_newest_backup_takes_is_warned_of(
    vault: Vault, caplog: pytest.LogCaptureFixture
):
    store(vault, 1)
    store(vault, 2, claimed_size=AN_EXABYTE)

    (warning,) = warnings(vault, caplog)

    assert str(vault.url) in warning
    assert "newest backup of xray/acme takes 1000000000000 MB" in warning


def test_an_older_backup_another_account_and_an_empty_vault_are_no_reason(
    vault: Vault, caplog: pytest.LogCaptureFixture
):
    vault.prepare()
    assert warnings(vault, caplog) == []
    store(vault, 1, claimed_size=AN_EXABYTE)
    store(vault, 2)

    assert warnings(vault, caplog) == []
    assert warnings(vault, caplog, "globex") == []


def test_a_vault_that_cannot_be_looked_through_is_no_reason_to_fail(
    vault: Vault, caplog: pytest.LogCaptureFixture
):
    assert warnings(vault, caplog) == []
