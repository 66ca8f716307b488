"""The example DAG that asks a person, as users copy it into their Airflow."""

import runpy
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[3] / "example_dags"

restore = runpy.run_path(str(EXAMPLES / "xenioo_restore.py"))["xenioo_restore"]()
