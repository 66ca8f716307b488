"""``xbackup verify``."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.vault import Vault

IDS = ["20261101T000000Z-full-00000001", "20261102T000000Z-full-00000002"]
IDENTITY = pyrage.x25519.Identity.generate()


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault.open(tmp_path / "my vault")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XBACKUP_AGE_IDENTITY", raising=False)
    monkeypatch.delenv("XBACKUP_AGE_IDENTITY_FILE", raising=False)


def take(
    vault: Vault, backup_id: str = IDS[0], account: str = "acme", encrypt: bool = False, **fields: Any
) -> Any:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("tests_1_0.json", b'{"tests": [{"id": "1"}, {"id": "2"}]}')
    draft = vault.draft("xray", account, backup_id)
    recipients = (str(IDENTITY.to_public()),) if encrypt else ()
    draft.add("backup", [target.getvalue()], media_type="application/zip", recipients=recipients)
    return draft.commit(
        requested_at=datetime(2026, 11, 1, tzinfo=UTC), producer={"package_version": "1"}, **fields
    )


def damage(vault: Vault, backup: Any) -> None:
    path = backup.path.file(backup.manifest.artifacts[0].name)
    data = vault.store.read(path)
    vault.store.put(path, data[:50] + bytes([data[50] ^ 1]) + data[51:])


def test_what_is_whole_passes_line_by_line(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    for backup_id in IDS:
        take(vault, backup_id)
    assert main(["verify", str(vault.url)]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == f"passed  {IDS[1]}  digest         xray/acme"
    assert "2 backups verified, 0 failed, " in out
    assert err == ""


def test_damage_is_told_on_stderr_and_by_the_exit_code(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    damage(vault, take(vault, IDS[0]))
    take(vault, IDS[1])
    assert main(["verify", str(vault.url)]) == 1
    out, err = capsys.readouterr()
    assert f"FAILED  {IDS[0]}" in out
    assert f"passed  {IDS[1]}" in out
    assert err.startswith(f"xbackup: stored-digest: {IDS[0]}: backup.")


def test_damage_is_told_until_somebody_has_looked_as_deep_again(
    vault: Vault, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(vault, take(vault))
    assert main(["verify", str(vault.url)]) == 1
    capsys.readouterr()

    assert main(["verify", str(vault.url), "--level", "presence"]) == 1
    out, err = capsys.readouterr()
    assert f"FAILED  {IDS[0]}  presence" in out
    assert "stored-digest" in err
    assert "(Found on 20" in err


def test_json_is_the_record(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    backup = take(vault)
    assert main(["verify", str(vault.url), "--level", "content", "--json"]) == 0
    (value,) = json.loads(capsys.readouterr().out)
    assert value.keys() == {"service", "account", "backup_id", "url", "record", "check"}
    assert value["check"] == json.loads(vault.store.read(value["record"]))
    assert value["record"].startswith(f"{backup.path.folder}/checks/")
    assert value["check"]["entities"] == {"tests": 2}


@pytest.mark.parametrize("how", ["option", "file", "text"])
def test_a_key_opens_what_is_encrypted(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    take(vault, encrypt=True)
    (tmp_path / "key").write_text(str(IDENTITY))
    options = ["--identity", str(tmp_path / "key")] if how == "option" else []
    if how == "file":
        monkeypatch.setenv("XBACKUP_AGE_IDENTITY_FILE", str(tmp_path / "key"))
    if how == "text":
        monkeypatch.setenv("XBACKUP_AGE_IDENTITY", str(IDENTITY))
    assert main(["verify", str(vault.url), "--level", "content", *options]) == 0
    out, err = capsys.readouterr()
    assert "  content  " in out
    assert "AGE-SECRET" not in out + err


def test_without_a_key_it_says_how_deep_it_came(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    take(vault, encrypt=True)
    assert main(["verify", str(vault.url), "--level", "content"]) == 0
    out = capsys.readouterr().out
    assert "  stored-digest  " in out
    assert "not-decrypted" in out


def test_nothing_to_look_at_is_no_pass(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    vault.prepare()
    assert main(["verify", str(vault.url)]) == 1
    assert "Nothing was verified" in capsys.readouterr().err
    assert main(["verify", str(vault.url), "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == []


def test_a_damaged_manifest_is_told_beside_the_others(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    vault.store.put(take(vault, IDS[0]).path.manifest, b"{")
    take(vault, IDS[1])
    assert main(["verify", str(vault.url)]) == 1
    out, err = capsys.readouterr()
    assert "1 backup verified, 0 failed" in out
    assert "damaged-manifest" in err


def test_backups_and_parts_can_be_chosen(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    for backup_id in IDS:
        take(vault, backup_id)
    for options, expected in (
        (["latest"], 1),
        ([IDS[0]], 1),
        (["--subset", "1/1"], 2),
        (["--account", "acme"], 2),
    ):
        assert main(["verify", str(vault.url), *options, "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)) == expected


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--subset", "3/2"], "written n/t"),
        (["--max-drop", "2"], "between 0 and 1"),
        (["--level", "source"], "--xray-conn-id"),
        (["--identity", "/nowhere"], "cannot be read"),
        (["yesterday"], "names no backup"),
        (["--level", "deep"], "invalid choice"),
    ],
)
def test_wrong_use_is_told(
    vault: Vault, capsys: pytest.CaptureFixture[str], options: list[str], word: str
) -> None:
    take(vault)
    assert main(["verify", str(vault.url), *options]) == 2
    assert word in capsys.readouterr().err
