from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
from stand_in import ATTACHMENTS, DATA, STORAGE, Naps, files_of, make_context, objects

from airflow_provider_xbackup import __version__
from airflow_provider_xbackup.assets import backup_alias, backup_asset
from airflow_provider_xbackup.exceptions import XBackupError, XBackupFailError
from airflow_provider_xbackup.hooks.xray import XrayHook
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault

Job = dict[str, Any]
MakeJob = Callable[..., Job]
Served = Callable[..., bytes]
FILE = "/api/v2/backup/file$"
ATTACHMENTS_FILE = "/attachment$"


def operator(job: Any, vault: Vault, /, **arguments: Any) -> XrayToObjectStorageOperator:
    defaults = {"task_id": "store", "vault": str(vault.url), "account": "acme", "xray_conn_id": "acme"}
    return XrayToObjectStorageOperator(job=job, **defaults | arguments)


@pytest.fixture
def store(vault: Vault) -> Callable[..., Any]:
    """Run the transfer; returns the one backup that the vault holds under the id it returned."""

    def store(job: Job, context: Any = None, **arguments: Any) -> Any:
        result = operator(job, vault, **arguments).execute(context or make_context())
        return vault.find("xray", "acme", result["backup_id"])

    return store


@pytest.fixture
def no_cooldown(sim: Simulator) -> None:
    sim.settings.xray.cooldown_seconds = 0


@pytest.fixture
def still(sim: Simulator) -> None:
    """The service's clock stands still, so that files are of the same second, or not, whatever the load."""
    sim.clock.freeze()


@pytest.fixture
def big(sim: Simulator) -> int:
    """The tenant's file is larger than what a socket swallows at once; returns its padding."""
    sim.settings.xray.tenants["demo-client"].data.padding_bytes = 3_000_000
    return 3_000_000


def downloads(sim: Simulator) -> int:
    """How often bytes of a file were asked for."""
    return len(sim.journal.entries(path="/_storage/…"))


# Whole


def test_the_stored_bytes_are_those_the_service_served(
    finished_job: MakeJob, store: Any, served: Served, vault: Vault
):
    backup = store(finished_job(with_attachments=True))

    assert files_of(vault, backup) == {"backup": served(DATA), "attachments": served(ATTACHMENTS)}


def test_the_manifest_says_what_was_stored(finished_job: MakeJob, store: Any, served: Served):
    backup = store(finished_job())

    (artifact,) = backup.manifest.artifacts
    data = served()
    assert (artifact.role, artifact.media_type) == ("backup", "application/zip")
    assert artifact.size == artifact.stored_size == len(data)
    assert artifact.sha256 == artifact.stored_sha256 == hashlib.sha256(data).hexdigest()


def test_the_manifest_says_what_was_asked_for_and_where_it_came_from(
    sim: Simulator, finished_job: MakeJob, store: Any
):
    job = finished_job(project_ids=["10077", "10042"], with_attachments=True)

    manifest = store(job).manifest

    assert manifest.scope.project_ids == ("10042", "10077")
    assert manifest.scope.attachments
    assert manifest.requested_at == datetime.fromisoformat(job["requested_at"])
    assert manifest.remote.job_id == job["job_id"]
    assert manifest.remote.host == sim.url.removeprefix("http://")
    assert manifest.remote.etag
    assert manifest.remote.last_modified is not None


def test_the_manifest_says_which_task_made_it(finished_job: MakeJob, store: Any):
    context = make_context(dag_id="d", run_id="r", task_id="t", map_index=3, try_number=2)

    producer = store(finished_job(), context).manifest.producer

    assert producer.package_version == __version__
    assert producer.airflow_version
    assert (producer.dag_id, producer.run_id, producer.task_id) == ("d", "r", "t")
    assert (producer.map_index, producer.try_number) == (3, 2)


def test_the_counted_entities_are_those_that_graphql_counts(finished_job: MakeJob, store: Any):
    entities = store(finished_job()).manifest.entities

    hook = XrayHook("acme")
    live = [hook.count_entities(project) for project in ("10042", "10077")]
    for name in ("tests", "testSets", "testPlans", "preconditions"):
        assert entities.get(name, 0) == sum(counts[name] for counts in live)


def test_what_is_returned_leads_to_the_manifest(finished_job: MakeJob, vault: Vault):
    result = operator(finished_job(), vault).execute(make_context())

    (backup,) = vault.backups()
    assert result == {
        "service": "xray",
        "account": "acme",
        "backup_id": backup.backup_id,
        "vault": str(vault.url),
        "manifest": f"{vault.url}/xray/acme/{backup.backup_id}/manifest.json",
        "bytes": backup.manifest.stored_size,
    }


def test_a_second_run_returns_the_same_backup_without_a_download(
    sim: Simulator, finished_job: MakeJob, vault: Vault
):
    job = finished_job()
    first = operator(job, vault).execute(make_context())
    before = downloads(sim)

    second = operator(job, vault).execute(make_context())

    assert second == first
    assert downloads(sim) == before


def test_the_backup_of_another_job_is_not_returned_as_this_ones(
    sim: Simulator, finished_job: MakeJob, store: Any, vault: Vault
):
    """Two tenants under one account, whose jobs were asked for in one second and have ids that begin alike."""
    job = finished_job()
    store(job)
    before = objects(vault)
    sim.journal.clear()

    other = job["job_id"][:8] + "0" * 24
    with pytest.raises(
        XBackupFailError, match=rf"job {job['job_id']}.*not of job {other}.*account of two tenants"
    ):
        store(job | {"job_id": other})

    assert objects(vault) == before
    assert not downloads(sim)


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        pytest.param(None, "another", "is NOT encrypted, and stays so", id="not encrypted"),
        pytest.param("one", "another", "is encrypted to other keys than encrypt_to names", id="other keys"),
        pytest.param("one", None, "is encrypted to other keys than encrypt_to names", id="no keys any more"),
        pytest.param("one", "one", None, id="the same key"),
        pytest.param(None, None, None, id="none, then none"),
    ],
)
def test_a_second_run_with_other_keys_says_that_what_is_stored_is_not_encrypted_to_them(
    finished_job: MakeJob, store: Any, caplog: pytest.LogCaptureFixture, before: Any, now: Any, words: str | None
):
    keys = {name: str(pyrage.x25519.Identity.generate().to_public()) for name in ("one", "another")}
    job = finished_job(with_attachments=True)
    first = store(job, encrypt_to=keys.get(before))
    caplog.clear()

    second = store(job, encrypt_to=keys.get(now))

    assert second.manifest == first.manifest
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [words in warning for warning in warnings] == ([True] if words else [])


def test_a_partial_keeps_its_base_and_its_instant(no_cooldown: None, finished_job: MakeJob, store: Any):
    full = store(finished_job())
    job = finished_job(modified_since="2026-01-01T00:00:00Z", base=full.backup_id)

    manifest = store(job).manifest

    assert (manifest.kind, manifest.base) == ("partial", full.backup_id)
    assert manifest.modified_since == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("compression", ["deflated", "stored"])
def test_what_is_encrypted_comes_back_with_the_key(
    sim: Simulator, finished_job: MakeJob, store: Any, served: Served, vault: Vault, compression: str
):
    sim.settings.xray.tenants["demo-client"].data.zip_stored = compression == "stored"
    key = pyrage.x25519.Identity.generate()

    backup = store(finished_job(), encrypt_to=[str(key.to_public())])

    (artifact,) = backup.manifest.artifacts
    stored = files_of(vault, backup)["backup"]
    assert artifact.encryption == "age"
    assert artifact.name.endswith(".zip.age")
    assert artifact.stored_sha256 == hashlib.sha256(stored).hexdigest()
    assert pyrage.decrypt(stored, [key]) == served()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        pytest.param("content_length", False, id="chunked"),
        pytest.param("redirect", False, id="without a redirect"),
        pytest.param("gzip", True, id="gzip in spite of identity"),
        pytest.param("last_modified", False, id="without Last-Modified"),
        pytest.param("etag", "none", id="without ETag"),
        pytest.param("etag", "weak", id="weak ETag"),
        pytest.param("ranges", False, id="without ranges"),
        pytest.param("redirect_status", 307, id="redirect 307"),
    ],
)
def test_however_the_file_is_handed_out_its_bytes_are_stored(
    sim: Simulator, finished_job: MakeJob, store: Any, vault: Vault, served: Served, setting: str, value: Any
):
    job = finished_job(with_attachments=True)
    expected = {"backup": served(DATA), "attachments": served(ATTACHMENTS)}
    setattr(sim.settings.xray.download, setting, value)

    assert files_of(vault, store(job)) == expected


def test_the_structure_alone_does_not_read_the_entries(finished_job: MakeJob, store: Any):
    backup = store(finished_job(), check="structure")

    assert backup.manifest.condition.state == "ok"


def test_the_structure_alone_lets_a_wrong_crc_pass_to_a_later_verification(
    sim: Simulator, finished_job: MakeJob, store: Any
):
    sim.settings.xray.tenants["demo-client"].data.zip_stored = True
    job = finished_job()
    sim.add_fault(action="corrupt", path=STORAGE, offset=200)

    assert store(job, check="structure")


@pytest.mark.parametrize(
    "job",
    [
        pytest.param({}, id="a full"),
        pytest.param({"modified_since": "2026-11-01T00:00:00Z"}, id="a partial"),
        pytest.param({"with_attachments": True}, id="with attachments"),
    ],
)
def test_an_empty_tenant_is_backed_up(sim: Simulator, finished_job: MakeJob, store: Any, job: dict[str, Any]):
    sim.change_data(tests=0, attachment_bytes=0)

    assert store(finished_job(**job)).manifest.condition.state == "ok"


def test_a_partial_of_a_tenant_that_did_not_change_is_not_suspect(
    no_cooldown: None, finished_job: MakeJob, store: Any
):
    store(finished_job())

    now = datetime.now(UTC)

    assert store(finished_job(modified_since=now.isoformat())).manifest.condition.state == "ok"


# Broken on the way


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"action": "reset", "after_bytes": 1_500_000}, id="reset"),
        pytest.param({"action": "reset", "after_bytes": 10_000}, id="reset within the first block"),
        pytest.param({"action": "truncate", "after_bytes": 1_500_000}, id="truncated"),
        pytest.param({"action": "truncate", "after_bytes": 900_000, "length": "chunked"}, id="truncated chunk"),
        pytest.param({"action": "stall", "after_bytes": 1_500_000}, id="stalled"),
        pytest.param({"action": "status", "status": 503}, id="5xx of the storage"),
    ],
)
def test_a_download_that_breaks_is_resumed_and_stored_identical(
    sim: Simulator,
    big: int,
    finished_job: MakeJob,
    store: Any,
    served: Served,
    vault: Vault,
    fault: dict[str, Any],
):
    job = finished_job()
    expected = served()
    sim.add_fault(path=STORAGE, **fault)

    backup = store(job)

    assert files_of(vault, backup) == {"backup": expected}
    assert len(objects(vault)) == 2


def test_a_download_that_stalls_before_its_status_is_asked_for_again(
    sim: Simulator,
    big: int,
    finished_job: MakeJob,
    store: Any,
    served: Served,
    vault: Vault,
    connect: Callable[..., None],
):
    job = finished_job()
    expected = served()
    keys = {"login": "demo-client", "password": "demo-secret"}
    connect("acme", conn_type="xray", host=sim.url, **keys, extra='{"read_timeout": 1}')
    sim.add_fault(path=STORAGE, action="stall")

    assert files_of(vault, store(job)) == {"backup": expected}


def test_a_download_that_breaks_again_and_again_below_a_block_goes_on(
    sim: Simulator, big: int, finished_job: MakeJob, store: Any, served: Served, vault: Vault
):
    job = finished_job()
    expected = served()
    sim.add_fault(action="reset", path=STORAGE, after_bytes=300_000, times=8)

    assert files_of(vault, store(job)) == {"backup": expected}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"action": "reset", "after_bytes": 5000}, id="reset"),
        pytest.param({"action": "truncate", "after_bytes": 5000, "length": "silent"}, id="silently truncated"),
        pytest.param({"action": "corrupt", "offset": 300}, id="corrupt"),
        pytest.param({"action": "corrupt", "offset": -45}, id="corrupt in its directory"),
        pytest.param({"action": "html", "status": 200}, id="a page"),
        pytest.param({"action": "status", "status": 200, "body": ""}, id="nothing"),
    ],
)
def test_a_file_that_is_never_whole_fails_and_leaves_nothing(
    sim: Simulator, finished_job: MakeJob, vault: Vault, fault: dict[str, Any]
):
    sim.settings.xray.download.ranges = False
    sim.settings.xray.download.etag = "none"
    sim.settings.xray.download.last_modified = False
    job = finished_job()
    sim.add_fault(path=STORAGE, **fault, times=None)

    with pytest.raises(XBackupError, match="acme"):
        operator(job, vault).execute(make_context())

    assert objects(vault) == []


@pytest.mark.parametrize("offset", [300, -45])
def test_a_file_that_is_damaged_once_is_taken_again(
    sim: Simulator, finished_job: MakeJob, store: Any, served: Served, vault: Vault, offset: int
):
    job = finished_job()
    expected = served()
    sim.add_fault(action="corrupt", path=STORAGE, offset=offset)

    assert files_of(vault, store(job)) == {"backup": expected}
    assert len(objects(vault)) == 2


def test_a_file_replaced_between_two_ranges_is_never_spliced(
    sim: Simulator, still: None, big: int, finished_job: MakeJob, store: Any, served: Served, vault: Vault
):
    job = finished_job()
    sim.add_fault(action="reset", path=STORAGE, after_bytes=1_500_000)
    sim.add_fault(action="replace_file", path=STORAGE, header="range")

    backup = store(job)

    assert files_of(vault, backup) == {"backup": served()}
    assert len(objects(vault)) == 2


@pytest.mark.parametrize(
    ("break_off", "download"),
    [
        pytest.param({"action": "reset", "after_bytes": 1_500_000}, {}, id="between two ranges"),
        pytest.param({"action": "reset", "after_bytes": 1_500_000}, {"etag": "weak"}, id="between two downloads"),
        pytest.param({"action": "corrupt", "offset": 300}, {}, id="after a damaged one"),
    ],
)
def test_a_file_that_a_later_backup_took_the_place_of_is_refused_for_good(
    sim: Simulator,
    still: None,
    big: int,
    finished_job: MakeJob,
    vault: Vault,
    naps: Naps,
    break_off: dict[str, Any],
    download: dict[str, Any],
):
    job = finished_job()
    sim.configure({"xray": {"download": download}})
    sim.advance(60)
    sim.add_fault(path=STORAGE, **break_off)
    naps.wake = sim.other_client_backup

    with pytest.raises(XBackupFailError, match=r"acme.*A later backup of the tenant took its place"):
        operator(job, vault).execute(make_context())

    assert objects(vault) == []


def test_attachments_that_later_ones_took_the_place_of_leave_the_data_stored_and_the_task_failed(
    sim: Simulator, still: None, finished_job: MakeJob, vault: Vault, naps: Naps
):
    job = finished_job(with_attachments=True)
    sim.advance(60)
    sim.settings.xray.download.redirect = False
    sim.add_fault(action="reset", path=f"{ATTACHMENTS}$", after_bytes=100)

    def replace_once_the_data_is_stored() -> None:
        while not any(path.name.startswith("backup.") for path in objects(vault)):
            threading.Event().wait(0.01)
        sim.other_client_backup(with_attachment=True)

    naps.wake = replace_once_the_data_is_stored

    with pytest.raises(XBackupFailError, match=r"without its attachments.*A later backup of the tenant"):
        operator(job, vault).execute(make_context())

    (backup,) = vault.backups()
    assert [artifact.role for artifact in backup.manifest.artifacts] == ["backup"]
    assert backup.manifest.condition.state == "incomplete"


def test_a_vault_that_breaks_leaves_nothing_visible(
    sim: Simulator, finished_job: MakeJob, vault: Vault, tmp_path: Path
):
    job = finished_job()
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / "xray").write_text("in the way")

    with pytest.raises(XBackupError, match="acme"):
        operator(job, vault).execute(make_context())

    assert not list(vault.backups())


# Not ours


def test_a_file_that_comes_late_is_waited_for(
    sim: Simulator, no_cooldown: None, finished_job: MakeJob, store: Any, naps: Naps, vault: Vault, served: Served
):
    job = finished_job()
    expected = served()
    sim.add_fault(
        action="status", status=404, path=FILE, body='{"error": "Backup file is not available."}', times=5
    )

    assert files_of(vault, store(job)) == {"backup": expected}
    assert naps.slept > 0


@pytest.fixture
def an_earlier_backup(sim: Simulator, no_cooldown: None, finished_job: MakeJob) -> Job:
    """A backup of this morning; the clock has gone on since."""
    sim.clock.set(datetime.now(UTC) - timedelta(hours=8))
    job = finished_job(with_attachments=True)
    sim.advance(8 * 3600)
    return job


def test_the_file_of_an_earlier_backup_is_refused(
    sim: Simulator, an_earlier_backup: Job, finished_job: MakeJob, vault: Vault
):
    job = finished_job()
    sim.settings.xray.file_served = "previous"

    with pytest.raises(XBackupError, match="earlier backup"):
        operator(job, vault).execute(make_context())

    assert objects(vault) == []


def test_an_earlier_file_that_gives_way_to_the_new_one_is_waited_out(
    sim: Simulator,
    an_earlier_backup: Job,
    finished_job: MakeJob,
    store: Any,
    naps: Naps,
    vault: Vault,
    served: Served,
):
    job = finished_job()
    expected = served()
    sim.settings.xray.file_served = "previous"

    def wake() -> None:
        if naps.slept > 60:
            sim.settings.xray.file_served = "latest"

    naps.wake = wake

    assert files_of(vault, store(job)) == {"backup": expected}


def test_the_file_of_a_later_job_of_another_client_is_refused_for_good(
    sim: Simulator, an_earlier_backup: Job, vault: Vault
):
    sim.other_client_backup()

    with pytest.raises(XBackupFailError, match=r"acme.*later backup.*Run the DAG again"):
        operator(an_earlier_backup, vault).execute(make_context())

    assert objects(vault) == []


def test_a_file_of_other_projects_is_refused_for_good(sim: Simulator, finished_job: MakeJob, vault: Vault):
    job = finished_job(project_ids=["10042"])
    sim.other_client_backup(project_ids=("10077",))

    with pytest.raises(XBackupFailError, match=r"10077.*another request.*Run the DAG again"):
        operator(job, vault).execute(make_context())

    assert objects(vault) == []


def test_a_partial_in_the_place_of_a_full_is_refused_for_good(sim: Simulator, finished_job: MakeJob, vault: Vault):
    job = finished_job(project_ids=["10042"])
    sim.other_client_backup(project_ids=("10042",), modified_since=datetime.now(UTC))

    with pytest.raises(XBackupFailError, match=r"holds 0 tests where Xray counts 40"):
        operator(job, vault).execute(make_context())

    assert objects(vault) == []


ANSWERS = pytest.mark.parametrize(
    "counts_tenant",
    [pytest.param(True, id="the tenant is counted"), pytest.param(False, id="only projects are counted")],
)


def test_an_empty_file_in_the_place_of_a_full_of_all_projects_is_refused_for_good(
    sim: Simulator, finished_job: MakeJob, vault: Vault
):
    job = finished_job()
    sim.other_client_backup(modified_since=datetime.now(UTC))

    with pytest.raises(XBackupFailError, match=r"holds 0 tests where Xray counts 80"):
        operator(job, vault).execute(make_context())

    assert objects(vault) == []


def test_one_of_three_projects_in_the_place_of_a_full_of_all_is_refused_for_good(
    sim: Simulator, finished_job: MakeJob, vault: Vault
):
    sim.change_data(projects=("10042", "10077", "10099"))
    job = finished_job()
    sim.other_client_backup(project_ids=("10042",))

    with pytest.raises(XBackupFailError, match=r"holds 40 tests where Xray counts 120"):
        operator(job, vault).execute(make_context())

    assert objects(vault) == []


@ANSWERS
def test_an_empty_file_is_refused_by_the_projects_that_the_full_before_held(
    sim: Simulator, no_cooldown: None, finished_job: MakeJob, store: Any, vault: Vault, counts_tenant: bool
):
    sim.settings.xray.counts_tenant = counts_tenant
    store(finished_job())
    before = objects(vault)
    sim.advance(5)
    job = finished_job()
    sim.other_client_backup(modified_since=datetime.now(UTC) + timedelta(minutes=1))

    with pytest.raises(XBackupFailError, match=r"holds 0 tests where Xray counts 80"):
        operator(job, vault).execute(make_context())

    assert objects(vault) == before


@ANSWERS
@pytest.mark.parametrize("asked", [None, ["10042", "10077"]], ids=["all projects", "these projects"])
def test_a_full_without_a_project_that_the_one_before_held_is_suspect(
    sim: Simulator, no_cooldown: None, finished_job: MakeJob, store: Any, counts_tenant: bool, asked: Any
):
    sim.settings.xray.counts_tenant = counts_tenant
    first = store(finished_job(project_ids=asked))
    sim.advance(5)
    job = finished_job(project_ids=asked)
    sim.other_client_backup(project_ids=("10042",))

    condition = store(job).manifest.condition

    assert first.manifest.projects == ("10042", "10077")
    assert condition.state == "suspect"
    assert f"Nothing of project 10077 is left, against backup {first.backup_id}." in condition.reasons


def test_a_project_that_is_gone_and_not_counted_any_more_does_not_stop_the_comparison(
    sim: Simulator, no_cooldown: None, finished_job: MakeJob, store: Any, vault: Vault
):
    sim.settings.xray.counts_tenant = False
    store(finished_job())
    sim.advance(5)
    sim.change_data(projects=("10042",), tests=200)
    job = finished_job()
    sim.change_data(projects=("10042",), tests=500)
    sim.add_fault(action="status", status=400, path="/graphql$", after=2)  # the tenant, 10042, then 10077

    with pytest.raises(XBackupFailError, match="where Xray counts 500"):
        operator(job, vault).execute(make_context())


@ANSWERS
def test_an_empty_tenant_passes_however_it_is_counted(
    sim: Simulator, finished_job: MakeJob, store: Any, counts_tenant: bool
):
    sim.settings.xray.counts_tenant = counts_tenant
    sim.change_data(tests=0, attachment_bytes=0)

    manifest = store(finished_job()).manifest

    assert manifest.condition.state == "ok"
    assert manifest.projects == ()


def test_a_full_passes_where_graphql_does_not_answer(sim: Simulator, finished_job: MakeJob, store: Any):
    job = finished_job()
    sim.add_fault(action="status", status=500, path="/graphql$", times=None)

    assert store(job).manifest.condition.state == "ok"


@pytest.fixture
def twin(sim: Simulator, no_cooldown: None, finished_job: MakeJob, store: Any) -> Job:
    """A second job whose file is that of a stored one, and no header tells when it was made."""
    sim.settings.xray.tenants["demo-client"].data.zip_varies = False
    sim.settings.xray.download.last_modified = False
    store(finished_job())
    sim.advance(5)
    return finished_job()


def test_a_file_identical_to_another_jobs_is_refused(twin: Job, vault: Vault):
    before = objects(vault)

    with pytest.raises(XBackupError, match=r"byte for byte.*accept_identical"):
        operator(twin, vault).execute(make_context())

    assert objects(vault) == before


@pytest.mark.parametrize(
    ("counts_tenant", "counts"),
    [pytest.param(True, 1, id="of the tenant"), pytest.param(False, 3, id="of the tenant and its two projects")],
)
def test_a_file_that_is_looked_at_again_and_again_costs_one_count_of_each(
    sim: Simulator, twin: Job, vault: Vault, counts_tenant: bool, counts: int
):
    sim.settings.xray.counts_tenant = counts_tenant
    sim.journal.clear()

    with pytest.raises(XBackupError, match="byte for byte"):
        operator(twin, vault).execute(make_context())

    assert len(sim.journal.entries(path=DATA)) > 2
    assert len(sim.journal.entries(path="/graphql")) == counts


def test_an_identical_file_is_taken_where_the_user_says_so(twin: Job, store: Any):
    assert store(twin, accept_identical=True)


def test_an_identical_file_is_taken_where_its_last_modified_proves_it_new(
    sim: Simulator, no_cooldown: None, finished_job: MakeJob, store: Any
):
    sim.settings.xray.tenants["demo-client"].data.zip_varies = False
    store(finished_job())
    sim.advance(30)

    assert store(finished_job())


def test_the_file_of_a_later_job_is_not_stored_as_an_old_one_s(
    no_cooldown: None, finished_job: MakeJob, store: Any, vault: Vault
):
    old = finished_job() | {"requested_at": "2026-01-01T00:00:00Z"}
    del old["finished_at"]
    store(finished_job())
    before = objects(vault)

    with pytest.raises(XBackupFailError, match="later backup"):
        store(old)

    assert objects(vault) == before


def test_the_file_of_another_stored_backup_is_refused_although_its_time_fits(
    no_cooldown: None, finished_job: MakeJob, store: Any, vault: Vault, naps: Naps
):
    first = finished_job()
    store(finished_job())
    before = objects(vault)

    with pytest.raises(XBackupError, match="byte for byte"):
        store(first)

    assert objects(vault) == before


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"action": "status", "status": 500}, id="5xx"),
        pytest.param({"action": "html", "status": 403}, id="a page"),
        pytest.param({"action": "corrupt", "offset": 60}, id="damaged"),
        pytest.param({"action": "reset", "after_bytes": 0}, id="broken"),
    ],
)
def test_attachments_that_cannot_be_had_leave_the_data_stored_and_the_task_failed(
    sim: Simulator, finished_job: MakeJob, vault: Vault, naps: Naps, fault: dict[str, Any]
):
    job = finished_job(with_attachments=True)
    sim.settings.xray.download.redirect = False
    sim.add_fault(path=ATTACHMENTS_FILE, times=None, **fault)

    with pytest.raises(XBackupFailError, match="without its attachments"):
        operator(job, vault).execute(make_context())

    (backup,) = vault.backups()
    assert backup.manifest.condition.state == "incomplete"
    assert [artifact.role for artifact in backup.manifest.artifacts] == ["backup"]


def test_identical_files_of_a_tenant_without_entries_are_taken(
    sim: Simulator, no_cooldown: None, finished_job: MakeJob, store: Any, vault: Vault
):
    sim.settings.xray.tenants["demo-client"].data.zip_varies = False
    sim.settings.xray.download.last_modified = False
    sim.change_data(tests=0)
    store(finished_job())

    store(finished_job())

    assert len(list(vault.backups())) == 2


def test_without_last_modified_a_job_older_than_the_cooldown_is_refused_for_good(
    sim: Simulator, an_earlier_backup: Job, vault: Vault
):
    sim.settings.xray.download.last_modified = False

    with pytest.raises(XBackupFailError, match=r"does not say when.*Run the DAG again"):
        operator(an_earlier_backup, vault).execute(make_context())

    assert objects(vault) == []


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_clock_that_differs_from_the_services_refuses(
    sim: Simulator, finished_job: MakeJob, vault: Vault, minutes: int
):
    job = finished_job()
    sim.advance(minutes * 60)

    with pytest.raises(XBackupFailError, match=r"clock.*NTP"):
        operator(job, vault).execute(make_context())

    assert objects(vault) == []


@pytest.mark.parametrize("minutes", [-4, 4])
def test_a_clock_that_differs_by_less_is_borne(sim: Simulator, finished_job: MakeJob, store: Any, minutes: int):
    sim.advance(minutes * 60)

    assert store(finished_job())


def test_a_job_that_is_not_done_is_not_taken(sim: Simulator, finished_job: MakeJob, vault: Vault):
    job = finished_job()
    del job["finished_at"]
    working = '{"status": "working"}'
    sim.add_fault(action="status", status=200, path="/status$", body=working, content_type="application/json")

    with pytest.raises(XBackupError, match="XrayBackupSensor"):
        operator(job, vault).execute(make_context())

    assert objects(vault) == []


def test_a_done_job_without_its_end_is_taken(finished_job: MakeJob, store: Any):
    job = finished_job()
    del job["finished_at"]

    assert store(job)


# Attachments


def missing(sim: Simulator) -> None:
    sim.settings.xray.attachments_missing = True


def stale(sim: Simulator) -> None:
    old = {"last-modified": "Mon, 05 Jan 2026 00:00:00 GMT"}
    sim.settings.xray.download.redirect = False
    sim.add_fault(action="headers", path=ATTACHMENTS_FILE, set=old, times=None)


def foreign(sim: Simulator) -> None:
    late = (datetime.now(UTC) + timedelta(hours=2)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    sim.settings.xray.download.redirect = False
    sim.add_fault(action="headers", path=ATTACHMENTS_FILE, set={"last-modified": late}, times=None)


lost = pytest.mark.parametrize("lose", [missing, stale, foreign])


@lost
def test_without_its_attachments_the_data_is_stored_as_incomplete_and_the_task_fails(
    sim: Simulator, finished_job: MakeJob, vault: Vault, served: Served, lose: Callable[[Simulator], None]
):
    job = finished_job(with_attachments=True)
    expected = served()
    lose(sim)

    with pytest.raises(
        XBackupFailError, match=r"acme.*without its attachments.*The data is safe.*Run the DAG again"
    ):
        operator(job, vault).execute(make_context())

    (backup,) = vault.backups()
    assert backup.manifest.condition.state == "incomplete"
    assert "Nothing was stored" not in " ".join(backup.manifest.condition.reasons)
    assert files_of(vault, backup) == {"backup": expected}


@lost
def test_a_backup_without_its_attachments_fails_on_a_retry_too_and_is_not_taken_again(
    sim: Simulator, finished_job: MakeJob, vault: Vault, lose: Callable[[Simulator], None]
):
    job = finished_job(with_attachments=True)
    lose(sim)
    with pytest.raises(XBackupFailError):
        operator(job, vault).execute(make_context())
    sim.journal.clear()

    with pytest.raises(XBackupFailError, match="without its attachments"):
        operator(job, vault).execute(make_context())

    assert not sim.journal.entries(path=DATA)
    assert len(list(vault.backups())) == 1


def test_attachments_that_come_late_are_waited_for_without_taking_the_data_again(
    sim: Simulator, finished_job: MakeJob, store: Any
):
    job = finished_job(with_attachments=True)
    body = '{"error": "Backup file is not available."}'
    sim.add_fault(action="status", status=404, path=ATTACHMENTS_FILE, body=body, times=4)
    sim.journal.clear()

    backup = store(job)

    assert [artifact.role for artifact in backup.manifest.artifacts] == ["backup", "attachments"]
    assert len(sim.journal.entries(path=DATA)) == 1


def test_attachments_nobody_asked_for_are_not_asked_for(sim: Simulator, finished_job: MakeJob, store: Any):
    store(finished_job())

    assert not sim.journal.entries(path=ATTACHMENTS)


# Suspect


def test_a_wiped_tenant_is_stored_as_suspect_and_says_why(
    sim: Simulator, no_cooldown: None, finished_job: MakeJob, store: Any
):
    first = store(finished_job())
    sim.change_data(tests=0)

    condition = store(finished_job()).manifest.condition

    assert condition.state == "suspect"
    assert any(
        reason.startswith("The tests fell from 80 to 0") and first.backup_id in reason
        for reason in condition.reasons
    )


def test_the_last_line_of_the_log_does_not_call_a_suspect_whole(
    sim: Simulator, no_cooldown: None, finished_job: MakeJob, store: Any, capfd: pytest.CaptureFixture[str]
):
    store(finished_job())
    told_of_whole = capfd.readouterr().out.splitlines()[-1]
    sim.change_data(tests=0)
    store(finished_job())
    told_of_suspect = capfd.readouterr().out.splitlines()[-1]

    assert "is whole" in told_of_whole
    assert "stored as suspect" in told_of_suspect
    assert "is whole" not in told_of_suspect


def test_a_suspect_does_not_become_the_measure_of_the_next(
    sim: Simulator, no_cooldown: None, finished_job: MakeJob, store: Any
):
    store(finished_job())
    sim.advance(2)  # ids sort by the second
    sim.change_data(tests=0)
    store(finished_job())
    sim.advance(2)

    assert store(finished_job()).manifest.condition.state == "suspect"


@pytest.mark.parametrize(
    ("max_drop", "state"), [pytest.param(1.0, "ok", id="any"), pytest.param(0.1, "suspect", id="a tenth")]
)
def test_how_much_may_fall_is_the_users_choice(
    sim: Simulator, no_cooldown: None, finished_job: MakeJob, store: Any, max_drop: float, state: str
):
    store(finished_job())
    sim.change_data(tests=30)

    assert store(finished_job(), max_drop=max_drop).manifest.condition.state == state


def test_a_full_is_not_measured_against_another_scope(
    sim: Simulator, no_cooldown: None, finished_job: MakeJob, store: Any
):
    store(finished_job())

    assert store(finished_job(project_ids=["10042"]), max_drop=0.0).manifest.condition.state == "ok"


# Airflow


def test_the_asset_event_of_the_outlet_describes_the_backup(finished_job: MakeJob, store: Any):
    asset, context = backup_asset("xray", "acme"), make_context()

    backup = store(finished_job(), context, outlets=[asset])

    assert context["outlet_events"][asset].extra == {
        "backup_id": backup.backup_id,
        "vault": str(backup.url),
        "bytes": backup.manifest.stored_size,
        "sha256": backup.manifest.artifacts[0].stored_sha256,
        "condition": "ok",
    }


def test_an_alias_among_the_outlets_gets_the_accounts_asset(finished_job: MakeJob, store: Any):
    alias, context = backup_alias("xray"), make_context()

    store(finished_job(), context, outlets=[alias])

    (event,) = context["outlet_events"][alias].asset_alias_events
    assert event.dest_asset_key.uri == "xbackup://xray/acme"


def test_the_asset_of_another_account_gets_nothing(finished_job: MakeJob, store: Any):
    other, context = backup_asset("xray", "globex"), make_context()

    store(finished_job(), context, outlets=[other])

    assert context["outlet_events"][other].extra == {}


WRONG = [
    pytest.param("account", "../x", "account", id="account that leads out"),
    pytest.param("account", "a/b", "account", id="account with a slash"),
    pytest.param("account", "", "account", id="empty account"),
    pytest.param("vault", "/srv/backups", "vault", id="vault that is a path"),
    pytest.param("vault", "abfs://c@a.dfs.core.windows.net/p", "abfs://", id="Azure's own form"),
    pytest.param("encrypt_to", ["ssh-rsa AAAA"], "encrypt_to", id="no age key"),
    pytest.param("check", "nothing", "'content' or 'structure'", id="unknown check"),
    pytest.param("max_drop", 2, "between 0 and 1", id="more than all"),
    pytest.param("accept_identical", "no", "accept_identical must be True or False", id="a yes or no in words"),
    pytest.param("job", {}, "job", id="no job"),
]


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
def test_a_literal_that_cannot_be_meant_is_refused_when_the_dag_is_parsed(
    vault: Vault, name: str, value: Any, words: str
):
    arguments = {"job": {"job_id": "1", "requested_at": "2026-01-01T00:00:00Z"}, name: value}

    with pytest.raises(XBackupFailError, match=words):
        operator(arguments.pop("job"), vault, **arguments)


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
def test_a_template_that_renders_to_it_is_refused_before_anything_is_done(
    sim: Simulator, finished_job: MakeJob, vault: Vault, name: str, value: Any, words: str
):
    task = operator(finished_job(), vault)
    sim.journal.clear()
    setattr(task, name, value)

    with pytest.raises(XBackupFailError, match=words):
        task.execute(make_context())

    assert not sim.journal.entries()
    assert objects(vault) == []


def test_a_log_and_an_error_hold_no_secret(
    sim: Simulator, finished_job: MakeJob, vault: Vault, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(0)
    job = finished_job()
    sim.add_fault(action="reset", path=STORAGE, times=None)

    with pytest.raises(XBackupError) as failed:
        operator(job, vault).execute(make_context())

    told = caplog.text + str(failed.value) + repr(failed.value.__context__)
    assert "demo-secret" not in told
    assert "/_storage/" not in told
    assert "eyJ" not in told


def test_a_zip_of_the_vault_can_be_opened_by_anybody(finished_job: MakeJob, store: Any, vault: Vault):
    backup = store(finished_job())

    with zipfile.ZipFile(io.BytesIO(files_of(vault, backup)["backup"])) as archive:
        assert archive.testzip() is None
        assert any(name.startswith("tests_10042_") for name in archive.namelist())
