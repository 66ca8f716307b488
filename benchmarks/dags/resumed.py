"""Tasks that wait for jobs, and tasks that wait for moments: the DAG of ``benchmarks/resume.py``."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import DAG

from airflow_provider_xbackup.sensors.xray import XrayBackupSensor


def _job(job_id: str, began: float) -> dict[str, object]:
    return {
        "job_id": job_id,
        "requested_at": datetime.fromtimestamp(began, UTC).isoformat(),
        "finished_at": None,
        "kind": "full",
        "base": None,
        "project_ids": None,
        "modified_since": None,
        "with_attachments": False,
    }


with DAG("resumed", schedule="@once", start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False):
    for number, (conn_id, job_id, began) in enumerate(json.loads(os.environ["BENCHMARK_JOBS"])):
        XrayBackupSensor(task_id=f"job_{number}", job=_job(job_id, began), xray_conn_id=conn_id, deferrable=True)
    for number, moment in enumerate(json.loads(os.environ["BENCHMARK_MOMENTS"])):
        DateTimeSensorAsync(
            task_id=f"moment_{number}", target_time=datetime.fromtimestamp(moment, UTC).isoformat()
        )
