"""Keeping and expiring in the hands of a person."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.errors import StoreUnavailableError
from airflow_provider_xbackup.vault.store import Store

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
Capture = pytest.CaptureFixture[str]


def an_id(days_ago: int, kind: str = "full") -> str:
    return f"{TODAY - timedelta(days=days_ago):%Y%m%dT%H%M%SZ}-{kind}-0000000a"


def take(vault: Vault, days_ago: int, account: str = "acme", kind: str = "full", **fields: Any) -> Any:
    draft = vault.draft("xray", account, an_id(days_ago, kind))
    draft.add("backup", [b"x" * 1500], media_type="application/zip")
    return draft.commit(requested_at=TODAY, producer={"package_version": "1"}, **fields)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """Three fulls of one account."""
    vault = Vault.open(tmp_path / "vault")
    for days_ago in (1, 2, 3):
        take(vault, days_ago)
    return vault


def listed(vault: Vault, account: str = "acme") -> dict[str, str]:
    return {backup.backup_id: backup.state for backup in vault.backups(account=account)}


def retention(vault: Vault, action: str, *options: str) -> int:
    return main(["retention", action, str(vault.url), *options])


def test_a_plan_tells_every_backup_and_why(vault: Vault, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert retention(vault, "plan", "--keep-last", "1") == 0
    out = capsys.readouterr().out
    assert "xray/acme: 1 kept, 2 to expire" in out
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith("20")}
    assert "keep" in lines[an_id(1)]
    assert "last, newest whole backup, newest whole full" in lines[an_id(1)]
    assert "expire" in lines[an_id(2)]
    assert "no rule keeps it" in lines[an_id(2)]
    assert set(listed(vault).values()) == {"ok"}


def test_a_plan_as_json_has_stable_keys(vault: Vault, capsys: Capture) -> None:
    assert retention(vault, "plan", "--keep-last", "2", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["vault", "now", "groups", "findings"]
    (group,) = told["groups"]
    assert list(group) == ["service", "account", "scope", "refusals", "paused", "backups"]
    assert [(each["backup_id"], each["action"]) for each in group["backups"]] == [
        (an_id(1), "keep"), (an_id(2), "keep"), (an_id(3), "expire"),
    ]  # fmt: skip
    assert group["backups"][2] == {
        "backup_id": an_id(3), "action": "expire", "reasons": ["no rule keeps it"], "stored_size": 1500,
    }  # fmt: skip


def test_applied_backups_expire_and_go_after_their_grace(vault: Vault, capsys: Capture) -> None:
    assert retention(vault, "apply", "--keep-last", "1") == 0
    assert "1 group, 1 kept. 2 backups expired, 0 removed (0 B)." in capsys.readouterr().out
    assert listed(vault) == {an_id(1): "ok", an_id(2): "expired", an_id(3): "expired"}

    assert retention(vault, "apply", "--keep-last", "1", "--grace", "0d", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["removed"] == [f"xray/acme/{an_id(3)}", f"xray/acme/{an_id(2)}"]
    assert (told["freed"], told["bytes_remain"], told["not_let_go"]) == (3000, False, [])
    assert listed(vault) == {an_id(1): "ok"}


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["--keep-daily", "2"], 2),
        (["--keep-last", "unlimited"], 3),
        (["--keep-daily", "-1"], 3),
        (["--keep-within", "36h"], 2),
        (["--keep-within-daily", "25h", "--timezone", "Europe/Berlin"], 2),
        (["--keep-yearly", "1", "--min-verified", "0"], 1),
    ],
)
def test_every_rule_has_its_option(vault: Vault, capsys: Capture, options: list[str], kept: int) -> None:
    assert retention(vault, "plan", *options, "--json") == 0
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert sum(each["action"] == "keep" for each in group["backups"]) == kept


def test_a_refusal_stops_its_group_alone_ends_with_1_and_names_the_override(vault: Vault, capsys: Capture) -> None:
    for days_ago in range(1, 9):
        take(vault, days_ago, "other")

    assert retention(vault, "apply", "--keep-last", "1") == 1
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    assert line.startswith("xbackup: refused: xray/other: 7 of 8 backups would expire")
    assert line.endswith("give --override max-delete-fraction.")
    assert sum(state == "expired" for state in listed(vault).values()) == 2
    assert set(listed(vault, "other").values()) == {"ok"}

    assert retention(vault, "apply", "--keep-last", "1", "--override", "max-delete-fraction") == 0


def test_a_policy_that_keeps_nothing_is_refused(vault: Vault, capsys: Capture) -> None:
    assert retention(vault, "apply", "--keep-last", "0") == 1
    assert "--override empties-group" in capsys.readouterr().err
    assert set(listed(vault).values()) == {"ok"}


def test_a_group_that_is_paused_is_told_and_is_no_failure(vault: Vault, capsys: Capture) -> None:
    take(vault, 0, condition={"state": "suspect", "reasons": ["fell"]})

    assert retention(vault, "apply", "--keep-last", "1") == 0
    told = capsys.readouterr()
    assert f"the full {an_id(0)} is suspect, and no newer one is whole" in told.err
    assert "expired" not in listed(vault).values()


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["table", "json"])
def test_a_plan_says_what_is_refused_and_ends_with_1(vault: Vault, capsys: Capture, options: list[str]) -> None:
    for days_ago in range(1, 9):
        take(vault, days_ago, "other")

    assert retention(vault, "plan", "--keep-last", "1", *options) == 1
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    assert line.startswith("xbackup: refused: xray/other: 7 of 8 backups would expire")
    if options:
        groups = json.loads(told.out)["groups"]
        assert {each["account"]: [one["name"] for one in each["refusals"]] for each in groups} == {
            "acme": [],
            "other": ["max-delete-fraction"],
        }
        assert [len(each["backups"]) for each in groups] == [3, 8]


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["table", "json"])
def test_a_plan_says_what_is_paused_and_is_no_failure(vault: Vault, capsys: Capture, options: list[str]) -> None:
    take(vault, 0, condition={"state": "suspect", "reasons": ["fell"]})

    assert retention(vault, "plan", "--keep-last", "1", *options) == 0
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    assert line.startswith(
        f"xbackup: paused: nothing of xray/acme expires, because the full {an_id(0)} is suspect"
    )
    if options:
        assert json.loads(told.out)["groups"][0]["paused"] in line


@pytest.mark.parametrize("action", ["plan", "apply"])
def test_findings_are_in_the_json(vault: Vault, capsys: Capture, action: str) -> None:
    vault.store.put(f"xray/acme/{an_id(9)}/manifest.json", b"{")

    assert retention(vault, action, "--keep-last", "9", "--json") == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["code"], finding["path"]) == ("damaged-manifest", f"xray/acme/{an_id(9)}/manifest.json")
    assert list(finding) == ["code", "path", "text"]


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["table", "json"])
def test_what_was_found_is_told_where_the_store_fails_in_the_middle(
    vault: Vault, capsys: Capture, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    vault.store.put(f"xray/acme/{an_id(9)}/manifest.json", b"{")
    take(vault, 1, "zeta")
    read = Store.read

    def failing(store: Store, path: str, **more: Any) -> bytes:
        if "/zeta/" in path:
            raise StoreUnavailableError("The store does not answer.")
        return read(store, path, **more)

    monkeypatch.setattr(Store, "read", failing)

    assert retention(vault, "plan", "--keep-last", "1", *options) == 1
    told = capsys.readouterr()
    damaged, failed = told.err.splitlines()
    assert damaged.startswith("xbackup: damaged-manifest")
    assert failed == "xbackup: The store does not answer."
    if options:
        assert "findings" not in json.loads(told.out)


def test_what_is_damaged_is_told_with_its_reason(vault: Vault, capsys: Capture) -> None:
    newest = next(iter(vault.backups()))
    vault.store.delete(newest.path.file(newest.manifest.artifacts[0].name))

    assert retention(vault, "plan", "--keep-last", "1") == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if an_id(1) in line]
    assert "pass" in line
    assert "damaged: no candidate" in line
    assert retention(vault, "apply", "--keep-last", "1") == 0
    assert "1 damaged, which count for nothing" in capsys.readouterr().out
    assert listed(vault) == {an_id(1): "damaged", an_id(2): "ok", an_id(3): "expired"}


def test_what_cannot_be_read_is_a_finding(vault: Vault, capsys: Capture) -> None:
    vault.store.put(f"xray/acme/{an_id(9)}/manifest.json", b"{")
    assert retention(vault, "plan", "--keep-last", "9") == 1
    assert "damaged-manifest" in capsys.readouterr().err


def test_only_the_account_that_is_named_is_touched(vault: Vault, capsys: Capture) -> None:
    take(vault, 1, "other")
    take(vault, 2, "other")
    assert retention(vault, "apply", "--keep-last", "1", "--account", "other") == 0
    assert listed(vault, "other") == {an_id(1): "ok", an_id(2): "expired"}
    assert set(listed(vault).values()) == {"ok"}


def test_a_backup_is_held_and_released(vault: Vault, capsys: Capture) -> None:
    url = str(vault.url)
    assert main(["hold", url, an_id(3), "--why", "the audit", "--who", "ada"]) == 0
    assert "is held until it is released, by ada: the audit" in capsys.readouterr().out
    assert retention(vault, "apply", "--keep-last", "1") == 0
    assert listed(vault)[an_id(3)] == "held"
    capsys.readouterr()

    assert main(["release", url, an_id(3)]) == 0
    assert "is released: it was held by ada, the audit" in capsys.readouterr().out
    assert main(["release", url, an_id(3), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"url": f"{url}/xray/acme/{an_id(3)}", "released": None}


@pytest.mark.parametrize(
    ("command", "more"),
    [
        pytest.param("show", [], id="show"),
        pytest.param("hold", ["--why", "x"], id="hold"),
        pytest.param("release", [], id="release"),
        pytest.param("accept", ["--why", "x"], id="accept"),
    ],
)
def test_a_backup_can_be_chosen_without_its_id(
    vault: Vault, capsys: Capture, command: str, more: list[str]
) -> None:
    suspect = take(vault, 0, condition={"state": "suspect", "reasons": []})
    assert main([command, str(vault.url), "latest", "--json", *more]) == 0
    assert json.loads(capsys.readouterr().out)["url"] == suspect.location
    take(vault, 0, account="other")
    assert main([command, str(vault.url), "latest", *more]) == 2
    assert "could be of several accounts: xray/acme, xray/other" in capsys.readouterr().err
    assert main([command, str(vault.url), "latest", "--account", "acme", *more]) == 0


def test_the_newest_verified_backup_is_held(vault: Vault, capsys: Capture) -> None:
    assert main(["hold", str(vault.url), "latest-verified", "--why", "x"]) == 1
    assert "holds no verified backup" in capsys.readouterr().err
    assert main(["verify", str(vault.url), an_id(2)]) == 0
    assert main(["hold", str(vault.url), "latest-verified", "--why", "x"]) == 0
    assert listed(vault) == {an_id(1): "ok", an_id(2): "held", an_id(3): "ok"}


@pytest.mark.parametrize(
    ("options", "until"),
    [
        (["--until", "2099-01-31"], "2099-01-31T00:00:00Z"),
        (["--until", "2099-01-31T12:00+02:00"], "2099-01-31T10:00:00Z"),
        ([], None),
    ],
)
def test_a_hold_ends_when_it_is_told_to(vault: Vault, capsys: Capture, options: list[str], until: str) -> None:
    assert main(["hold", str(vault.url), an_id(3), "--why", "x", "--who", "ada", "--json", *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["url", "who", "why", "at", "until", "revived", "missing_base"]
    assert told["until"] == until


def test_a_hold_can_last_so_long(vault: Vault, capsys: Capture) -> None:
    assert main(["hold", str(vault.url), an_id(3), "--why", "x", "--for", "2w", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert datetime.fromisoformat(told["until"]) - datetime.fromisoformat(told["at"]) == timedelta(days=14)
    assert told["who"]


def test_an_expired_backup_is_brought_back_with_its_base_and_stays(vault: Vault, capsys: Capture) -> None:
    take(vault, 2, kind="partial", base=an_id(3), modified_since=TODAY)
    assert retention(vault, "apply", "--keep-last", "1") == 0
    assert listed(vault)[an_id(2, "partial")] == "expired"
    capsys.readouterr()

    assert main(["undelete", str(vault.url), an_id(2, "partial")]) == 0
    out = capsys.readouterr().out
    assert f"{an_id(2, 'partial')} had expired and is back." in out
    assert f"{an_id(3)} had expired and is back." in out
    assert retention(vault, "apply", "--keep-last", "1", "--grace", "0d") == 0
    assert listed(vault) == {an_id(1): "ok", an_id(2, "partial"): "held", an_id(3): "ok"}


def test_what_has_not_expired_is_not_brought_back(vault: Vault, capsys: Capture) -> None:
    assert main(["undelete", str(vault.url), an_id(1)]) == 1
    assert "has not expired" in capsys.readouterr().err


def test_a_hold_of_a_partial_without_its_base_is_a_finding(vault: Vault, capsys: Capture) -> None:
    take(vault, 2, kind="partial", base=an_id(9), modified_since=TODAY)
    assert main(["hold", str(vault.url), an_id(2, "partial"), "--why", "x"]) == 1
    assert f"The full {an_id(9)} that {an_id(2, 'partial')} builds on is gone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "word"),
    [
        pytest.param(["retention", "plan", "{vault}"], "at least one of the --keep options", id="no rule"),
        pytest.param(["retention", "{vault}"], "invalid choice", id="no action"),
        pytest.param(["retention", "plan", "{vault}", "--keep-last", "x"], "invalid number", id="no number"),
        pytest.param(["retention", "plan", "{vault}", "--keep-last", "-2"], "keep_last", id="a negative number"),
        pytest.param(["retention", "plan", "{vault}", "--keep-within", "7"], "no duration", id="no duration"),
        pytest.param(
            ["retention", "plan", "{vault}", "--keep-last", "1", "--timezone", "X/Y"], "no time zone", id="no zone"
        ),
        pytest.param(
            ["retention", "apply", "{vault}", "--keep-last", "1", "--override", "all"],
            "known are empties-group, max-delete-fraction",
            id="an unknown override",
        ),
        pytest.param(
            ["retention", "apply", "{vault}", "--keep-last", "1", "--grace", "x"], "no duration", id="grace"
        ),
        pytest.param(["hold", "{vault}", "20260101T000000Z-full-0000000a"], "--why", id="a hold without a reason"),
        pytest.param(
            ["hold", "{vault}", "20260101T000000Z-full-0000000a", "--why", "x", "--until", "soon"],
            "is no time",
            id="an end that is none",
        ),
        pytest.param(
            ["undelete", "{vault}", "20260101T000000Z-full-0000000a", "--versions"],
            "on S3 only",
            id="versions on disk",
        ),
    ],
)
def test_wrong_use_ends_with_2_and_touches_nothing(
    vault: Vault, capsys: Capture, args: list[str], word: str
) -> None:
    assert main([arg.replace("{vault}", str(vault.url)) for arg in args]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert word in told.err
    assert set(listed(vault).values()) == {"ok"}


@pytest.mark.parametrize("args", [["hold", "--why", "x"], ["release"], ["undelete"]])
def test_a_backup_that_is_not_there_is_told(vault: Vault, capsys: Capture, args: list[str]) -> None:
    assert main([args[0], str(vault.url), an_id(99), *args[1:]]) == 1
    assert "There is no backup" in capsys.readouterr().err
