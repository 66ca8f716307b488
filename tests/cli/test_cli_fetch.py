"""``xbackup fetch``, and what ``show`` and ``list`` tell of verifications."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.vault import Vault

FULL, PARTIAL = "20261101T000000Z-full-00000001", "20261102T000000Z-partial-00000002"
IDENTITY = pyrage.x25519.Identity.generate()


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    monkeypatch.delenv("XBACKUP_AGE_IDENTITY", raising=False)
    monkeypatch.delenv("XBACKUP_AGE_IDENTITY_FILE", raising=False)
    return Vault.open(tmp_path / "my vault")


def take(vault: Vault, backup_id: str = FULL, encrypt: bool = False, **fields: Any) -> Any:
    draft = vault.draft("xray", "acme", backup_id)
    recipients = (str(IDENTITY.to_public()),) if encrypt else ()
    draft.add("backup", [backup_id.encode()], media_type="application/zip", recipients=recipients)
    return draft.commit(
        requested_at=datetime(2026, 11, 1, tzinfo=UTC), producer={"package_version": "1"}, **fields
    )


def take_partial(vault: Vault) -> Any:
    return take(vault, PARTIAL, base=FULL, modified_since=datetime(2026, 11, 1, tzinfo=UTC))


def test_the_files_are_placed_and_named(vault: Vault, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    take(vault)
    assert main(["fetch", str(vault.url), "latest", str(tmp_path / "out")]) == 0
    file = tmp_path / "out" / FULL / "backup.zip"
    assert file.read_bytes() == FULL.encode()
    assert capsys.readouterr().out == f"{file}  30 B\n"


def test_json_names_them_too(vault: Vault, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backup = take(vault)
    assert main(["fetch", str(vault.url), FULL, str(tmp_path), "--json"]) == 0
    (value,) = json.loads(capsys.readouterr().out)
    (file,) = value["files"]
    assert (value["backup_id"], value["state"], value["folder"]) == (FULL, "ok", str(tmp_path / FULL))
    assert file == {
        "role": "backup",
        "path": str(tmp_path / FULL / "backup.zip"),
        "size": 30,
        "sha256": backup.manifest.artifacts[0].sha256,
    }


def test_a_chain_is_the_full_and_the_partial(
    vault: Vault, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    take(vault)
    take_partial(vault)
    assert main(["fetch", str(vault.url), PARTIAL, str(tmp_path / "one")]) == 0
    assert f"builds on {FULL}: --chain gets both" in capsys.readouterr().out
    assert main(["fetch", str(vault.url), PARTIAL, str(tmp_path / "both"), "--chain"]) == 0
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == [FULL, PARTIAL]


def test_a_key_file_opens_what_is_encrypted(
    vault: Vault, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    take(vault, encrypt=True)
    key = tmp_path / "key"
    key.write_text(str(IDENTITY))
    assert main(["fetch", str(vault.url), "latest", str(tmp_path)]) == 1
    assert "no age private key was given" in capsys.readouterr().err
    assert main(["fetch", str(vault.url), "latest", str(tmp_path), "--identity", str(key)]) == 0
    assert (tmp_path / FULL / "backup.zip").read_bytes() == FULL.encode()


def test_a_doubtful_backup_is_fetched_and_says_so(
    vault: Vault, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    take(vault, condition={"state": "suspect", "reasons": ["It fell by half."]})
    assert main(["fetch", str(vault.url), "latest", str(tmp_path)]) == 0
    assert "This backup is suspect. It fell by half." in capsys.readouterr().out


@pytest.mark.parametrize("what", ["latest-verified", "as-of 2026-10-01T00:00Z", "20270101"])
def test_where_there_is_none_it_says_so(
    vault: Vault, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    take(vault)
    assert main(["fetch", str(vault.url), what, str(tmp_path)]) == 1
    assert "xbackup list" in capsys.readouterr().err


def test_show_tells_the_newest_check(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    backup = take(vault)
    assert main(["show", str(vault.url), FULL]) == 0
    assert "never" in capsys.readouterr().out
    assert main(["verify", str(vault.url)]) == 0
    capsys.readouterr()
    assert main(["show", str(vault.url), FULL]) == 0
    assert "yes; looked at as deep as digest on " in capsys.readouterr().out
    vault.store.put(backup.path.file(backup.manifest.artifacts[0].name), b"")
    assert main(["verify", str(vault.url)]) == 1
    capsys.readouterr()
    assert main(["show", str(vault.url), FULL, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["verified"] is False
    assert value["check"]["findings"][0]["code"] == "wrong-size"


def test_show_tells_a_check_that_cannot_be_read(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    backup = take(vault)
    vault.store.put(backup.path.check(datetime(2026, 11, 2, tzinfo=UTC), "00000000"), b"{")
    assert main(["show", str(vault.url), FULL]) == 1
    assert "cannot be used" in capsys.readouterr().err


def test_list_tells_which_are_verified_when_asked(vault: Vault, capsys: pytest.CaptureFixture[str]) -> None:
    take(vault)
    assert main(["verify", str(vault.url)]) == 0
    take_partial(vault)
    capsys.readouterr()
    assert main(["list", str(vault.url), "--checks", "--json"]) == 0
    assert [one["verified"] for one in json.loads(capsys.readouterr().out)] == [False, True]
    assert main(["list", str(vault.url), "--checks"]) == 0
    out = capsys.readouterr().out
    assert "Verified" in out.splitlines()[0]
    assert [line.split()[-1] for line in out.splitlines()[1:3]] == ["no", "yes"]
    assert main(["list", str(vault.url)]) == 0
    assert "Verified" not in capsys.readouterr().out
