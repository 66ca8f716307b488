"""``xbackup replicate``: what it says of every backup, and how it ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.vault import Vault

OLD, NEW = "20261101T000000Z-full-00000001", "20261102T000000Z-full-00000002"


@pytest.fixture
def source(tmp_path: Path) -> Vault:
    vault = Vault.open(tmp_path / "originals")
    for backup_id in (OLD, NEW):
        draft = vault.draft("xray", "acme", backup_id)
        draft.add("backup", [b"x" * 1500], media_type="application/zip")
        draft.commit(requested_at=datetime(2026, 11, 1, tzinfo=UTC), producer={"package_version": "1"})
    return vault


@pytest.fixture
def target(tmp_path: Path) -> Vault:
    return Vault.open(tmp_path / "copies")


def replicate(source: Vault, target: Vault, *words: str) -> int:
    return main(["replicate", str(source.url), str(target.url), *words])


def ids(vault: Vault) -> list[str]:
    return [backup.backup_id for backup in vault.backups()]


def test_it_tells_what_it_copied(source: Vault, target: Vault, capsys: pytest.CaptureFixture[str]):
    assert replicate(source, target) == 0

    assert capsys.readouterr().out.splitlines() == [
        f"copied xray/acme/{NEW}, 1.5 KB",
        f"copied xray/acme/{OLD}, 1.5 KB",
        "2 copied; 3 KB written",
    ]
    assert ids(target) == [NEW, OLD]


def test_a_second_run_has_nothing_to_do(source: Vault, target: Vault, capsys: pytest.CaptureFixture[str]):
    replicate(source, target)
    capsys.readouterr()

    assert replicate(source, target) == 0
    assert capsys.readouterr().out == "2 present; 0 B written\n"


def test_a_policy_leaves_backups_out_and_says_so(source: Vault, target: Vault, capsys: pytest.CaptureFixture[str]):
    assert replicate(source, target, "--keep-last", "1") == 0

    assert "1 copied, 1 left out by the policy" in capsys.readouterr().out
    assert ids(target) == [NEW]


def test_damage_is_an_error_for_monitoring_and_repaired_on_demand(
    source: Vault, target: Vault, capsys: pytest.CaptureFixture[str]
):
    replicate(source, target)
    copy = next(iter(target.backups()))
    target.store.delete(copy.path.file(copy.manifest.artifacts[0].name))
    capsys.readouterr()

    assert replicate(source, target) == 1
    assert capsys.readouterr().err.startswith(f"xbackup: damaged-target: xray/acme/{NEW}: ")
    assert replicate(source, target, "--repair") == 0
    assert "1 present, 1 repaired" in capsys.readouterr().out


def test_scripts_get_a_line_of_json_for_every_backup(
    source: Vault, target: Vault, capsys: pytest.CaptureFixture[str]
):
    assert replicate(source, target, "--json") == 0

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == {
        "service": "xray",
        "account": "acme",
        "backup_id": NEW,
        "outcome": "copied",
        "bytes": 1500,
        "problem": None,
    }
    assert len(lines) == 2


def test_copying_nothing_is_not_well(target: Vault, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    empty = Vault.open(tmp_path / "empty")
    empty.prepare()

    assert replicate(empty, target) == 1
    assert "There is no backup to copy" in capsys.readouterr().err


def test_a_source_that_does_not_exist_is_wrong_use(target: Vault, tmp_path: Path):
    assert main(["replicate", str(tmp_path / "nowhere"), str(target.url)]) == 2


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["--min-verified", "3"], id="a number of verified ones"),
        pytest.param(["--max-delete-fraction", "0.1"], id="a share"),
        pytest.param(["--timezone", "Mars/X"], id="a time zone that there is not"),
    ],
)
def test_options_of_a_policy_without_a_rule_are_refused(
    source: Vault, target: Vault, capsys: pytest.CaptureFixture[str], words: list[str]
):
    assert replicate(source, target, *words) == 2

    assert f"{words[0]} alone keeps nothing" in capsys.readouterr().err
    assert ids(target) == []


def test_a_time_zone_that_there_is_not_is_refused(
    source: Vault, target: Vault, capsys: pytest.CaptureFixture[str]
):
    assert replicate(source, target, "--keep-last", "1", "--timezone", "Mars/X") == 2
    assert "Mars/X" in capsys.readouterr().err


def test_a_copy_that_is_half_removed_is_told_and_is_no_failure(
    source: Vault, target: Vault, capsys: pytest.CaptureFixture[str]
):
    replicate(source, target)
    copy = next(iter(target.backups()))
    target.store.create(copy.path.tombstone, b"{}")
    target.store.delete(copy.path.manifest)
    capsys.readouterr()

    assert replicate(source, target) == 0
    out, err = capsys.readouterr()
    assert "1 half-removed, 1 present" in out
    assert err.startswith(f"xbackup: half-removed: xray/acme/{NEW}: The removal of the copy")


def test_a_copy_that_a_hold_brought_back_is_told(source: Vault, target: Vault, capsys: pytest.CaptureFixture[str]):
    replicate(source, target)
    copy = next(iter(target.backups()))
    target.store.create(copy.path.tombstone, b"{}")
    assert main(["hold", str(source.url), NEW, "--why", "legal"]) == 0
    capsys.readouterr()

    assert replicate(source, target) == 0
    assert f"revived xray/acme/{NEW}" in capsys.readouterr().out
