from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "obstore",
    "aiohttp",
    "boto3",
    "requests",
    "pyrage",
    "zstandard",
    "rich",
    "ijson",
    "airflow_provider_xbackup.vault.manifest",
)

# Modules that Airflow itself loads do not count: only what importing ours adds.
SCRIPT = """
import sys
from airflow.providers.common.compat.sdk import (
    Asset, AssetAlias, BaseHook, BaseOperator, BaseSensorOperator, PokeReturnValue, conf, task_group,
)
import airflow.triggers.base
before = set(sys.modules)
import {module}
print("\\n".join(set(sys.modules) - before))
"""


@pytest.mark.parametrize(
    "module",
    [
        "airflow_provider_xbackup.operators.xray",
        "airflow_provider_xbackup.operators.vault",
        "airflow_provider_xbackup.sensors.xray",
        "airflow_provider_xbackup.triggers.xray",
        "airflow_provider_xbackup.transfers.xray_to_object_storage",
        "airflow_provider_xbackup.transfers.xenioo_to_object_storage",
        "airflow_provider_xbackup.task_groups",
        "airflow_provider_xbackup.assets",
        "airflow_provider_xbackup.provider_info",
    ],
)
def test_a_dag_file_that_imports_it_pays_for_nothing_it_does_not_use_yet(module: str):
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(module=module)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert set(HEAVY).isdisjoint(ran.stdout.split())
