"""Whole flows mapped over tenants, each with its own connection; and a DAG that follows one of them."""

from __future__ import annotations

import pendulum
from airflow.sdk import dag, task

from airflow_provider_xbackup.assets import backup_asset
from airflow_provider_xbackup.task_groups import xray_backup


@dag(schedule=None, start_date=pendulum.datetime(2026, 1, 1), catchup=False)
def mapped_tenants() -> None:
    xray_backup.partial(vault="{{ var.value.xbackup_vault }}", poke_interval=1, deferrable=True).expand_kwargs(
        [
            {"account": "acme", "xray_conn_id": "xray_acme", "project_ids": ["10042"], "with_attachments": True},
            {"account": "globex", "xray_conn_id": "xray_globex", "project_ids": None, "with_attachments": False},
        ]
    )


@dag(schedule=[backup_asset("xray", "globex")], start_date=pendulum.datetime(2026, 1, 1), catchup=False)
def follows_globex() -> None:
    @task
    def report(triggering_asset_events: dict) -> list:
        return [event.extra["backup_id"] for events in triggering_asset_events.values() for event in events]

    report()


mapped_tenants()
follows_globex()
