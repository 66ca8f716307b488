"""Releasing a suspect backup, and choosing one by the beginning of its id."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.vault import Vault

SUSPECT_ID, OK_ID = "20261101T000000Z-full-00000001", "20261102T000000Z-full-00000002"
SUSPECT = {"state": "suspect", "reasons": ["tests fell from 80 to 0"]}

Capture = pytest.CaptureFixture[str]


def take(vault: Vault, backup_id: str, account: str = "acme", **fields: Any) -> Any:
    draft = vault.draft("xray", account, backup_id)
    draft.add("backup", [b"x" * 1500], media_type="application/zip")
    return draft.commit(
        requested_at=datetime(2026, 11, 1, tzinfo=UTC), producer={"package_version": "1"}, **fields
    )


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    vault = Vault.open(tmp_path / "my vault")
    take(vault, SUSPECT_ID, condition=SUSPECT)
    take(vault, OK_ID)
    return vault


def run(capsys: Capture, *args: str) -> Any:
    assert main([*args, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_suspect_is_released_and_shown_as_accepted(vault: Vault, capsys: Capture) -> None:
    url = str(vault.url)
    assert main(["accept", url, SUSPECT_ID, "--why", "the tenant was split", "--who", "ada"]) == 0
    assert "is accepted, by ada on 20" in capsys.readouterr().out
    assert {one["backup_id"]: one["state"] for one in run(capsys, "list", url)} == {
        SUSPECT_ID: "accepted",
        OK_ID: "ok",
    }
    shown = run(capsys, "show", url, SUSPECT_ID)
    assert (shown["state"], shown["accepted"]) == ("accepted", True)
    assert (shown["acceptance"]["who"], shown["acceptance"]["why"]) == ("ada", "the tenant was split")
    assert shown["manifest"]["condition"]["state"] == "suspect"
    assert main(["show", url, SUSPECT_ID]) == 0
    assert f"by ada on {shown['acceptance']['at'][:10]}" in capsys.readouterr().out


def test_accepting_again_tells_who_did_it(vault: Vault, capsys: Capture) -> None:
    first = run(capsys, "accept", str(vault.url), SUSPECT_ID, "--why", "split", "--who", "ada")
    assert list(first) == ["url", "state", "who", "why", "at", "already"]
    assert first["already"] is False
    again = run(capsys, "accept", str(vault.url), SUSPECT_ID, "--why", "me too", "--who", "bob")
    assert again == {**first, "already": True}
    assert main(["accept", str(vault.url), SUSPECT_ID, "--why", "me too"]) == 0
    assert "was accepted already, by ada on" in capsys.readouterr().out


def test_who_accepts_is_the_user_unless_told(vault: Vault, capsys: Capture) -> None:
    assert run(capsys, "accept", str(vault.url), SUSPECT_ID, "--why", "x")["who"] == getpass.getuser()


def test_a_user_without_a_name_accepts_under_its_number(
    vault: Vault, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nameless() -> str:
        raise OSError("No username set in the environment")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert run(capsys, "accept", str(vault.url), SUSPECT_ID, "--why", "x")["who"].startswith("uid ")


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        pytest.param([OK_ID, "--why", "x"], 1, "is ok, not suspect", id="ok"),
        pytest.param(["20261103T000000Z-full-00000003", "--why", "x"], 1, "There is no backup", id="missing"),
        pytest.param(["newest", "--why", "x"], 2, "names no backup", id="no id"),
        pytest.param(["202611", "--why", "x"], 2, "first 8 characters", id="too little of an id"),
        pytest.param([SUSPECT_ID], 2, "--why", id="no reason"),
        pytest.param([SUSPECT_ID, "--why", " "], 2, "Say why", id="empty reason"),
        pytest.param([SUSPECT_ID, "--why", "x", "--account", "other"], 1, "no backup", id="another account"),
    ],
)
def test_what_cannot_be_accepted_ends_with_one_line(
    vault: Vault, capsys: Capture, args: list[str], code: int, words: str
) -> None:
    assert main(["accept", str(vault.url), *args]) == code
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""
    assert run(capsys, "show", str(vault.url), SUSPECT_ID)["acceptance"] is None


@pytest.mark.parametrize("start", [SUSPECT_ID[:8], SUSPECT_ID[:17], SUSPECT_ID[:-1]])
def test_a_backup_is_chosen_by_the_beginning_of_its_id(vault: Vault, capsys: Capture, start: str) -> None:
    assert run(capsys, "show", str(vault.url), start)["manifest"]["backup_id"] == SUSPECT_ID
    assert run(capsys, "accept", str(vault.url), start, "--why", "x")["url"].endswith(SUSPECT_ID)


def test_a_beginning_that_several_backups_share_is_refused(vault: Vault, capsys: Capture) -> None:
    for hour in range(1, 8):
        take(vault, f"20261102T{hour:02}0000Z-full-00000000", "other")
    assert main(["show", str(vault.url), "20261102"]) == 2
    told = capsys.readouterr().err
    assert "Several backups begin with 20261102: xray/acme/" in told
    assert told.rstrip().endswith("and 3 more. Write more of the id.")
    assert run(capsys, "show", str(vault.url), "20261102", "--account", "acme")["manifest"]["backup_id"] == OK_ID


def test_an_instant_that_accounts_share_asks_for_the_account(vault: Vault, capsys: Capture) -> None:
    take(vault, SUSPECT_ID, "other", condition=SUSPECT)
    assert main(["accept", str(vault.url), SUSPECT_ID[:12], "--why", "x"]) == 2
    assert "xray/acme, xray/other. Choose with --service and --account" in capsys.readouterr().err
    assert (
        run(capsys, "accept", str(vault.url), SUSPECT_ID, "--why", "x", "--account", "other")["state"]
        == "accepted"
    )
    assert run(capsys, "show", str(vault.url), SUSPECT_ID, "--account", "acme")["state"] == "suspect"


def test_a_damaged_word_is_a_finding_and_the_backup_is_shown(vault: Vault, capsys: Capture) -> None:
    vault.store.put(f"xray/acme/{SUSPECT_ID}/accepted.json", b"half")
    assert main(["show", str(vault.url), SUSPECT_ID, "--json"]) == 1
    told = capsys.readouterr()
    assert "accepted.json cannot be read" in told.err
    shown = json.loads(told.out)
    assert (shown["state"], shown["acceptance"]) == ("accepted", None)


def test_a_word_from_a_vault_is_only_ever_text(vault: Vault, capsys: Capture) -> None:
    why = "\x1b[2J[red]\u202egone"
    assert main(["accept", str(vault.url), SUSPECT_ID, "--why", why]) == 0
    assert main(["show", str(vault.url), SUSPECT_ID]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert out.count("[red]") == 2
