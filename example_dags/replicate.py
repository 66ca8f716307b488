"""
### Copy all backups into a second vault

Three copies, two kinds of storage, one elsewhere: this copies what the first vault has and the second lacks, reads
every copy back, and then looks whether the second vault alone would do, as if the first were gone.

**Before it runs**

1. Set the Airflow Variables `xbackup_vault` and `xbackup_copy_vault`, for example
   `s3://my_aws_conn@my-bucket/backups` and `gs://my_gcp_conn@other-bucket/backups`. Give the copy credentials of
   its own.
2. Say below what the second vault is to keep, and name the accounts that must be there.

**Good to know**

- Backups are copied as they lie: an encrypted one stays encrypted, and no key is needed.
- A damaged original is never copied over a good copy. A damaged copy fails the task; `repair=True` writes it anew.
- Expiring in the first vault does not remove a copy: give the second a retention DAG of its own, with the policy
  of this one. What that DAG lets expire is not copied again. Without `retention=` below all backups of the first
  vault are copied, and those that the second has removed come back with every run.
- A hold in the first vault holds the copy as well, and brings one back that has expired and is not removed yet.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import dag

from airflow_provider_xbackup.operators.vault import ReplicateBackupsOperator
from airflow_provider_xbackup.sensors.vault import BackupFreshnessSensor
from airflow_provider_xbackup.vault import RetentionPolicy

COPY = "{{ var.value.xbackup_copy_vault }}"
# What the second vault keeps. It may keep other backups than the first, or for longer.
POLICY = RetentionPolicy(keep_daily=14, keep_weekly=8, keep_monthly=12, keep_yearly=5)


@dag(
    schedule="0 6 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=10)},
    tags=["xbackup"],
    doc_md=__doc__,
)
def xbackup_replicate() -> None:
    """Copy, then look at the copy."""
    # [START howto_operator_replicate_backups]
    copy = ReplicateBackupsOperator(
        task_id="copy", source="{{ var.value.xbackup_vault }}", target=COPY, retention=POLICY
    )
    # [END howto_operator_replicate_backups]
    # [START howto_sensor_backup_freshness]
    # A copy is verified by being read back, so a promise about verified backups can be kept here at once.
    fresh = BackupFreshnessSensor(
        task_id="fresh",
        vault=COPY,
        rpo=timedelta(hours=32),
        verified_rpo=timedelta(hours=32),
        expect=["xray/acme", "xenioo/welcome", "xenioo/support", "xenioo/sales"],
        timeout=0,  # what is late now does not come by waiting: alarm at once
        retries=0,
    )
    # [END howto_sensor_backup_freshness]
    copy >> fresh


xbackup_replicate()
