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
    assert set(HEAVY).isdisjoint(loaded_by(SCRIPT.format(module=module)))


# The first asset lets Airflow load the providers that know of assets.
FLOWS = """
import sys
import pendulum
from airflow.sdk import DAG, Asset
Asset("other://asset")
before = set(sys.modules)
from airflow_provider_xbackup.task_groups import xenioo_backup, xray_backup
with DAG("flows", start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
    xray_backup(vault="s3://bucket/vault", modified_since="auto", lock_for="90d", timeout=600)
    xenioo_backup(vault="s3://bucket/vault", on_cooldown="skip", lock_for="90d")
print("\\n".join(set(sys.modules) - before))
"""


def test_a_dag_file_that_is_parsed_pays_for_no_more():
    assert set(HEAVY).isdisjoint(loaded_by(FLOWS))


COMMAND = """
import sys
from airflow_provider_xbackup.cli.main import main
main(["--help"])
print("\\n".join(sys.modules))
"""


def test_a_command_that_only_tells_about_itself_loads_no_library():
    loaded = loaded_by(COMMAND)

    assert {*HEAVY, "airflow", "pydantic", "http", "ssl"}.isdisjoint(loaded)


def loaded_by(script: str) -> set[str]:
    """Return the modules that a script names."""
    command = [sys.executable, "-c", script]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.split())
