"""A connection that breaks near the end costs the rest and not the file again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pyrage
import pytest
from stand_in import STORAGE, files_of, make_context, objects

from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfer import download
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault

KEY = pyrage.x25519.Identity.generate()


@pytest.fixture
def arrived(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all blocks that came over any connection."""
    arrived: list[int] = []

    def counted(stream: Any, *size: int) -> Any:
        for block in blocks(stream, *size):
            arrived.append(len(block))
            yield block

    blocks = download.Stream.blocks
    monkeypatch.setattr(download.Stream, "blocks", counted)
    return arrived


@pytest.mark.parametrize(
    "several", [pytest.param(False, id="one connection"), pytest.param(True, id="several connections")]
)
@pytest.mark.parametrize(
    "encrypted", [pytest.param(False, id="as it is"), pytest.param(True, id="encrypted on the way")]
)
def test_a_break_at_nineteen_twentieths_costs_no_second_download(
    request: pytest.FixtureRequest,
    sim: Simulator,
    finished_job: Callable[..., dict[str, Any]],
    served: Callable[..., bytes],
    vault: Vault,
    arrived: list[int],
    several: bool,
    encrypted: bool,
):
    sim.settings.xray.tenants["demo-client"].data.padding_bytes = 20_000_000
    sim.settings.xray.download.link_one_time = False
    job = finished_job()
    content = served()
    if several:
        request.getfixturevalue("several_connections")
        sim.add_fault(action="reset", path=STORAGE, header="range", after_bytes=100_000, after=85)
    else:
        sim.add_fault(action="reset", path=STORAGE, after_bytes=19_000_000)
    arrived.clear()

    task = XrayToObjectStorageOperator(
        task_id="store",
        job=job,
        vault=str(vault.url),
        account="acme",
        xray_conn_id="acme",
        encrypt_to=str(KEY.to_public()) if encrypted else None,
    )
    backup = vault.find("xray", "acme", task.execute(make_context())["backup_id"])

    assert backup is not None
    (stored,) = files_of(vault, backup).values()
    assert (pyrage.decrypt(stored, [KEY]) if encrypted else stored) == content
    assert backup.manifest.artifacts[0].sha256 == hashlib.sha256(content).hexdigest()
    assert len(content) <= sum(arrived) <= len(content) + 1_000_000
    assert len(objects(vault)) == 2
