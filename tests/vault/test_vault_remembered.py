"""Commands that look at all backups ask for each object once, as long as a listing shows it unchanged."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from s3_gate import Gate

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.vault import Vault

IDS = ("20261101T000000Z-full-00000001", "20261102T000000Z-full-00000002")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it is kept."""
    monkeypatch.setenv("XBACKUP_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def vault(s3: Any, gate: Gate, take: Any, folder: Path) -> Vault:
    """Two backups in a bucket; all that is asked of it is seen."""
    vault = Vault.open(s3.url)
    for backup_id in IDS:
        take(vault, backup_id=backup_id)
    gate.seen.clear()
    return vault


@pytest.fixture
def listed(vault: Vault, capsys: pytest.CaptureFixture[str]) -> Any:
    """List as a person does; returns what is listed, by id."""

    def listed() -> dict[str, dict[str, Any]]:
        capsys.readouterr()
        main(["list", str(vault.url), "--json"])
        return {each["backup_id"]: each for each in json.loads(capsys.readouterr().out)}

    return listed


def read(gate: Gate) -> list[str]:
    """The objects that were read since somebody looked."""
    seen, gate.seen[:] = list(gate.seen), []
    return [line for line in seen if line.startswith("GET") and line.endswith(".json")]


def test_a_second_look_reads_nothing(vault: Vault, gate: Gate, listed: Any) -> None:
    main(["verify", str(vault.url), "--level", "presence"])
    gate.seen.clear()

    first = listed()
    assert len(read(gate)) == 4
    assert listed() == first
    assert read(gate) == []
    assert set(first) == set(IDS)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["status"], id="status"),
        pytest.param(["metrics"], id="metrics"),
        pytest.param(["retention", "plan"], id="retention plan"),
    ],
)
def test_every_command_that_looks_at_all_backups_remembers(
    vault: Vault, gate: Gate, listed: Any, words: list[str]
) -> None:
    listed()
    read(gate)

    main([*words, str(vault.url), *(["--keep-last", "1"] if "plan" in words else [])])

    assert read(gate) == []


def test_what_changed_is_read_again(vault: Vault, gate: Gate, listed: Any) -> None:
    listed()
    read(gate)
    vault.store.put(f"xray/acme/{IDS[0]}/manifest.json", b"{}")

    assert set(listed()) == {IDS[1]}
    assert [IDS[0] in line for line in read(gate)] == [True]


def test_what_went_is_not_listed(vault: Vault, listed: Any) -> None:
    listed()
    vault.store.delete(f"xray/acme/{IDS[0]}/manifest.json")

    assert set(listed()) == {IDS[1]}


def test_what_deletes_or_vouches_reads_everything_anew(vault: Vault, gate: Gate, listed: Any) -> None:
    listed()
    read(gate)

    main(["verify", str(vault.url), "--level", "presence"])
    assert len(read(gate)) >= 2
    main(["retention", "apply", str(vault.url), "--keep-last", "1"])
    assert len(read(gate)) >= 2


def test_nobody_else_may_read_it(vault: Vault, folder: Path, listed: Any) -> None:
    listed()

    assert folder.stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o077 for file in folder.iterdir()] == [0] * len(list(folder.iterdir()))


def test_bytes_that_are_not_those_that_were_kept_are_not_believed(
    vault: Vault, gate: Gate, folder: Path, listed: Any
) -> None:
    first = listed()
    read(gate)
    with sqlite3.connect(folder / "objects.sqlite") as database:
        database.execute("UPDATE objects SET data = X'7b7d'")
    database.close()

    assert listed() == first
    assert len(read(gate)) == 2


def test_what_was_kept_a_month_ago_is_forgotten(vault: Vault, gate: Gate, folder: Path, listed: Any) -> None:
    listed()
    read(gate)
    with sqlite3.connect(folder / "objects.sqlite") as database:
        database.execute("UPDATE objects SET at = at - 31 * 86400")
    database.close()

    listed()
    assert len(read(gate)) == 2


def _a_file(folder: Path) -> None:
    folder.write_text("in the way")


def _no_database(folder: Path) -> None:
    folder.mkdir()
    (folder / "objects.sqlite").write_bytes(b"no database" * 1000)


def _another_table(folder: Path) -> None:
    folder.mkdir()
    with sqlite3.connect(folder / "objects.sqlite") as database:
        database.execute("CREATE TABLE objects (other, columns)")
    database.close()


@pytest.mark.parametrize("spoil", [_a_file, _no_database, _another_table])
def test_without_a_place_that_can_be_used_everything_is_read(
    vault: Vault, gate: Gate, folder: Path, listed: Any, spoil: Any
) -> None:
    spoil(folder)

    assert set(listed()) == set(listed()) == set(IDS)
    assert len(read(gate)) == 4


def test_it_can_be_turned_off(
    vault: Vault, gate: Gate, folder: Path, listed: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XBACKUP_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))

    assert set(listed()) == set(listed()) == set(IDS)
    assert len(read(gate)) == 4
    assert not folder.exists()
    assert not (tmp_path / "caches").exists()


def test_its_place_is_that_of_other_caches(
    vault: Vault, gate: Gate, listed: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XBACKUP_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))

    listed()

    assert (tmp_path / "caches" / "xbackup" / "objects.sqlite").exists()


def test_a_vault_on_disk_is_not_remembered(local: Vault, take: Any, folder: Path) -> None:
    take(local)

    assert main(["list", str(local.url), "--json"]) == 0
    assert not folder.exists()


def test_vaults_are_not_mistaken_for_one_another(
    vault: Vault, gate: Gate, listed: Any, take: Any, s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Vault.open(f"s3://{s3.bucket}/other")
    take(other, backup_id=IDS[0], requested_at=vault.backups().latest().instant)
    listed()

    main(["list", str(other.url), "--json"])
    (theirs,) = json.loads(capsys.readouterr().out)
    assert theirs["backup_id"] == IDS[0]
    assert theirs["url"].startswith(str(other.url))
