"""``xbackup metrics``: what a textfile collector reads, and never a zero for what there is none of."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.vault import Vault

TAKEN = datetime(2026, 11, 20, 1, 30, tzinfo=UTC)
_SAMPLE = re.compile(r'xbackup_\w+\{(?:\w+="(?:[^"\\]|\\.)*",?)+\} -?[0-9.e+]+')


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault.open(tmp_path / "vault")


def take(vault: Vault, at: datetime = TAKEN, account: str = "acme", condition: str = "ok") -> str:
    draft = vault.draft("xray", account, f"{at:%Y%m%dT%H%M%SZ}-full-0000000a")
    draft.add("backup", [b"x" * 1500], media_type="application/zip")
    told = {"state": condition, "reasons": [] if condition == "ok" else ["It fell."]}
    return draft.commit(requested_at=at, producer={"package_version": "1"}, condition=told).backup_id


def metrics(vault: Vault, capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, float]:
    """Run the command; return the samples, the vault left out of their labels."""
    assert main(["metrics", str(vault.url), *args]) == 0
    lines = capsys.readouterr().out.splitlines()
    samples = [line for line in lines if not line.startswith("#")]
    assert all(_SAMPLE.fullmatch(line) for line in samples)
    found = (line.replace(f'vault="{vault.url}",', "").rpartition(" ") for line in samples)
    return {name: float(value) for name, _, value in found}


ACME = '{service="xray",account="acme"}'


def test_ages_sizes_and_states_are_told(vault: Vault, capsys: pytest.CaptureFixture[str]):
    take(vault, TAKEN - timedelta(days=1))
    take(vault)

    found = metrics(vault, capsys)

    assert found[f"xbackup_newest_whole_timestamp_seconds{ACME}"] == TAKEN.timestamp()
    assert found[f"xbackup_oldest_timestamp_seconds{ACME}"] == TAKEN.timestamp() - 86400
    assert found[f"xbackup_backups{ACME}"] == 2
    assert found[f"xbackup_stored_bytes{ACME}"] == 3000
    assert found[f"xbackup_newest_whole_bytes{ACME}"] == 1500
    assert found['xbackup_last_backup_state{service="xray",account="acme",state="ok"}'] == 1
    assert found['xbackup_last_backup_state{service="xray",account="acme",state="suspect"}'] == 0


def test_what_there_is_none_of_has_no_sample(vault: Vault, capsys: pytest.CaptureFixture[str]):
    take(vault, condition="suspect")

    found = metrics(vault, capsys, "--expect", "xenioo/welcome")

    assert found['xbackup_backups{service="xenioo",account="welcome"}'] == 0
    assert [name for name in found if "timestamp" in name and "account" in name] == []
    assert found['xbackup_last_backup_state{service="xray",account="acme",state="suspect"}'] == 1


def test_every_family_is_described_once_and_its_samples_stand_together(
    vault: Vault, capsys: pytest.CaptureFixture[str]
):
    take(vault)
    take(vault, account="globex")

    main(["metrics", str(vault.url)])

    families: list[str] = []
    for line in capsys.readouterr().out.splitlines():
        if line.startswith("# TYPE"):
            families.append(line.split()[2])
        elif not line.startswith("#"):
            assert line.partition("{")[0] == families[-1]
    assert len(families) == len(set(families)) == 9


def test_a_damaged_manifest_is_counted(vault: Vault, capsys: pytest.CaptureFixture[str]):
    take(vault)
    broken = take(vault, TAKEN - timedelta(days=1))
    (Path(vault.url.prefix) / "xray/acme" / broken / "manifest.json").write_text("{")

    assert metrics(vault, capsys)['xbackup_findings{code="damaged-manifest"}'] == 1


def test_a_file_is_replaced_in_one_step_and_can_be_read_by_the_collector(
    vault: Vault, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    take(vault)
    target = tmp_path / "xbackup.prom"
    target.write_text("old")
    before = target.stat().st_ino

    assert main(["metrics", str(vault.url), "--output", str(target)]) == 0

    assert "xbackup_backups{" in target.read_text()
    assert target.stat().st_ino != before
    assert oct(target.stat().st_mode & 0o777) == "0o644"
    assert sorted(os.listdir(tmp_path)) == ["vault", "xbackup.prom"]


def test_a_vault_that_is_not_there_leaves_the_file_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    target = tmp_path / "xbackup.prom"
    target.write_text("old")

    assert main(["metrics", f"file://{tmp_path}/nowhere", "--output", str(target)]) == 2
    assert target.read_text() == "old"


def test_a_folder_that_does_not_take_the_file_is_told(vault: Vault, tmp_path: Path, capsys):
    take(vault)

    assert main(["metrics", str(vault.url), "--output", str(tmp_path / "none" / "x.prom")]) == 1
    assert "The metrics cannot be written to" in capsys.readouterr().err


def test_an_odd_vault_is_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    vault = Vault.open(tmp_path / 'a "quoted" vault')
    take(vault)

    assert main(["metrics", str(vault.url)]) == 0
    samples = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("#")]
    assert all(_SAMPLE.fullmatch(line) for line in samples)
