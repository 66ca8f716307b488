"""A sensor that waits for backups to come, and says which ones did not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout
from stand_in import make_context

from airflow_provider_xbackup.exceptions import XBackupError
from airflow_provider_xbackup.sensors.vault import BackupFreshnessSensor
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault

DAY = timedelta(days=1)


def take(vault: Vault, age: timedelta, account: str = "acme", service: str = "xray") -> None:
    instant = datetime.now(UTC) - age
    draft = vault.draft(service, account, f"{instant:%Y%m%dT%H%M%SZ}-full-0000000a")
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
    ("late", "label"),
    [
        pytest.param(["acme"], "xray/acme", id="one account"),
        pytest.param(["acme", "globex"], None, id="several"),
    ],
)
def test_what_it_is_about_is_the_one_account_that_is_late(vault: Vault, late: list[str], label: str | None):
    take(vault, timedelta(hours=1), "fine")
    for account in late:
        take(vault, 3 * DAY, account)
    task = sensor(vault)

    with pytest.raises(AirflowSensorTimeout):
        task.execute(make_context())

    assert task.subject.label == (label or f"The vault {vault.url}")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"rpo": 26}, id="a number is no rpo"),
        pytest.param({"verified_rpo": timedelta()}, id="no time at all"),
        pytest.param({"expect": "xray/acme"}, id="a text is no list"),
        pytest.param({"expect": ["acme"]}, id="no service"),
        pytest.param({"service": "zray"}, id="an unknown service"),
        pytest.param({"bots_of": ""}, id="no connection to list bots with"),
        pytest.param({"bots_of": "bots", "account": "welcome"}, id="all bots, and the backups of one"),
        pytest.param({"vault": "nonsense://x"}, id="no vault"),
    ],
)
def test_wrong_arguments_are_refused_when_the_dag_is_parsed(vault: Vault, arguments: dict[str, Any]):
    with pytest.raises(XBackupError):
        sensor(vault, **arguments)


@pytest.fixture
def bots(sim: Simulator, connect: Any) -> str:
    """A connection to the account of the bots welcome, support and sales."""
    keys = {"account_api_key": "demo-account"}
    connect("bots", conn_type="xenioo", host=sim.xenioo_url("welcome"), extra=json.dumps(keys))
    return "bots"


def test_a_bot_that_no_backup_covers_is_late_too(
    vault: Vault, bots: str, spool_dir: Path, caplog: pytest.LogCaptureFixture
):
    store_bot(vault, "welcome", account="greeter")
    store_bot(vault, "support", account="support")

    with pytest.raises(AirflowSensorTimeout, match="The bot 'sales' has no backup") as caught:
        sensor(vault, bots_of=bots).execute(make_context())

    assert "welcome" not in str(caught.value)
    assert "sales-secret" not in caplog.text
    assert "sales-key" not in caplog.text


def test_the_wait_ends_when_every_bot_has_a_backup(vault: Vault, bots: str, spool_dir: Path):
    for bot in ("welcome", "support"):
        store_bot(vault, bot, account=bot)
    take(vault, timedelta(hours=1), account="sales", service="xenioo")

    assert set(sensor(vault, bots_of=bots).execute(make_context())) == {
        "xenioo/welcome",
        "xenioo/support",
        "xenioo/sales",
    }


def test_a_connection_that_lists_no_bots_fails_the_sensor(vault: Vault):
    take(vault, timedelta(hours=2))

    with pytest.raises(XBackupError, match="nobody"):
        sensor(vault, bots_of="nobody").execute(make_context())


def store_bot(vault: Vault, conn_id: str, account: str) -> None:
    """Take a bot's backup as a DAG does."""
    task = XeniooToObjectStorageOperator(
        task_id="store", vault=str(vault.url), account=account, xenioo_conn_id=conn_id
    )
    task.execute(make_context(task_id=f"store {account}"))
