"""A bot is restored when a person has said yes, through Airflow's REST API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow_api import AirflowApi, Run
from live_flows import VERSION, Flows
from processes import wait_for

from airflow_provider_xbackup.cli.main import main
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.vault import Vault

KEYS = {"account_api_key": "demo-account", "bot_api_key": "welcome-key", "bot_api_secret": "welcome-secret"}


def ask(flows: Flows, sim: Simulator, vault: Vault) -> Run:
    """Back the bot up, verify it, and start its restore, up to the question."""
    assert flows.bot().wait_for_end() == "success"
    assert main(["verify", str(vault.url), "latest", "--service", "xenioo", "--account", flows.name]) == 0
    airflow, connection = flows.airflow, f"{flows.name}_keys"
    airflow.connect(connection, conn_type="xenioo", host=sim.xenioo_url("welcome"), extra=json.dumps(KEYS))
    airflow.set_text_variable("xbackup_vault", str(vault.url))
    run = airflow.run(
        "xenioo_restore", account=flows.name, connection=connection, variable=f"{flows.name}_restored_secret"
    )
    wait_for("the question", lambda: run.task("approve")["state"] in ("awaiting_input", "deferred"))
    # Nobody answers while the scheduler has not seen the asking process end: it would fail the task.
    wait_for("the scheduler", lambda: is_noticed(airflow, run))
    return run


def is_noticed(airflow: AirflowApi, run: Run) -> bool:
    said = airflow.processes.log_file("scheduler").read_text(errors="replace").splitlines()
    event = ("Received executor event", "task_id='approve'", run.run_id)
    return any(all(part in line for part in event) for line in said)


def answer(run: Run, option: str) -> None:
    path = f"{run.path}/taskInstances/approve/-1/hitlDetails"
    run.airflow.call("PATCH", path, {"chosen_options": [option], "params_input": {}})


def restored(sim: Simulator) -> list[Any]:
    return [bot for bot in sim._world.bots.all() if bot.token is None]


def test_a_bot_is_restored_when_the_answer_is_yes(flows: Flows, sim: Simulator, vault: Vault):
    run = ask(flows, sim, vault)
    assert not restored(sim)

    answer(run, "Approve")

    assert run.wait_for_end() == "success"
    (bot,) = restored(sim)
    assert bot.content == sim._world.bots.find("welcome").content
    assert [key for key in (bot.api_key, bot.api_secret) if key in run.log("restore")] == []


@pytest.mark.skipif(VERSION < (3, 2), reason="Airflow 3.1 hides only the top level of a Variable's JSON")
def test_airflow_shows_the_variable_of_a_restored_bot_without_its_secrets(
    flows: Flows, sim: Simulator, vault: Vault
):
    run = ask(flows, sim, vault)
    answer(run, "Approve")
    assert run.wait_for_end() == "success"

    shown = json.dumps(flows.airflow.call("GET", f"/variables/{flows.name}_restored_secret"))

    (bot,) = restored(sim)
    assert "bot_api_key" in shown or "***" in shown
    assert [key for key in (bot.api_key, bot.api_secret) if key in shown] == []


def test_no_bot_is_made_when_the_answer_is_no(flows: Flows, sim: Simulator, vault: Vault):
    run = ask(flows, sim, vault)

    answer(run, "Reject")

    assert run.wait_for_end() == "success"
    assert run.states()["restore"] == "skipped"
    assert not restored(sim)
