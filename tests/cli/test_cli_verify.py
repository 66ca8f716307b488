"""``xbackup verify``."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.http import tokens
from airflow_provider_xbackup.simulator import Simulator
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


# -- what Xray holds -------------------------------------------------------------------------------------------


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    monkeypatch.setattr(tokens, "_cache", {})
    with Simulator() as running:
        yield running


@pytest.fixture
def connect(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def connect(**changes: Any) -> None:
        conn = {"conn_type": "xray", "host": sim.url, "login": "demo-client", "password": "demo-secret"}
        monkeypatch.setenv("AIRFLOW_CONN_ACME", json.dumps(conn | changes))

    return connect


SOURCE = ("--level", "source", "--xray-conn-id", "acme")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        pytest.param(None, "no connection 'acme'", id="no such connection"),
        pytest.param({"password": "stale"}, "Xray refused the API key", id="wrong secret"),
        pytest.param({"login": ""}, "no client id", id="no client id"),
        pytest.param({"host": "http://xray.example"}, "https", id="no TLS"),
    ],
)
def test_a_wrong_connection_is_wrong_use_and_nothing_is_verified(
    vault: Vault,
    capsys: pytest.CaptureFixture[str],
    connect: Callable[..., None],
    changes: dict[str, Any] | None,
    word: str,
) -> None:
    take(vault)
    if changes is not None:
        connect(**changes)
    assert main(["verify", str(vault.url), *SOURCE]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert word in err
    assert len(err.splitlines()) == 1
    assert not [found for found in vault.store.list() if "/checks/" in found.path]


def test_a_source_that_cannot_be_reached_is_told_without_tracebacks(
    vault: Vault, tmp_path: Path, closed_port: int
) -> None:
    for account in ("acme", "globex"):
        take(vault, account=account, entities={"tests": 2})
    conn = {"conn_type": "xray", "host": f"http://127.0.0.1:{closed_port}", "login": "a", "password": "b"}
    env = os.environ | {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW_CONN_ACME": json.dumps(conn)}
    done = subprocess.run(
        [sys.executable, "-m", "airflow_provider_xbackup.cli.main", "verify", str(vault.url), *SOURCE, "--account",
         "acme"],
        capture_output=True, text=True, env=env,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == f"passed  {IDS[0]}  content        xray/acme"
    *retries, told = done.stderr.splitlines()
    assert told.startswith(f"xbackup: not-compared: {IDS[0]}: It was not compared with its source: ")
    assert all(re.search(r"failed \(.+\); try [2-5] of 5 comes in", line) for line in retries)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody listens, and which nobody else gets meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_a_key_that_does_not_fit_is_told_and_makes_no_backup_a_failed_one(
    vault: Vault, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    take(vault, encrypt=True)
    key = tmp_path / "other.txt"
    key.write_text(f"{pyrage.x25519.Identity.generate()}\n")
    assert main(["verify", str(vault.url), "--level", "content", "--identity", str(key)]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == f"passed  {IDS[0]}  stored-digest  xray/acme"
    assert "1 backup verified, 0 failed" in out
    assert err.startswith(f"xbackup: wrong-identity: {IDS[0]}: ")
    assert "Nothing was decrypted" in err
    assert main(["list", str(vault.url), "--checks", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["verified"]
