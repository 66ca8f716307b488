"""
### Prove that the backups of a tenant can be read

Xray has no restore, so a drill ends at the files: this takes the newest verified backup out of the vault,
decrypted and compared with its digests, counts the tests that are in it, and removes the files again. A partial
backup brings along the full one that it builds on.

**Before it runs**

1. Set the Airflow Variables `xbackup_vault`, and `xbackup_fetch_dir`: a folder with room for the files, such as
   `/srv/drill`. Tasks may run on different workers, so all of them must see it.
2. For an encrypted backup give the operator `identity_conn_id`, a connection whose password is the private key.

**Good to know**

- Files that are placed belong to the worker's user alone.
- Where there is no verified backup it fails: schedule a verification, as in `xray_incremental.py`.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import dag, task, teardown

from airflow_provider_xbackup.operators.vault import FetchBackupOperator

ACCOUNT = "acme"
#: Of this run alone. With a beginning of its own, whatever a run is called: `tidy_up` removes it.
FOLDER = "{{ var.value.xbackup_fetch_dir }}/drill-{{ run_id }}"


@dag(
    schedule="@monthly",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    tags=["xbackup", "xray"],
    doc_md=__doc__,
)
def xray_drill() -> None:
    """Fetch, look, tidy up."""
    # [START howto_operator_fetch_backup]
    fetch = FetchBackupOperator(
        task_id="fetch",
        vault="{{ var.value.xbackup_vault }}",
        directory=FOLDER,
        backup_id="latest-verified",
        service="xray",
        account=ACCOUNT,
        chain=True,
    )
    # [END howto_operator_fetch_backup]

    @task
    def count_tests(placed: dict[str, Any]) -> int:
        import json
        import zipfile

        # What changed is in the partial, everything else in the full that it builds on.
        found: set[str] = set()
        for each in filter(None, (placed.get("base"), placed)):
            with zipfile.ZipFile(each["files"]["backup"]) as data:
                for name in data.namelist():
                    if name.startswith("tests_"):
                        found |= {test["id"] for test in json.loads(data.read(name))["tests"]}
        if not found:
            raise ValueError(f"No test is in {placed['backup_id']}.")
        return len(found)

    @teardown
    def tidy_up(directory: str) -> None:
        import shutil

        shutil.rmtree(directory, ignore_errors=True)

    count_tests(fetch.output) >> tidy_up(FOLDER)


xray_drill()
