"""Nothing breaks: the example DAGs as they are shipped, over 20 bots and 5 tenants.

This file comes first: retention also follows what was backed up while it was paused, into whatever vault.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from celery_deployment import EXAMPLES, Deployment
from deployed_flows import PATIENCE, Flows
from processes import wait_for
from vendors import BOTS, TENANTS

from airflow_provider_xbackup.vault import Vault

OLD = {("xray", "tenant-1"): ("backup", True), ("xenioo", "bot-01"): ("bot", False)}
"""Accounts that have old backups already: what their file is called, and whether attachments are backed up."""


@pytest.fixture
def expiring(airflow: Deployment, flows: Flows, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three backups of one day of each account of OLD; returns the folders of those that no rule keeps."""
    for name, value in airflow.bucket.environment.items():
        monkeypatch.setenv(name, value)
    vault = Vault.open(f"s3://{airflow.bucket.name}/{flows.vault}")
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=3)
    for (service, account), (role, attachments) in OLD.items():
        for hour in range(3):
            requested_at = noon + timedelta(hours=hour)
            draft = vault.draft(service, account, f"{requested_at:%Y%m%dT%H%M%SZ}-full-0000000a")
            draft.add(role, [b"x"], media_type="application/octet-stream")
            scope = {"project_ids": None, "attachments": attachments}
            draft.commit(requested_at=requested_at, producer={"package_version": "1"}, scope=scope)
    # Of one day the last is kept, and the first of all.
    second = f"{noon + timedelta(hours=1):%Y%m%dT%H%M%SZ}-full-0000000a"
    return sorted(f"{flows.vault}/{service}/{account}/{second}" for service, account in OLD)


@pytest.fixture
def unpaused(airflow: Deployment, flows: Flows) -> Iterator[None]:
    """The example DAGs, set up as they say. They begin at once."""
    tenants = [{"account": name, "xray_conn_id": f"xray_{name}"} for name in TENANTS]
    bots = [{"account": name, "xenioo_conn_id": f"xenioo_{name}"} for name in BOTS]
    airflow.api.set_text_variable("xbackup_vault", airflow.vault(flows.vault))
    airflow.api.set_variable("xbackup_tenants", tenants)
    airflow.api.set_variable("xbackup_bots", bots)
    for dag_id in EXAMPLES:
        airflow.api.pause(dag_id, False)
    yield
    for dag_id in EXAMPLES:
        airflow.api.pause(dag_id)


@pytest.mark.row("none: the example DAGs over 20 bots and 5 tenants, and retention after them")
def test_the_example_dags_back_up_every_account_and_retention_follows(
    airflow: Deployment, flows: Flows, expiring: list[str], unpaused: None
):
    runs = [
        wait_for(f"a run of {dag_id}", lambda dag_id=dag_id: airflow.api.all_runs(dag_id))
        for dag_id in ("xray_nightly_backup", "xenioo_nightly_backup")
    ]
    wait_for("the verification of every backup", lambda: len(verified(airflow, flows)) == 25, PATIENCE)
    wait_for("the end of retention", lambda: not airflow.api.unfinished_runs(), PATIENCE)

    flows.conclude(*(run for each in runs for run in each), tenants=TENANTS, bots=BOTS)
    tombstones = [name for name in airflow.bucket.names(flows.vault) if name.endswith("/tombstone.json")]
    assert sorted(name.rpartition("/")[0] for name in tombstones) == expiring
    assert {run.state for run in airflow.api.all_runs("xbackup_retention")} == {"success"}


def verified(airflow: Deployment, flows: Flows) -> set[str]:
    """Return the folders of backups that were verified."""
    return {name.partition("/checks/")[0] for name in airflow.bucket.names(flows.vault) if "/checks/" in name}
