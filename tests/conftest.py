"""What every test needs before Airflow is imported: a home of its own, and the DAGs of the DAG tests."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import signal
import tempfile
from pathlib import Path

import hypothesis
import pytest

pytest_plugins = ["outcome_table"]

ROOT = Path(__file__).resolve().parent.parent
_HOME = tempfile.mkdtemp(prefix="xbackup-tests-")
_BUNDLES = {"examples": ROOT / "example_dags", "tests": ROOT / "tests" / "dags" / "bundle"}

for name in [name for name in os.environ if name.startswith(("AIRFLOW", "AWS_", "AZURE_", "GOOGLE_"))]:
    del os.environ[name]
os.environ.update(
    AIRFLOW_HOME=_HOME,
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    XBACKUP_CACHE_DIR="",  # what one test has read of a vault is no other's business
    AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=json.dumps(
        [
            {
                "name": bundle,
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(path)},
            }
            for bundle, path in _BUNDLES.items()
        ]
    ),
)
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)

# A shell that runs the tests in the background lets them, and all they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The long profile is for hunting: make fuzz
hypothesis.settings.register_profile("default", max_examples=200, deadline=None)
hypothesis.settings.register_profile("long", max_examples=10_000, deadline=None)
hypothesis.settings.load_profile("default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that make up their own inputs, for ``make fuzz``."""
    for item in items:
        if hypothesis.is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker("property")


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Make Airflow's metadata database, in SQLite, for all tests of this process that need one."""
    from airflow.sdk.execution_time import supervisor
    from airflow.utils.db import initdb

    initdb()
    if not hasattr(supervisor.in_process_api_server, "cache_info"):
        # Airflow 3.1 makes another for every task of dag.test(), which takes seconds, and never closes it.
        supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)
