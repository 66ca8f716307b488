"""A sensor that waits for backups to come, and says which ones did not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout
from stand_in import make_context

from airflow_provider_xbackup.exceptions import XBackupError
from airflow_provider_xbackup.sensors.vault import BackupFreshnessSensor
from airflow_provider_xbackup.vault import Vault

DAY = timedelta(days=1)


def take(vault: Vault, age: timedelta, account: str = "acme") -> None:
    instant = datetime.now(UTC) - age
    draft = vault.draft("xray", account, f"{instant:%Y%m%dT%H%M%SZ}-full-0000000a")
    draft.add("backup", [b"x"], media_type="application/zip")
    draft.commit(requested_at=instant, producer={"package_version": "1"})


def sensor(at: Vault, **arguments: Any) -> BackupFreshnessSensor:
    defaults = {"task_id": "fresh", "vault": str(at.url), "rpo": DAY, "poke_interval": 0.01, "timeout": 0}
    return BackupFreshnessSensor(**defaults | arguments)


def test_fresh_backups_end_the_wait_with_their_ages(vault: Vault):
    take(vault, timedelta(hours=2))

    ages = sensor(vault, expect=["xray/acme"]).execute(make_context())

    assert {name: age // 60 for name, age in ages.items()} == {"xray/acme": 120}


def test_it_waits_until_the_backup_comes(vault: Vault):
    take(vault, 3 * DAY)
    task = sensor(vault, timeout=60)
    assert not task.poke(make_context())

    take(vault, timedelta(hours=1))

    assert task.execute(make_context())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param({}, "xray/acme: the last whole backup", id="late"),
        pytest.param({"expect": ["xenioo/welcome"], "rpo": 9 * DAY}, "xenioo/welcome has no backup", id="absent"),
        pytest.param({"rpo": 9 * DAY, "verified_rpo": DAY}, "xray/acme has no verified backup", id="unverified"),
        pytest.param({"account": "nobody"}, "There is no backup at all", id="nothing there"),
    ],
)
def test_a_timeout_names_what_did_not_come(vault: Vault, arguments: dict[str, Any], told: str):
    take(vault, 3 * DAY)

    with pytest.raises(AirflowSensorTimeout, match=told):
        sensor(vault, **arguments).execute(make_context())


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"rpo": 26}, id="a number is no rpo"),
        pytest.param({"verified_rpo": timedelta()}, id="no time at all"),
        pytest.param({"expect": "xray/acme"}, id="a text is no list"),
        pytest.param({"expect": ["acme"]}, id="no service"),
        pytest.param({"service": "zray"}, id="an unknown service"),
        pytest.param({"vault": "nonsense://x"}, id="no vault"),
    ],
)
def test_wrong_arguments_are_refused_when_the_dag_is_parsed(vault: Vault, arguments: dict[str, Any]):
    with pytest.raises(XBackupError):
        sensor(vault, **arguments)
