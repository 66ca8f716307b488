"""
### Back up an Xray Cloud tenant every night

Asks Xray for a full backup of two projects with their attachments, waits until it is made, and streams both
files into the vault, checked on the way. With `deferrable=True`, or Airflow's `[operators] default_deferrable`,
the wait happens in the triggerer and holds no worker.

**Before it runs**

1. Create the connection `xray_default` of type *Xray Cloud* (client id, client secret).
2. Set the Airflow Variable `xbackup_vault`, for example `s3://my_aws_conn@my-bucket/backups`.
3. Put the ids of your Jira projects below, or leave `project_ids` out to back up all of them.

**Good to know**

- Xray makes one backup in six hours for a tenant. Met by that limit, the first task waits for the instant the
  server names, without holding a worker.
- A tenant has one backup file: put all its projects into one call.
- The DAG updates the asset `xbackup://xray/acme`; schedule other DAGs on it.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import dag

from airflow_provider_xbackup.task_groups import xray_backup


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
    """Ask for the backup, wait for it, store it."""
    xray_backup(
        vault="{{ var.value.xbackup_vault }}",
        account="acme",
        project_ids=["10042", "10077"],
        with_attachments=True,
    )


xray_nightly_backup()
