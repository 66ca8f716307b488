"""A tenant or a bot that lost most of what it held, and the person who says that this is right."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import pytest
from stand_in import StateStore, make_context

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.operators.xray import XrayCreateBackupOperator
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault

MakeJob = Callable[..., dict[str, Any]]


@pytest.fixture
def store(sim: Simulator, finished_job: MakeJob, vault: Vault) -> Callable[[], Any]:
    """Take a full backup of the tenant and store it."""
    sim.settings.xray.cooldown_seconds = 0

    def store() -> Any:
        sim.advance(2)  # ids sort by the second
        task = XrayToObjectStorageOperator(
            task_id="store", job=finished_job(), vault=str(vault.url), account="acme", xray_conn_id="acme"
        )
        return vault.find("xray", "acme", task.execute(make_context())["backup_id"])

    return store


@pytest.fixture
def wiped(sim: Simulator, store: Callable[[], Any]) -> tuple[Any, Any]:
    """A backup of the tenant, and one of what was left after somebody had emptied it."""
    good = store()
    sim.change_data(tests=0)
    suspect = store()
    assert suspect.state == "suspect"
    return good, suspect


def next_base(vault: Vault) -> str | None:
    """On what the next backup would build."""
    task = XrayCreateBackupOperator(
        task_id="create", xray_conn_id="acme", vault=str(vault.url), account="acme", modified_since="auto"
    )
    base: str | None = task.execute(make_context(StateStore()))["base"]
    return base


def command_in(log: str) -> list[str]:
    """The accept command that a log names."""
    _, found, rest = log.partition("`xbackup accept ")
    assert found
    return ["accept", *shlex.split(rest.partition("`")[0])]


def test_the_backup_of_a_wiped_tenant_is_no_base_until_a_person_accepts_it(
    wiped: tuple[Any, Any], vault: Vault, capfd: pytest.CaptureFixture[str]
):
    good, suspect = wiped
    assert next_base(vault) == good.backup_id

    assert main(["accept", str(vault.url), suspect.backup_id, "--why", "the projects moved"]) == 0

    assert next_base(vault) == suspect.backup_id


def test_once_accepted_the_backup_of_a_wiped_tenant_is_what_the_next_is_compared_with(
    wiped: tuple[Any, Any], vault: Vault, store: Callable[[], Any]
):
    _, suspect = wiped
    assert store().state == "suspect"

    assert main(["accept", str(vault.url), suspect.backup_id, "--why", "the projects moved"]) == 0

    assert store().state == "ok"


def test_the_log_names_the_command_that_accepts_a_tenants_suspect(
    sim: Simulator, store: Callable[[], Any], vault: Vault, caplog: pytest.LogCaptureFixture
):
    store()
    sim.change_data(tests=0)
    caplog.clear()
    suspect = store()

    assert main(command_in(caplog.text)) == 0

    accepted = vault.find("xray", "acme", suspect.backup_id)
    assert accepted is not None
    assert accepted.state == "accepted"


def test_the_log_names_the_command_that_accepts_a_bots_suspect(
    sim: Simulator, vault: Vault, spool_dir: Any, caplog: pytest.LogCaptureFixture
):
    sim.settings.xenioo.cooldown_seconds = 0
    for size in (100_000, 40_000):
        sim.advance(2)
        sim.configure({"xenioo": {"bots": {"welcome": {"backup_bytes": size}}}})
        caplog.clear()
        task = XeniooToObjectStorageOperator(
            task_id="store", vault=str(vault.url), account="welcome", xenioo_conn_id="welcome"
        )
        task.execute(make_context(run_id=f"run of {size}"))

    assert main(command_in(caplog.text)) == 0

    newest, _ = vault.backups("xenioo", "welcome")
    assert newest.state == "accepted"
