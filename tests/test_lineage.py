"""What tasks tell OpenLineage; that its provider asks them for it is tried in tests/dags."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attr
import jsonschema
import pytest
from openlineage.client.serde import Serde
from stand_in import (
    connect,
    connections,
    finished_job,
    make_context,
    naps,
    served,
    sim,
    spool_dir,
    vault,
)

from airflow_provider_xbackup import lineage
from airflow_provider_xbackup.operators.vault import FetchBackupOperator
from airflow_provider_xbackup.operators.xenioo import XeniooRestoreBotOperator
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfers.xenioo_to_object_storage import XeniooToObjectStorageOperator
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.url import VaultUrl

__all__ = ["connect", "connections", "finished_job", "naps", "served", "sim", "spool_dir", "vault"]

SCHEMA = json.loads((Path(__file__).resolve().parent.parent / "docs" / "lineage.schema.json").read_text())
FACET = SCHEMA["$defs"]["XBackupDatasetFacet"]["allOf"][1]


def run(task: Any) -> tuple[dict[str, Any], Any]:
    """Run a task as OpenLineage sees it; return what it returned and what it tells, as it is sent."""
    returned = task.execute(make_context())
    told = task.get_openlineage_facets_on_complete(None)
    inputs, outputs = ([json.loads(Serde.to_json(each)) for each in some] for some in (told.inputs, told.outputs))
    return returned, SimpleNamespace(inputs=inputs, outputs=outputs)


def host_of(sim: Simulator) -> str:
    return sim.url.removeprefix("http://")


def store(vault: Vault, job: dict[str, Any]) -> XrayToObjectStorageOperator:
    return XrayToObjectStorageOperator(
        task_id="store", job=job, vault=str(vault.url), account="tenant", xray_conn_id="acme"
    )


def take_bot(vault: Vault) -> XeniooToObjectStorageOperator:
    return XeniooToObjectStorageOperator(task_id="store", vault=str(vault.url), xenioo_conn_id="welcome")


def restore(vault: Vault, folder: Path) -> XeniooRestoreBotOperator:
    return XeniooRestoreBotOperator(
        task_id="restore",
        vault=str(vault.url),
        backup_id="latest",
        account="welcome",
        keys_file=str(folder / "keys.json"),
        xenioo_conn_id="welcome",
    )


def test_a_transfer_leads_from_the_tenant_to_the_files_in_the_vault(
    sim: Simulator, vault: Vault, finished_job: Callable[..., Any]
):
    stored, told = run(store(vault, finished_job(with_attachments=True)))

    (source,) = told.inputs
    assert (source["namespace"], source["name"]) == (f"xray://{host_of(sim)}", "tenant")
    backup = vault.find("xray", "tenant", stored["backup_id"])
    assert backup is not None
    assert len(told.outputs) == 2
    for output, artifact in zip(told.outputs, backup.manifest.artifacts, strict=True):
        path = Path(output["name"])
        assert output["namespace"] == "file"
        assert path.stat().st_size == output["outputFacets"]["outputStatistics"]["size"] == artifact.stored_size
        facet = output["facets"]["xbackup"]
        jsonschema.validate(facet, FACET)
        assert facet["backup_id"] == stored["backup_id"]
        assert facet["sha256"] == artifact.sha256
        assert facet["_schemaURL"] == f"{SCHEMA['$id']}#/$defs/XBackupDatasetFacet"


def test_a_bots_file_comes_from_its_service(sim: Simulator, vault: Vault, spool_dir: Path):
    _, told = run(take_bot(vault))

    assert [(each["namespace"], each["name"]) for each in told.inputs] == [(f"xenioo://{host_of(sim)}", "welcome")]
    assert [each["facets"]["xbackup"]["role"] for each in told.outputs] == ["bot"]


def test_a_fetch_leads_from_the_vault_to_the_worker(
    sim: Simulator, vault: Vault, finished_job: Callable[..., Any], tmp_path: Path
):
    _, stored = run(store(vault, finished_job()))
    task = FetchBackupOperator(
        task_id="fetch", vault=str(vault.url), backup_id="latest", directory=str(tmp_path / "fetched")
    )

    returned, told = run(task)

    assert [each["name"] for each in told.inputs] == [each["name"] for each in stored.outputs]
    assert [each["name"] for each in told.outputs] == list(returned["files"].values())


def test_a_restore_leads_from_the_vault_to_the_new_bot(
    sim: Simulator, vault: Vault, spool_dir: Path, tmp_path: Path, connect: Callable[..., None]
):
    keys = {"account_api_key": "demo-account", "bot_api_key": "welcome-key", "bot_api_secret": "welcome-secret"}
    connect("welcome", conn_type="xenioo", host=sim.xenioo_url("welcome"), extra=json.dumps(keys))
    _, stored = run(take_bot(vault))

    returned, told = run(restore(vault, tmp_path))

    assert returned["bot"]
    assert [each["name"] for each in told.inputs] == [each["name"] for each in stored.outputs]
    assert [(each["namespace"], each["name"]) for each in told.outputs] == [
        (f"xenioo://{host_of(sim)}", returned["bot"])
    ]


def test_a_restored_bot_whose_name_nobody_tells_is_no_dataset(
    sim: Simulator, vault: Vault, spool_dir: Path, tmp_path: Path
):
    _, stored = run(take_bot(vault))

    _, told = run(restore(vault, tmp_path))

    assert [each["name"] for each in told.inputs] == [each["name"] for each in stored.outputs]
    assert told.outputs == []


def test_a_task_that_came_to_nothing_tells_nothing(vault: Vault, tmp_path: Path):
    task = FetchBackupOperator(task_id="fetch", vault=str(vault.url), directory=str(tmp_path))

    told = task.get_openlineage_facets_on_complete(None)

    assert (told.inputs, told.outputs) == ([], [])


@pytest.mark.parametrize(
    ("url", "account", "named"),
    [
        ("file:///srv/backups", None, ("file", "/srv/backups/xray/acme/ID/backup.zip")),
        ("s3://aws@backups/a/b", None, ("s3://backups", "a/b/xray/acme/ID/backup.zip")),
        ("gs://backups", None, ("gs://backups", "xray/acme/ID/backup.zip")),
        (
            "abfs://azure@backups/a",
            "acmestore",
            ("abfss://backups@acmestore.dfs.core.windows.net", "a/xray/acme/ID/backup.zip"),
        ),
    ],
)
def test_files_are_called_as_openlineage_calls_them(url: str, account: str | None, named: tuple[str, str]):
    there = SimpleNamespace(url=VaultUrl.parse(url), store=SimpleNamespace(account=account))
    backup = SimpleNamespace(path=BackupPath("xray", "acme", "ID"))

    assert lineage._name(there, backup, SimpleNamespace(name="backup.zip")) == named


def test_no_field_of_the_facet_is_taken_for_a_secret():
    names = {each.name for each in attr.fields(lineage.XBackupDatasetFacet)}

    assert names >= set(FACET["required"])
    fields = dict.fromkeys(FACET["required"], "x")
    assert set(FACET["required"]) <= set(lineage.XBackupDatasetFacet(**fields).skip_redact)


def test_operators_do_not_need_openlineage():
    script = (
        "import sys\n"
        "sys.modules['openlineage'] = sys.modules['airflow.providers.openlineage.extractors'] = None\n"
        "import airflow_provider_xbackup.operators.vault, airflow_provider_xbackup.operators.xenioo\n"
        "import airflow_provider_xbackup.transfers.xray_to_object_storage\n"
        "import airflow_provider_xbackup.transfers.xenioo_to_object_storage\n"
    )

    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
