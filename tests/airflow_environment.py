"""The environment of an Airflow whose parts are processes of their own on this machine."""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

AIRFLOW = (sys.executable, "-m", "airflow")
_SECRET = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def environment_of(home: Path, url: str, **settings: str) -> dict[str, str]:
    """Return the environment in which all parts of an Airflow find each other.

    :param home: its folder
    :param url: where its api-server listens
    :param settings: what else is configured, as ``SECTION__OPTION``
    """
    port = url.rpartition(":")[2]
    common = {
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "CORE__FERNET_KEY": _SECRET,
        "API__HOST": "127.0.0.1",
        "API__PORT": port,
        "API__BASE_URL": url,
        "API__SECRET_KEY": _SECRET,
        "API_AUTH__JWT_SECRET": _SECRET,
        # What a test would only wait for: beats are quick, so that a death is soon noticed.
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
        "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "WORKERS__EXECUTION_API_TIMEOUT": "30",
        "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "3600",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
    }
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(home),
        **{f"AIRFLOW__{name}": value for name, value in {**common, **settings}.items()},
    }


def migrate(environment: Mapping[str, str], log: Path) -> None:
    """Make the tables of an Airflow."""
    with log.open("wb") as file:
        subprocess.run(
            [*AIRFLOW, "db", "migrate"], env=environment, stdout=file, stderr=subprocess.STDOUT, check=True
        )
