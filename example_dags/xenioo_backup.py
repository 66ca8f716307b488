"""
### Back up several Xenioo bots every night

Every bot is a mapped copy of the same flow: take the bot's backup, keep it on the worker's disk until it is
safe in the vault.

**Before it runs**

1. Create a connection of type *Xenioo* for every bot: its service endpoint as host, and its token or its keys.
2. Set the Airflow Variable `xbackup_vault`, for example `s3://my_aws_conn@my-bucket/backups`.
3. Name the bots below: account in the vault, and connection.

**Good to know**

- A bot hands out one backup an hour. Met by that limit, its task waits without holding a worker.
- Each bot updates its own asset, `xbackup://xenioo/welcome` and so on.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import dag

from airflow_provider_xbackup.task_groups import xenioo_backup

BOTS = {
    "welcome": "xenioo_welcome",
    "support": "xenioo_support",
    "sales": "xenioo_sales",
}
"""Name of the bot in the vault, and the id of its connection."""


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
    xenioo_backup.partial(vault="{{ var.value.xbackup_vault }}").expand_kwargs(
        [{"account": account, "xenioo_conn_id": conn_id} for account, conn_id in BOTS.items()]
    )


xenioo_nightly_backup()
