"""Garbage on the command line: looked at first, removed when told to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.vault import Vault

FOLDER = "xray/acme/20261101T000000Z-full-00000001"
ATTEMPT, HALF = f"{FOLDER}/backup.00000000.zip", f"{FOLDER}/backup.00000001.zip#1"

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """What a failed attempt left 2 days ago, and a killed one 9 days ago."""
    vault = Vault.open(tmp_path / "my vault")
    vault.store.put(ATTEMPT, b"x" * 1500)
    half = Path(vault.url.prefix, HALF)
    half.write_bytes(b"half")
    for path, days in ((ATTEMPT, 2), (HALF, 9)):
        seconds = half.stat().st_mtime - days * 86400
        os.utime(Path(vault.url.prefix, path), (seconds, seconds))
    return vault


def files(vault: Vault) -> list[str]:
    return sorted(path.name for path in Path(vault.url.prefix, FOLDER).glob("*"))


def run(capsys: Capture, vault: Vault, *args: str) -> Any:
    assert main(["garbage", str(vault.url), "--json", *args]) == 0
    return json.loads(capsys.readouterr().out)


def test_garbage_is_only_shown_unless_told_otherwise(vault: Vault, capsys: Capture) -> None:
    (only,) = run(capsys, vault)
    assert list(only) == ["path", "what", "size", "last_modified", "removed"]
    assert (only["path"], only["what"], only["size"], only["removed"]) == (HALF, "temporary", 4, False)
    assert [one["path"] for one in run(capsys, vault, "--older-than", "1d")] == [ATTEMPT, HALF]
    assert len(files(vault)) == 2


def test_garbage_goes_when_told_to(vault: Vault, capsys: Capture) -> None:
    assert [(one["path"], one["removed"]) for one in run(capsys, vault, "--apply")] == [(HALF, True)]
    assert files(vault) == ["backup.00000000.zip"]
    assert len(run(capsys, vault, "--apply", "--older-than", "0d")) == 1
    assert run(capsys, vault, "--apply", "--older-than", "0d") == []


def test_the_table_says_what_would_go_and_how(
    vault: Vault, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert main(["garbage", str(vault.url), "--older-than", "36h"]) == 0
    out = capsys.readouterr().out
    for word in ("file of a failed attempt", "unfinished file", "9 d", "1.5 KB", ATTEMPT, HALF):
        assert word in out
    assert f"2 things would be removed from {vault.url}, 1.5 KB; --apply removes" in out
    assert main(["garbage", str(vault.url), "--apply"]) == 0
    assert f"1 thing removed from {vault.url}, 4 B\n" in capsys.readouterr().out
    assert main(["garbage", str(vault.url)]) == 0
    assert f"Nothing would be removed from {vault.url}" in capsys.readouterr().out


def test_what_could_not_be_removed_is_told_and_ends_with_1(
    vault: Vault, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlink(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(1, "Operation not permitted")  # as for a file with the attribute "immutable"

    monkeypatch.setattr(Path, "unlink", unlink)
    assert main(["garbage", str(vault.url), "--apply", "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out) == []
    assert "Operation not permitted" in told.err


@pytest.mark.parametrize("age", ["soon", "-1d", "7"])
def test_an_age_that_is_none_is_wrong_use(vault: Vault, capsys: Capture, age: str) -> None:
    assert main(["garbage", str(vault.url), f"--older-than={age}"]) == 2
    assert "--older-than" in capsys.readouterr().err


def test_an_age_of_a_century_finds_nothing(vault: Vault, capsys: Capture) -> None:
    assert run(capsys, vault, "--older-than", "36525d") == []


def test_a_vault_on_disk_needs_neither_airflow_nor_boto3(vault: Vault) -> None:
    script = (
        "import sys\n"
        "from airflow_provider_xbackup.cli.main import main\n"
        "code = main(sys.argv[1:])\n"
        "print([name for name in ('airflow', 'boto3', 'rich') if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "garbage", str(vault.url), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "[]\n"
