"""``xbackup show --chain``: what is needed to get back to a backup."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.catalog import Backup

FULL, PARTIAL = "20261121T014500Z-full-1a2b3c4d", "20261122T014500Z-partial-1a2b3c4d"


def take(vault: Vault, backup_id: str, recipients: tuple[str, ...] = (), **fields: Any) -> Backup:
    draft = vault.draft("xray", "acme", backup_id)
    draft.add("backup", [b"x" * 1500], media_type="application/zip", recipients=recipients)
    instant = datetime(2026, 11, int(backup_id[6:8]), 1, 45, tzinfo=UTC)
    return draft.commit(requested_at=instant, producer={"package_version": "1"}, **fields)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault.open(tmp_path / "vault")


@pytest.fixture
def chain(vault: Vault) -> list[Backup]:
    """A full, and a partial that builds on it."""
    return [take(vault, FULL), take(vault, PARTIAL, base=FULL)]


def show(capsys: pytest.CaptureFixture[str], vault: Vault, backup_id: str, code: int = 0) -> dict[str, Any]:
    assert main(["show", str(vault.url), backup_id, "--chain", "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_a_partial_needs_its_base_first(vault: Vault, chain: list[Backup], capsys: pytest.CaptureFixture[str]):
    told = show(capsys, vault, PARTIAL)

    assert [(each["backup_id"], each["kind"], each["state"], each["verified"]) for each in told["backups"]] == [
        (FULL, "full", "ok", False),
        (PARTIAL, "partial", "ok", False),
    ]
    assert [each["files"][0]["name"] for each in told["backups"]] == [
        backup.manifest.artifacts[0].name for backup in chain
    ]


def test_a_full_needs_itself(vault: Vault, chain: list[Backup], capsys: pytest.CaptureFixture[str]):
    assert [each["backup_id"] for each in show(capsys, vault, FULL)["backups"]] == [FULL]


def test_the_command_it_tells_gets_the_files(
    vault: Vault, chain: list[Backup], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    program, *words = shlex.split(show(capsys, vault, PARTIAL)["fetch"])

    assert program == "xbackup"
    assert main([str(tmp_path / "back") if word == "DIR" else word for word in words]) == 0
    assert {path.name for path in (tmp_path / "back").iterdir()} >= {FULL, PARTIAL}


def test_the_command_names_a_file_of_keys_where_a_part_of_the_chain_is_encrypted(
    vault: Vault, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    identity = pyrage.x25519.Identity.generate()
    take(vault, FULL, (str(identity.to_public()),))
    take(vault, PARTIAL, base=FULL)
    (tmp_path / "keys").write_text(str(identity))

    _, *words = shlex.split(show(capsys, vault, PARTIAL)["fetch"])

    meant = {"DIR": str(tmp_path / "back"), "FILE": str(tmp_path / "keys")}
    assert main([meant.get(word, word) for word in words]) == 0
    assert (tmp_path / "back" / FULL / "backup.zip").read_bytes() == b"x" * 1500


def test_people_get_a_table_with_every_file(vault: Vault, chain: list[Backup], capsys: pytest.CaptureFixture[str]):
    assert main(["show", str(vault.url), PARTIAL, "--chain"]) == 0

    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "backup." in line]
    assert rows == [[one.backup_id, "ok", "no", one.manifest.artifacts[0].name, "1.5", "KB"] for one in chain]


def test_a_base_that_has_expired_is_a_finding(
    vault: Vault, chain: list[Backup], capsys: pytest.CaptureFixture[str]
):
    vault.store.create(chain[0].path.tombstone, b"{}")

    assert main(["show", str(vault.url), PARTIAL, "--chain"]) == 1
    assert f"{FULL} is expired." in capsys.readouterr().err


def test_a_base_that_is_gone_is_told(vault: Vault, chain: list[Backup], capsys: pytest.CaptureFixture[str]):
    vault.store.delete(chain[0].path.manifest)

    assert main(["show", str(vault.url), PARTIAL, "--chain"]) == 1
    assert "Without it the partial one holds changes only." in capsys.readouterr().err
