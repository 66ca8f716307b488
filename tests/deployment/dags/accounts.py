"""Flows of any accounts. Whose backup a run takes, and where it goes, comes with its configuration."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import dag, task

from airflow_provider_xbackup.task_groups import rows_for, xenioo_backup, xray_backup

FLOW = {
    "start_date": pendulum.datetime(2026, 1, 1),
    "catchup": False,
    "params": {"vault": "", "tenants": [], "bots": [], "on_cooldown": "wait"},
    "default_args": {"retries": 5, "retry_delay": timedelta(seconds=2)},
}


def back_up() -> None:
    """Back up the tenants and bots of the run."""

    @task
    def tenants(params: dict) -> list[dict[str, Any]]:
        rows = [{**row, "on_cooldown": params["on_cooldown"]} for row in params["tenants"]]
        return rows_for(xray_backup, rows) if rows else []

    @task
    def bots(params: dict) -> list[dict[str, Any]]:
        return rows_for(xenioo_backup, params["bots"]) if params["bots"] else []

    common = {"vault": "{{ params.vault }}", "pool": "backups"}
    xray_backup.partial(poke_interval=2, **common).expand_kwargs(tenants())
    xenioo_backup.partial(**common).expand_kwargs(bots())


@dag(schedule=None, **FLOW)
def accounts() -> None:
    """Any number of its runs may be under way at once."""
    back_up()


@dag(schedule=None, **FLOW)
def same_accounts() -> None:
    """The same accounts in another DAG."""
    back_up()


@dag(schedule=None, dagrun_timeout=timedelta(minutes=1), **FLOW)
def hurried_accounts() -> None:
    """A run has a minute."""
    back_up()


accounts()
same_accounts()
hurried_accounts()
