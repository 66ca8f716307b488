"""
### Verify the newest backup, then let old ones expire

Runs after every backup of an account: it is scheduled on the asset that the backup updates. Nothing expires while
the newest backup cannot be verified, and nothing where no new ones come.

**Before it runs**

1. Set the Airflow Variable `xbackup_vault`, for example `s3://my_aws_conn@my-bucket/backups`.
2. Name the account below as it is called in the vault, and say what you want to keep.
3. Look at what would happen first: `dry_run=True` below, or `xbackup retention plan` on a terminal.

**Good to know**

- An expired backup can be brought back for three days: `xbackup undelete`. `xbackup hold` keeps one for good.
- Whatever the policy says, the newest verified backup stays, and a plan that looks like a mistake is refused.
- A bucket with versions or an object lock keeps the bytes until its own rule removes them.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import dag

from airflow_provider_xbackup.assets import backup_asset
from airflow_provider_xbackup.operators.vault import ApplyRetentionOperator, VerifyBackupOperator
from airflow_provider_xbackup.vault import RetentionPolicy

SERVICE, ACCOUNT = "xray", "acme"
POLICY = RetentionPolicy(keep_daily=14, keep_weekly=8, keep_monthly=12, keep_yearly=5)


@dag(
    schedule=[backup_asset(SERVICE, ACCOUNT)],
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["xbackup"],
    doc_md=__doc__,
)
def xbackup_retention() -> None:
    """Verify, then expire."""
    common = {"vault": "{{ var.value.xbackup_vault }}", "service": SERVICE, "account": ACCOUNT}
    # The whole content: every CRC, every JSON. An encrypted backup is verified as it is stored, unless the worker
    # has a private key.
    verify = VerifyBackupOperator(task_id="verify", backup_id="latest", level="content", **common)
    # dry_run=True tells in the log what would be kept and what would go, with the reasons, and touches nothing.
    # Begin with that. It has to become False some day, or the vault grows for ever.
    expire = ApplyRetentionOperator(task_id="expire", policy=POLICY, dry_run=False, **common)
    verify >> expire


xbackup_retention()
