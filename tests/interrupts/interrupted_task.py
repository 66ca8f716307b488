"""A process that runs one task as Airflow's task runner does, signals included, and says how it ended."""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection
from typing import Any

import boto3  # noqa: F401 - loaded before the processes are forked
import obstore.store  # noqa: F401
from airflow.providers.common.compat.sdk import AirflowTaskTimeout
from airflow.sdk.execution_time.timeout import timeout
from stand_in import make_context

from airflow_provider_xbackup.transfer import xenioo, xray  # noqa: F401
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator

OPERATORS: dict[str, type[Any]] = {
    "xray": XrayToObjectStorageOperator,
    "xenioo": XeniooToObjectStorageOperator,
}


def main(kind: str, arguments: dict[str, Any], environment: dict[str, str], told: Connection) -> None:
    """Run a task, and tell the name and the text of what it ended with."""
    os.environ.clear()
    os.environ.update(environment)
    try:
        _run(OPERATORS[kind](task_id="store", **arguments))
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
        told.send((type(error).__name__, str(error)))
    else:
        told.send(("", ""))


def _run(task: Any) -> None:
    # The task runner's handler calls on_kill and returns; its timeout raises, and on_kill comes after.
    signal.signal(signal.SIGTERM, lambda *_: task.on_kill())
    try:
        with timeout(3600):
            task.execute(make_context())
    except AirflowTaskTimeout:
        task.on_kill()
        raise
