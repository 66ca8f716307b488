"""The flows that are killed, cleared and interrupted. What a run is about comes with its configuration.

The operators are the package's own. Some stop at a moment that a test names, so that it can kill the
process right there: they stop while the file ``hold-<moment>`` exists in the run's ``gate`` folder.
"""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
from airflow.sdk import dag, task
from airflow.sdk.definitions.deadline import AsyncCallback, DeadlineAlert, DeadlineReference

from airflow_provider_xbackup.notifications import tell_of_late_backups
from airflow_provider_xbackup.operators.xray import XrayCreateBackupOperator
from airflow_provider_xbackup.sensors.xray import XrayBackupSensor
from airflow_provider_xbackup.task_groups import xenioo_backup, xray_backup
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator

FLOW = {
    "start_date": pendulum.datetime(2026, 1, 1),
    "catchup": False,
    "render_template_as_native_obj": True,
    # Not for the package: the scheduler can fail a task whose deferral ends soon after it began.
    "default_args": {"retries": 4, "retry_delay": timedelta(seconds=1)},
}
SCOPE = "{{ var.json.get('scope_' ~ params.account, none) }}"


def stop_at(moment: str, context: Any) -> None:
    """Tell the test that a moment has come, and go on when it says so."""
    gate = Path(context["params"]["gate"])
    hold = gate / f"hold-{moment}"
    if hold.exists():
        (gate / "pid.new").write_text(str(os.getpid()))
        (gate / "pid.new").rename(gate / f"reached-{moment}")
    while hold.exists():
        time.sleep(0.05)


class StoppingStateStore:
    """Airflow's task state store, with a stop on either side of the write that remembers a job."""

    def __init__(self, store: Any, context: Any) -> None:
        self._store = store
        self._context = context

    def get(self, key: str) -> Any:
        return self._store.get(key)

    def delete(self, key: str) -> None:
        self._store.delete(key)

    def set(self, key: str, value: Any) -> None:
        stops = key == "xbackup_job"
        if stops:
            stop_at("before-remembering", self._context)
        self._store.set(key, value)
        if stops:
            stop_at("after-remembering", self._context)


class StoppingCreate(XrayCreateBackupOperator):
    def execute(self, context: Any) -> Any:
        if "task_state_store" in context:  # Airflow 3.3
            store = StoppingStateStore(context["task_state_store"], context)
            context = {**context, "task_state_store": store}
        return super().execute(context)


class StoppingTransfer(XrayToObjectStorageOperator):
    def execute(self, context: Any) -> Any:
        stop_at("before-transfer", context)
        return super().execute(context)


class StoppingBotTransfer(XeniooToObjectStorageOperator):
    def execute(self, context: Any) -> Any:
        from airflow_provider_xbackup.transfer.spool import Spool

        write = Spool.write

        def write_and_stop(*args: Any, **kwargs: Any) -> Any:
            spooled = write(*args, **kwargs)
            stop_at("after-spooling", context)
            return spooled

        Spool.write = write_and_stop
        return super().execute(context)


def back_up_tenant(*, deferrable: bool = True, time_limit: timedelta | None = None) -> None:
    common = {"account": "{{ params.account }}", "xray_conn_id": "{{ params.conn }}"}
    create = StoppingCreate(
        task_id="create",
        project_ids=SCOPE,
        on_cooldown="{{ params.on_cooldown }}",
        vault="{{ params.vault }}",
        **common,
    )
    wait = XrayBackupSensor(task_id="wait", job=create.output, deferrable=deferrable, poke_interval=1, **common)
    StoppingTransfer(
        task_id="store", job=wait.output, vault="{{ params.vault }}", execution_timeout=time_limit, **common
    )


@dag(schedule=None, **FLOW)
def tenant() -> None:
    back_up_tenant()


@dag(schedule=None, **FLOW)
def poked_tenant() -> None:
    back_up_tenant(deferrable=False)


@dag(schedule=None, **FLOW)
def hurried_tenant() -> None:
    back_up_tenant(time_limit=timedelta(seconds=10))


@dag(schedule=None, **FLOW)
def bot() -> None:
    StoppingBotTransfer(
        task_id="store",
        vault="{{ params.vault }}",
        account="{{ params.account }}",
        on_cooldown="{{ params.on_cooldown }}",
        xenioo_conn_id="{{ params.conn }}",
    )


@dag(
    schedule=None,
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(seconds=2),
        callback=AsyncCallback(
            tell_of_late_backups,
            kwargs={
                "notifier": "airflow.providers.smtp.notifications.smtp.SmtpNotifier",
                "notifier_kwargs": {
                    "to": "on-call@example.com",
                    "from_email": "airflow@example.com",
                    "subject": "{{ backup_alert.subject }}",
                    "html_content": "{{ backup_alert.html }}",
                },
            },
        ),
    ),
    **FLOW,
)
def overdue() -> None:
    back_up_tenant()


@task
def tenants(params: dict) -> list[dict[str, Any]]:
    rest = {"project_ids": None, "modified_since": None, "with_attachments": False}
    return [{**row, **rest, "on_cooldown": "wait", "encrypt_to": None} for row in params["tenants"]]


@dag(schedule=None, **FLOW)
def pooled() -> None:
    flow = xray_backup.partial(vault="{{ params.vault }}", deferrable=True, poke_interval=1, pool="one_slot")
    flow.expand_kwargs(tenants())


@dag(schedule=None, **FLOW)
def many() -> None:
    @task
    def bots(params: dict) -> list[dict[str, Any]]:
        return [{**row, "on_cooldown": "wait", "encrypt_to": None} for row in params["bots"]]

    vault = "{{ params.vault }}"
    xray_backup.partial(vault=vault, deferrable=True, poke_interval=1).expand_kwargs(tenants())
    xenioo_backup.partial(vault=vault).expand_kwargs(bots())


tenant()
poked_tenant()
hurried_tenant()
bot()
pooled()
many()
overdue()
