"""``xbackup status``: one look for people, one exit code and line for monitoring."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.vault import Vault


def take(vault: Vault, age: timedelta, account: str = "acme") -> str:
    instant = datetime.now(UTC) - age
    draft = vault.draft("xray", account, f"{instant:%Y%m%dT%H%M%SZ}-full-0000000a")
    draft.add("backup", [b"x" * 1500], media_type="application/zip")
    return draft.commit(requested_at=instant, producer={"package_version": "1"}).backup_id


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault.open(tmp_path / "vault")


def test_all_is_well(vault: Vault, capsys: pytest.CaptureFixture[str]):
    take(vault, timedelta(hours=5))

    assert main(["status", str(vault.url), "--rpo", "26h", "--expect", "xray/acme"]) == 0

    told = capsys.readouterr()
    assert told.err == ""
    assert told.out.splitlines()[1].split() == ["xray/acme", "5", "h", "none", "5", "h", "1", "1.5", "KB", "ok"]


def test_a_late_and_an_absent_account_are_lines_for_monitoring(vault: Vault, capsys: pytest.CaptureFixture[str]):
    backup_id = take(vault, timedelta(days=4))

    assert main(["status", str(vault.url), "--rpo", "1d12h", "--expect", "xenioo/welcome"]) == 1

    assert capsys.readouterr().err.splitlines() == [
        "xbackup: absent: xenioo/welcome has no backup in this vault, though one is expected.",
        f"xbackup: late: xray/acme: the last whole backup {backup_id} is 4 d old; one every 36 h is promised.",
    ]


def test_an_empty_vault_is_not_well(vault: Vault, capsys: pytest.CaptureFixture[str]):
    vault.prepare()

    assert main(["status", str(vault.url)]) == 1
    assert "empty: There is no backup at all" in capsys.readouterr().err


def test_scripts_get_json(vault: Vault, capsys: pytest.CaptureFixture[str]):
    backup_id = take(vault, timedelta(hours=5))

    assert main(["status", str(vault.url), "--verified-rpo", "8d", "--json"]) == 1

    told = json.loads(capsys.readouterr().out)
    (account,) = told["accounts"]
    newest = account.pop("newest")
    assert (newest.pop("age") // 60, newest) == (300, {"backup_id": backup_id, "state": "ok"})
    assert account["verified"] is None
    assert (account["number"], account["stored_size"]) == (1, 1500)
    assert [(found["code"], found["about"]) for found in told["findings"]] == [("unverified", "xray/acme")]


@pytest.mark.parametrize(
    "words", [["--rpo", "26"], ["--rpo", "1month"], ["--expect", "acme"], ["--bots-of", "b", "--account", "a"]]
)
def test_wrong_words_are_wrong_use(vault: Vault, words: list[str]):
    vault.prepare()

    assert main(["status", str(vault.url), *words]) == 2


@pytest.fixture
def bots(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A connection to the account of the bots welcome, support and sales."""
    with Simulator() as simulator:
        connection = {
            "conn_type": "xenioo",
            "host": simulator.xenioo_url("welcome"),
            "extra": {"account_api_key": "demo-account"},
        }
        monkeypatch.setenv("AIRFLOW_CONN_BOTS", json.dumps(connection))
        yield "bots"


def test_bots_that_no_backup_covers_are_named(vault: Vault, bots: str, capsys: pytest.CaptureFixture[str]):
    instant = datetime.now(UTC)
    draft = vault.draft("xenioo", "greeter", f"{instant:%Y%m%dT%H%M%SZ}-full-0000000a")
    draft.add("bot", [b"{}"], media_type="application/json")
    key = {"key_sha256": hashlib.sha256(b"welcome-key").hexdigest()}
    draft.commit(requested_at=instant, producer={"package_version": "1"}, remote={"bot": key})

    assert main(["status", str(vault.url), "--bots-of", bots, "--json"]) == 1

    told = capsys.readouterr()
    assert [(found["code"], found["about"]) for found in json.loads(told.out)["findings"]] == [
        ("uncovered-bot", "sales"),
        ("uncovered-bot", "support"),
    ]
    assert "xbackup: uncovered-bot: The bot 'sales' has no backup in this vault" in told.err
    assert not any(secret in told.out + told.err for secret in ("-key", "-secret", "demo-account"))


def test_bots_of_nobody_cannot_be_listed(vault: Vault, capsys: pytest.CaptureFixture[str]):
    take(vault, timedelta(hours=5))

    assert main(["status", str(vault.url), "--bots-of", "nobody"]) == 2
    assert "nobody" in capsys.readouterr().err


def test_bots_of_a_connection_with_a_wrong_key_cannot_be_listed(
    vault: Vault, bots: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    conn = json.loads(os.environ["AIRFLOW_CONN_BOTS"])
    monkeypatch.setenv("AIRFLOW_CONN_BOTS", json.dumps(conn | {"extra": {"account_api_key": "stale"}}))
    take(vault, timedelta(hours=5))

    assert main(["status", str(vault.url), "--bots-of", bots]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert "stale" not in told.err
