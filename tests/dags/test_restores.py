"""The example DAGs that make a bot of a backup, run by ``dag.test()``; a person's answer is marked as given."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import Template
from stand_in import load_dags

from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.layout import make_backup_id
from airflow_provider_xbackup.vault.plain import plain_blocks

EXAMPLES = Path(__file__).resolve().parents[2] / "example_dags"
KEYS = {"account_api_key": "demo-account", "bot_api_key": "welcome-key", "bot_api_secret": "welcome-secret"}


@pytest.fixture
def run_approved() -> Callable[..., Any]:
    """Run an example DAG whose question was answered with yes; returns the DAG run."""

    def run(dag_id: str, **conf: Any) -> Any:
        return load_dags(EXAMPLES)[dag_id].test(run_conf=conf or None, mark_success_pattern="approve")

    return run


@pytest.fixture(autouse=True)
def keys(airflow: None, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    conn = {"conn_type": "xenioo", "host": simulator.xenioo_url("welcome"), "extra": KEYS}
    monkeypatch.setenv("AIRFLOW_CONN_XENIOO_WELCOME", json.dumps(conn))


@pytest.fixture
def drills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    vault = Vault.open((tmp_path / "drills").as_uri())
    monkeypatch.setenv("AIRFLOW_VAR_XBACKUP_DRILL_VAULT", str(vault.url))
    return vault


@pytest.fixture
def verified(run_dag: Callable[..., Any], vault: Vault) -> str:
    """A verified backup of the bot; returns its id."""
    from airflow_provider_xbackup.cli.main import main

    run_dag("examples", "xenioo_nightly_backup")
    assert main(["verify", str(vault.url), "latest", "--service", "xenioo", "--account", "welcome"]) == 0
    found = vault.backups("xenioo", "welcome").latest()
    assert found is not None
    return found.backup_id


@pytest.fixture
def variables() -> Iterator[Callable[[], dict[str, str]]]:
    """The Variables in Airflow's database; those that a test leaves are removed."""
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session
    from sqlalchemy import delete, select

    def variables() -> dict[str, str]:
        with create_session() as session:
            return {each.key: each.get_val() for each in session.scalars(select(Variable))}

    yield variables
    with create_session() as session:
        session.execute(delete(Variable))


def outcomes(run: Any) -> dict[str, str]:
    return {ti.task_id: str(ti.state) for ti in run.get_task_instances()}


def xcoms(run: Any) -> dict[str, Any]:
    return {ti.task_id: ti.xcom_pull(task_ids=ti.task_id) for ti in run.get_task_instances()}


def restored(simulator: Simulator) -> list[Any]:
    return [bot for bot in simulator._world.bots.all() if bot.token is None]


def test_the_approved_backup_becomes_a_new_bot_and_is_held(
    run_approved, verified: str, simulator: Simulator, vault: Vault, variables
):
    run = run_approved("xenioo_restore")

    assert run.state == "success"
    (bot,) = restored(simulator)
    assert bot.content == simulator._world.bots.find("welcome").content
    assert xcoms(run)["restore"]["backup_id"] == verified
    assert json.loads(variables()["xenioo_restored_secret"])["extra"]["bot_api_secret"] == bot.api_secret
    assert vault.find("xenioo", "welcome", verified).held


@pytest.fixture
def suspect(vault: Vault, verified: str) -> str:
    """A newer backup of the bot, stored as suspect; returns its id."""
    good = vault.find("xenioo", "welcome", verified)
    assert good is not None
    body = b"".join(plain_blocks(vault.store, good.path, good.manifest.artifacts[0]))
    instant = good.instant + timedelta(seconds=1)
    draft = vault.draft("xenioo", "welcome", make_backup_id(instant, "full", "0000000f"))
    draft.add("bot", [body], media_type="application/json")
    condition = {"state": "suspect", "reasons": ["It fell."]}
    return draft.commit(requested_at=instant, producer={"package_version": "1"}, condition=condition).backup_id


def test_a_suspect_that_the_latest_came_upon_is_not_restored_though_it_was_approved(
    run_approved, suspect: str, simulator: Simulator, variables
):
    run = run_approved("xenioo_restore", backup_id="latest")

    assert outcomes(run)["restore"] == "failed"
    assert xcoms(run)["choose"]["backup_id"] == suspect
    assert (restored(simulator), variables()) == ([], {})
    example = runpy.run_path(str(EXAMPLES / "xenioo_restore.py"))["xenioo_restore"]()
    asked = Template(example.get_task("approve").body).render(
        ti=SimpleNamespace(xcom_pull=lambda task_ids: xcoms(run)[task_ids])
    )
    assert asked == f"Of the backup `{suspect}`, state **suspect**. It fell. The old bot stays as it is."


def test_a_suspect_that_somebody_asked_for_by_its_id_is_restored(
    run_approved, suspect: str, simulator: Simulator, variables
):
    run = run_approved("xenioo_restore", backup_id=suspect)

    assert run.state == "success"
    assert len(restored(simulator)) == 1


def test_airflow_imports_the_new_bots_connection_as_the_example_says(
    run_approved, verified: str, simulator: Simulator, variables
):
    from airflow.models.connection import Connection

    run_approved("xenioo_restore")

    conn = Connection.from_json(variables()["xenioo_restored_secret"], conn_id="xenioo_new")
    assert conn.extra_dejson["bot_api_key"] == restored(simulator)[0].api_key


def test_a_second_run_does_not_overwrite_the_keys_of_the_first(
    run_approved, verified: str, simulator: Simulator, variables
):
    run_approved("xenioo_restore")
    before = variables()
    simulator.settings.xenioo.cooldown_seconds = 0

    run = run_approved("xenioo_restore")

    assert outcomes(run)["restore"] == "failed"
    assert variables() == before
    assert len(restored(simulator)) == 1


def test_a_drill_finds_the_same_bot_and_says_which_one_to_remove(
    run_approved, verified: str, drills: Vault, simulator: Simulator, variables
):
    simulator.settings.xenioo.restore_new_ids = True

    run = run_approved("restore_drill")

    assert run.state == "success"
    found = xcoms(run)
    assert found["compare"]["same"]
    assert found["compare"]["new_ids"] > 100
    assert len(list(drills.backups("xenioo"))) == 1
    (variable,) = variables()
    assert found["say_what_to_remove"] == (
        f"Remove the bot welcome-restored-1 in the product, and then the Variable {variable}."
    )


@pytest.mark.parametrize("lost", ["Scripts", "NLP"])
def test_a_drill_that_finds_a_difference_is_a_failed_run_and_still_says_which_bot_to_remove(
    run_approved, verified: str, drills: Vault, simulator: Simulator, variables, lost: str
):
    simulator.settings.xenioo.restore_loses = (lost,)

    run = run_approved("restore_drill")

    assert run.state == "failed"
    assert outcomes(run)["compare"] == "failed"
    assert "welcome-restored-1" in xcoms(run)["say_what_to_remove"]


def test_a_drill_whose_restore_fails_is_a_failed_run_and_says_where_to_look(
    run_approved, verified: str, drills: Vault, simulator: Simulator, variables
):
    simulator.add_fault(action="status", status=500, path="/bots/restore$")

    run = run_approved("restore_drill")

    assert run.state == "failed"
    assert outcomes(run)["restore"] == "failed"
    assert restored(simulator) == []
    assert "If the restore failed, its log says" in xcoms(run)["say_what_to_remove"]


def test_no_key_of_the_new_bot_is_in_an_xcom(
    run_approved, verified: str, drills: Vault, simulator: Simulator, variables
):
    run = run_approved("restore_drill")

    (bot,) = restored(simulator)
    said = json.dumps(xcoms(run), default=str)
    assert [secret for secret in (bot.api_key, bot.api_secret, "demo-account") if secret in said] == []
