"""
### Back up several Xenioo bots every night

Every bot is a mapped copy of the same flow: take the bot's backup, keep it on the worker's disk until it is
safe in the vault.

**Before it runs**

1. Create a connection of type *Xenioo* for every bot: its service endpoint as host, and its token or its keys.
2. Set the Airflow Variable `xbackup_vault`, for example `s3://my_aws_conn@my-bucket/backups`.
3. Name the bots, below or as JSON in the Variable `xbackup_bots`: account in the vault, and connection.

**Good to know**

- A bot hands out one backup an hour. Met by that limit, its task waits without holding a worker.
- Each bot updates its own asset, `xbackup://xenioo/welcome` and so on.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import Variable, dag, task

from airflow_provider_xbackup.task_groups import rows_for, xenioo_backup

# [START howto_task_group_xenioo_backup]
BOTS = [
    {"account": "welcome", "xenioo_conn_id": "xenioo_welcome"},
    {"account": "support", "xenioo_conn_id": "xenioo_support"},
    {"account": "sales", "xenioo_conn_id": "xenioo_sales"},
]
"""A row a bot; it may hold any argument of `xenioo_backup`. The Variable `xbackup_bots` takes its place."""


@dag(
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["xbackup", "xenioo"],
    doc_md=__doc__,
)
def xenioo_nightly_backup() -> None:
    """Take and store the backup of every bot."""

    @task
    def bots() -> list[dict[str, Any]]:
        return rows_for(xenioo_backup, Variable.get("xbackup_bots", default=BOTS, deserialize_json=True))

    xenioo_backup.partial(vault="{{ var.value.xbackup_vault }}").expand_kwargs(bots())


# [END howto_task_group_xenioo_backup]


xenioo_nightly_backup()
