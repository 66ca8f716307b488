"""Commands that look at all backups ask for each object once, as long as a listing shows it unchanged."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from s3_gate import Gate

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.errors import ScratchError
from airflow_provider_xbackup.scratch import Scratch
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.remembered import Remembered
from airflow_provider_xbackup.vault.stored import StoredObject

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


def kept_in(folder: Path) -> list[Path]:
    """The objects that are kept."""
    return sorted(folder.glob("??/*")) if folder.is_dir() and not folder.is_symlink() else []


def _age(file: Path, days: int) -> None:
    at = file.stat().st_mtime - days * 86_400
    os.utime(file, (at, at))


def test_a_second_look_reads_nothing(vault: Vault, gate: Gate, listed: Any) -> None:
    main(["verify", str(vault.url), "--level", "presence"])
    gate.seen.clear()

    first = listed()
    assert len(read(gate)) == 4
    assert listed() == first
    assert read(gate) == []
    assert set(first) == set(IDS)


def test_a_plan_of_retention_reads_nothing_again(vault: Vault, gate: Gate, listed: Any) -> None:
    listed()
    read(gate)

    assert main(["retention", "plan", str(vault.url), "--keep-last", "1"]) == 0

    assert read(gate) == []


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["status"], id="status"),
        pytest.param(["metrics"], id="metrics"),
        pytest.param(["verify", "--level", "presence"], id="verify"),
        pytest.param(["retention", "apply", "--keep-last", "1"], id="retention apply"),
    ],
)
def test_what_vouches_or_deletes_reads_everything_anew(
    vault: Vault, gate: Gate, listed: Any, words: list[str]
) -> None:
    listed()
    read(gate)

    at = 2 if words[0] == "retention" else 1
    main([*words[:at], str(vault.url), *words[at:]])

    assert len(read(gate)) >= 2


def test_what_changed_is_read_again(vault: Vault, gate: Gate, listed: Any) -> None:
    listed()
    read(gate)
    manifest = f"xray/acme/{IDS[0]}/manifest.json"
    changed = vault.store.read(manifest).replace(b'"package_version":"0.1.0"', b'"package_version":"0.1.1"')
    changed = changed.replace(b'"package_version": "0.1.0"', b'"package_version": "0.1.1"')
    vault.store.put(manifest, changed)
    gate.seen.clear()

    assert set(listed()) == set(IDS)
    assert [IDS[0] in line for line in read(gate)] == [True]


def test_what_changes_between_the_listing_and_the_reading_is_not_kept(
    vault: Vault, gate: Gate, listed: Any, folder: Path
) -> None:
    vault.store.delete(f"xray/acme/{IDS[1]}/manifest.json")
    manifest = f"xray/acme/{IDS[0]}/manifest.json"
    changed = vault.store.read(manifest) + b" "

    def change(method: str, query: str) -> bool:
        if method == "GET" and not query:  # an object is about to be read
            gate.refused = lambda method, query: False
            Vault.open(vault.url).store.put(manifest, changed)
        return False

    gate.refused = change

    assert set(listed()) == {IDS[0]}
    assert kept_in(folder) == []


def test_what_went_is_not_listed(vault: Vault, listed: Any) -> None:
    listed()
    vault.store.delete(f"xray/acme/{IDS[0]}/manifest.json")

    assert set(listed()) == {IDS[1]}


def test_nobody_else_may_read_it(vault: Vault, folder: Path, listed: Any) -> None:
    listed()

    assert len(kept_in(folder)) == 2
    assert {path.stat().st_mode & 0o077 for path in (folder, *folder.rglob("*"))} == {0}


def test_bytes_that_are_not_those_that_were_kept_are_not_believed(
    vault: Vault, gate: Gate, folder: Path, listed: Any
) -> None:
    first = listed()
    read(gate)
    one, other = kept_in(folder)
    one.write_bytes(one.read_bytes()[:-1])
    other.write_bytes(b"")

    assert listed() == first
    assert len(read(gate)) == 2


def test_what_was_kept_of_one_object_is_not_another(vault: Vault, gate: Gate, folder: Path, listed: Any) -> None:
    first = listed()
    read(gate)
    one, other = kept_in(folder)
    one.write_bytes(other.read_bytes())

    assert listed() == first
    assert len(read(gate)) == 1


def test_what_was_kept_a_month_ago_is_read_again(vault: Vault, gate: Gate, folder: Path, listed: Any) -> None:
    listed()
    read(gate)
    for file in kept_in(folder):
        _age(file, days=31)

    listed()
    assert len(read(gate)) == 2


def test_what_nobody_asked_for_in_a_month_is_removed(vault: Vault, folder: Path, listed: Any) -> None:
    listed()
    vault.store.delete(f"xray/acme/{IDS[0]}/manifest.json")
    for file in (*kept_in(folder), folder / "swept"):
        _age(file, days=31)

    listed()
    assert len(kept_in(folder)) == 1


@pytest.mark.parametrize("etag", ["", None, 'W/"weak"'])
def test_an_etag_that_tells_too_little_is_not_believed(folder: Path, etag: str | None) -> None:
    remembered = Remembered(folder, "vault")
    remembered.show(StoredObject("a/manifest.json", 2, etag))
    remembered.keep("a/manifest.json", etag, b"{}")

    assert remembered.recall("a/manifest.json") is None


def _a_file(folder: Path) -> None:
    folder.write_text("in the way")


def _open_to_others(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)


def _a_link(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(folder.parent / "elsewhere")


def _files_where_folders_are_made(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    for number in range(256):
        (folder / f"{number:02x}").write_text("in the way")


@pytest.mark.parametrize("spoil", [_a_file, _open_to_others, _a_link, _files_where_folders_are_made])
def test_without_a_place_that_can_be_used_everything_is_read(
    vault: Vault, gate: Gate, folder: Path, listed: Any, spoil: Any
) -> None:
    spoil(folder)

    assert set(listed()) == set(listed()) == set(IDS)
    assert len(read(gate)) == 4
    assert kept_in(folder) == []


def test_without_room_to_note_what_was_listed_everything_is_read(
    vault: Vault, gate: Gate, listed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine whose temporary folder is full."""
    listed()
    write, written = Scratch.write, []

    def full(scratch: Scratch, statement: str, rows: Any) -> None:
        if "INTO keys" in statement:
            written.append(statement)
            raise ScratchError("no room")
        write(scratch, statement, rows)

    monkeypatch.setattr(Scratch, "write", full)
    read(gate)

    assert set(listed()) == set(IDS)
    assert len(read(gate)) == len(IDS)
    assert len(written) == 1


def test_a_user_without_a_home_keeps_nothing(
    vault: Vault, listed: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("XBACKUP_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as it does where nobody knows the user
    monkeypatch.chdir(tmp_path)

    assert set(listed()) == set(IDS)
    assert not (tmp_path / "~").exists()
    assert not (tmp_path / ".cache").exists()


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

    assert len(kept_in(tmp_path / "caches" / "xbackup")) == 2


def test_a_vault_on_disk_is_not_remembered(local: Vault, take: Any, folder: Path) -> None:
    take(local)

    assert main(["list", str(local.url), "--json"]) == 0
    assert not folder.exists()


def test_vaults_are_not_mistaken_for_one_another(folder: Path) -> None:
    found = StoredObject("a/manifest.json", 2, '"etag"')
    one, other = Remembered(folder, "one"), Remembered(folder, "other")
    for remembered in (one, other):
        remembered.show(found)
    one.keep(found.path, "etag", b"{}")

    assert one.recall(found.path) == b"{}"
    assert other.recall(found.path) is None
