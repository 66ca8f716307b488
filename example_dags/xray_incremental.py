"""
### Back up what changed in an Xray Cloud tenant, and everything once a week

Every eight hours it asks Xray for what changed since the last full backup, or for a full one when that is a week
old. Then it verifies what was stored.

**Before it runs**

1. Create the connection `xray_default` of type *Xray Cloud* (client id, client secret).
2. Set the Airflow Variable `xbackup_vault`, for example `s3://my_aws_conn@my-bucket/backups`.

**Good to know**

- A partial backup always builds on a full one, never on another partial: to get back, one needs the two that
  `xbackup show VAULT BACKUP_ID --chain` names.
- Retention keeps the full one as long as a partial needs it.
- A partial backup does not tell what was deleted since the full one.
- Xray makes one backup in six hours: runs closer together would wait for each other.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import dag

from airflow_provider_xbackup.assets import backup_asset
from airflow_provider_xbackup.operators.vault import VerifyBackupOperator
from airflow_provider_xbackup.operators.xray import XrayCreateBackupOperator
from airflow_provider_xbackup.sensors.xray import XrayBackupSensor
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator

VAULT = "{{ var.value.xbackup_vault }}"
ACCOUNT = "acme"


@dag(
    schedule="0 */8 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["xbackup", "xray"],
    doc_md=__doc__,
)
def xray_incremental_backup() -> None:
    """Ask for what changed, wait for it, store it, verify it."""
    # [START howto_operator_xray_create_backup]
    create = XrayCreateBackupOperator(
        task_id="create",
        modified_since="auto",  # since the last full backup: it is looked for in the vault
        full_every=timedelta(days=7),
        vault=VAULT,
        account=ACCOUNT,
    )
    # [END howto_operator_xray_create_backup]
    # [START howto_sensor_xray_backup]
    wait = XrayBackupSensor(task_id="wait", job=create.output, account=ACCOUNT)
    # [END howto_sensor_xray_backup]
    # [START howto_transfer_xray_to_object_storage]
    store = XrayToObjectStorageOperator(
        task_id="store",
        job=wait.output,
        vault=VAULT,
        account=ACCOUNT,
        outlets=[backup_asset("xray", ACCOUNT)],
    )
    # [END howto_transfer_xray_to_object_storage]
    VerifyBackupOperator(task_id="verify", vault=VAULT, backup_id=store.output, level="content")


xray_incremental_backup()
