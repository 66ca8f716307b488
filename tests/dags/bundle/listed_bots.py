"""Whole flows mapped over rows that a task makes."""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import dag, task

from airflow_provider_xbackup.task_groups import xenioo_backup, xray_backup


@dag(schedule=None, start_date=pendulum.datetime(2026, 1, 1), catchup=False)
def listed_bots() -> None:
    @task
    def bots() -> list[dict[str, Any]]:
        return [
            {"account": bot, "xenioo_conn_id": f"xenioo_{bot}", "on_cooldown": "wait", "encrypt_to": None}
            for bot in ("welcome", "support")
        ]

    xenioo_backup.partial(vault="{{ var.value.xbackup_vault }}").expand_kwargs(bots())


@dag(schedule=None, start_date=pendulum.datetime(2026, 1, 1), catchup=False)
def listed_tenants() -> None:
    @task
    def tenants() -> list[dict[str, Any]]:
        return [
            {
                "account": tenant,
                "project_ids": ["10042"],
                "modified_since": None,
                "with_attachments": tenant == "acme",
                "on_cooldown": "wait",
                "encrypt_to": None,
                "xray_conn_id": f"xray_{tenant}",
            }
            for tenant in ("acme", "globex")
        ]

    xray_backup.partial(vault="{{ var.value.xbackup_vault }}", poke_interval=1).expand_kwargs(tenants())


listed_bots()
listed_tenants()
