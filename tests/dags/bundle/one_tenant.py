"""One flow with every choice taken from the run's configuration, so that tests can vary it."""

from __future__ import annotations

import pendulum
from airflow.sdk import Param, dag

from airflow_provider_xbackup.operators.xray import XrayCreateBackupOperator
from airflow_provider_xbackup.sensors.xray import XrayBackupSensor
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator

VAULT = "{{ var.value.xbackup_vault }}"


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1),
    catchup=False,
    params={
        "account": Param("acme"),
        "conn": Param("xray_acme"),
        "project_ids": Param(["10042"], type=["array", "null"]),
        "modified_since": Param(None, type=["string", "null"]),
        "on_cooldown": Param("wait"),
    },
    render_template_as_native_obj=True,
)
def one_tenant() -> None:
    common = {"account": "{{ params.account }}", "xray_conn_id": "{{ params.conn }}"}
    create = XrayCreateBackupOperator(
        task_id="create",
        project_ids="{{ params.project_ids }}",
        modified_since="{{ params.modified_since }}",
        on_cooldown="{{ params.on_cooldown }}",
        **common,
    )
    wait = XrayBackupSensor(task_id="wait", job=create.output, poke_interval=1, **common)
    XrayToObjectStorageOperator(task_id="store", job=wait.output, vault=VAULT, **common)


@dag(schedule=None, start_date=pendulum.datetime(2026, 1, 1), catchup=False, params={"on_cooldown": "wait"})
def one_bot() -> None:
    XeniooToObjectStorageOperator(
        task_id="store", vault=VAULT, xenioo_conn_id="xenioo_welcome", on_cooldown="{{ params.on_cooldown }}"
    )


one_tenant()
one_bot()
