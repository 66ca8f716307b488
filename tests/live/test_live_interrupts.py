"""A transfer that is interrupted leaves nothing to be seen, and the next one converges."""

from __future__ import annotations

from live_deployment import Deployment
from live_flows import Flows, Gate, connections_to, objects, whole_backups
from processes import is_alive, kill_all, wait_for

from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.vault import Vault


def test_a_transfer_marked_as_failed_ends_leaves_nothing_and_can_be_run_again(
    flows: Flows, sim: Simulator, vault: Vault
):
    run = flows.stalled_transfer()
    pid = run.pid("store")

    run.mark_failed("store")
    wait_for("the end of the process", lambda: not is_alive(pid))
    wait_for("the end of its connection", lambda: not connections_to(sim))

    assert run.wait_for_end() == "failed"
    assert not objects(vault)

    run.clear("store")
    assert run.wait_for_end() == "success"
    assert len(sim.journal.entries("/backup", "POST")) == 1
    assert len(whole_backups(vault)) == 1


def test_a_transfer_cleared_on_its_way_ends_and_the_next_one_stores_the_backup(
    flows: Flows, sim: Simulator, vault: Vault
):
    run = flows.stalled_transfer()
    pid = run.pid("store")

    run.clear("store")
    wait_for("the end of the process", lambda: not is_alive(pid))

    assert run.wait_for_end() == "success"
    assert len(sim.journal.entries("/backup", "POST")) == 1
    assert len(whole_backups(vault)) == 1
    assert len(objects(vault)) == 2


def test_a_transfer_that_exceeds_its_time_ends_and_the_retry_stores_the_backup(
    flows: Flows, sim: Simulator, vault: Vault
):
    run = flows.stalled_transfer("hurried_tenant")
    pid = run.pid("store")

    wait_for("the end of the process", lambda: not is_alive(pid))

    assert run.wait_for_end() == "success"
    assert "AirflowTaskTimeout" in run.log("store")
    assert len(sim.journal.entries("/backup", "POST")) == 1
    assert len(whole_backups(vault)) == 1
    assert len(objects(vault)) == 2


def test_a_bots_transfer_killed_between_spool_and_vault_finishes_without_asking_again(
    flows: Flows, airflow: Deployment, sim: Simulator, vault: Vault, gate: Gate
):
    gate.hold("after-spooling")
    run = flows.bot()

    kill_all({gate.wait_for("after-spooling")})
    gate.open()

    assert run.wait_for_end() == "success"
    assert run.task("store")["try_number"] > 1
    assert len(sim.journal.entries("/bots/backup", "GET")) == 1
    assert len(whole_backups(vault)) == 1
    assert not list(airflow.spool.iterdir())


def test_a_bots_transfer_killed_while_the_answer_comes_follows_on_cooldown(
    flows: Flows, sim: Simulator, vault: Vault
):
    sim.add_fault(action="stall", path="/bots/backup$", after_bytes=70_000)
    run = flows.bot(on_cooldown="skip")
    wait_for("the answer", lambda: sim.journal.entries("/bots/backup"))

    kill_all({run.pid("store")})

    assert run.wait_for_end() == "success"
    assert run.states() == {"store": "skipped"}
    assert not objects(vault)
