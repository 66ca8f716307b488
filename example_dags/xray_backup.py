"""
### Back up Xray Cloud tenants every night

Every tenant is a mapped copy of the same flow: ask Xray for a full backup with attachments, wait until it is made,
and stream both files into the vault, checked on the way. With `deferrable=True`, or Airflow's
`[operators] default_deferrable`, the wait happens in the triggerer and holds no worker.

**Before it runs**

1. Create a connection of type *Xray Cloud* (client id, client secret) for every tenant, such as `xray_default`.
2. Set the Airflow Variable `xbackup_vault`, for example `s3://my_aws_conn@my-bucket/backups`.
3. Name the tenants, below or as JSON in the Variable `xbackup_tenants`: account in the vault, connection, and the
   ids of the Jira projects. Leave `project_ids` out to back up all of them.

**Good to know**

- Xray makes one backup in six hours for a tenant. Met by that limit, the first task waits for the instant the
  server names, without holding a worker.
- A tenant has one backup file: put all its projects into one row.
- Each tenant updates its own asset, `xbackup://xray/acme` and so on; schedule other DAGs on it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import Variable, dag, task

from airflow_provider_xbackup.task_groups import rows_for, xray_backup

# [START howto_task_group_xray_backup]
TENANTS = [{"account": "acme", "xray_conn_id": "xray_default", "project_ids": ["10042", "10077"]}]
"""A row a tenant; it may hold any argument of `xray_backup`. The Variable `xbackup_tenants` takes its place."""


@dag(
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["xbackup", "xray"],
    doc_md=__doc__,
)
def xray_nightly_backup() -> None:
    """Ask for the backup of every tenant, wait for it, store it."""

    @task
    def tenants() -> list[dict[str, Any]]:
        return rows_for(xray_backup, Variable.get("xbackup_tenants", default=TENANTS, deserialize_json=True))

    xray_backup.partial(vault="{{ var.value.xbackup_vault }}", with_attachments=True).expand_kwargs(tenants())


# [END howto_task_group_xray_backup]


xray_nightly_backup()
