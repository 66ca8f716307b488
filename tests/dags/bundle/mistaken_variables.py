"""Flows whose templates become what somebody put into the wrong Variable: a private key, a password in a URL."""

from __future__ import annotations

import pendulum
from airflow.sdk import Param, dag

from airflow_provider_xbackup.operators.xray import XrayCreateBackupOperator
from airflow_provider_xbackup.task_groups import xenioo_backup
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator

VAULT, KEYS = "{{ var.value.xbackup_vault }}", "{{ var.value.xbackup_keys }}"
JOB = {"job_id": "34a4", "requested_at": "2026-11-23T00:00:00Z"}


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1),
    catchup=False,
    params={"account": Param("acme")},
    render_template_as_native_obj=False,
)
def mistaken_variables() -> None:
    XrayCreateBackupOperator(task_id="create", vault=VAULT, xray_conn_id="xray_acme", modified_since="auto")
    XrayToObjectStorageOperator(
        task_id="store_tenant", job=JOB, vault=VAULT, encrypt_to=[KEYS], xray_conn_id="xray_acme"
    )
    XeniooToObjectStorageOperator(
        task_id="store_bot", vault=VAULT, encrypt_to=KEYS, xenioo_conn_id="xenioo_welcome"
    )
    xenioo_backup.partial(vault=VAULT, encrypt_to=KEYS).expand_kwargs(
        [{"account": "welcome", "xenioo_conn_id": "xenioo_welcome"}]
    )


mistaken_variables()
