"""The first thing a newcomer does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from airflow_provider_xbackup.vault import Vault

COMMAND = [sys.executable, "-m", "airflow_provider_xbackup.cli.main", "demo"]


def test_the_demo_stores_a_tenant_with_attachments_and_three_bots(tmp_path: Path):
    done = subprocess.run([*COMMAND, tmp_path], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    manifests = [backup.manifest for backup in Vault.open((tmp_path / "demo-vault").as_uri()).backups()]
    assert Counter(manifest.service for manifest in manifests) == {"xray": 1, "xenioo": 3}
    (tenant,) = [manifest for manifest in manifests if manifest.service == "xray"]
    assert tenant.entities is not None
    assert tenant.entities["tests"] == 2000
    (attachments,) = [artifact for artifact in tenant.artifacts if artifact.role == "attachments"]
    assert attachments.size > 20_000_000
    assert "What to try next" in done.stdout
    assert f"rm -r {tmp_path}/demo-vault {tmp_path}/demo-airflow\n" in done.stdout
    assert {folder.name for folder in tmp_path.iterdir()} == {"demo-vault", "demo-airflow"}


def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path):
    with subprocess.Popen([*COMMAND, tmp_path], stdout=subprocess.PIPE, text=True, start_new_session=True) as demo:
        for line in demo.stdout or ():
            if "Xray accepted" in line:
                break
        os.killpg(demo.pid, signal.SIGINT)
        said, _ = demo.communicate()

    assert demo.returncode == 130, said
    assert not processes_of_session(demo.pid)


def processes_of_session(session: int) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(entry.parent.name)
    return found
