"""A whole DAG in an Airflow with OpenLineage's provider, and the events that it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.vault import Vault

SCRIPT = """
from airflow.utils.db import initdb
from pathlib import Path
import sys
initdb()
from stand_in import load_dags
run = load_dags(Path(sys.argv[1]))["one_bot"].test()
assert run.state == "success", run.state
"""
BUNDLE = Path(__file__).parent / "bundle"


def test_the_provider_of_openlineage_sends_what_a_transfer_tells(
    simulator: Simulator, vault: Vault, tmp_path: Path
):
    events = tmp_path / "events.jsonl"
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
            {"type": "file", "log_file_path": str(events), "append": True}
        ),
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(BUNDLE)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    sent = [json.loads(line) for line in events.read_text().splitlines()]
    (complete,) = [
        each for each in sent if each["eventType"] == "COMPLETE" and each["job"]["name"] == "one_bot.store"
    ]
    (backup,) = vault.backups()
    (artifact,) = backup.manifest.artifacts
    (source,), (output,) = complete["inputs"], complete["outputs"]
    assert (source["namespace"], source["name"]) == (
        f"xenioo://{simulator.url.removeprefix('http://')}",
        "xenioo_welcome",
    )
    assert output["namespace"] == "file"
    assert output["name"] == f"{vault.url.prefix}/{backup.path.file(artifact.name)}"
    assert output["outputFacets"]["outputStatistics"]["size"] == artifact.stored_size
    assert output["facets"]["xbackup"]["backup_id"] == backup.backup_id
    assert output["facets"]["xbackup"]["sha256"] == artifact.sha256
