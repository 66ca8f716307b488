"""Downloads of a backup under faults: the stored bytes are identical to the served ones, or there is no backup."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from stand_in import STORAGE, Naps, files_of, make_context, objects

from airflow_provider_xbackup.exceptions import XBackupError
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfer.attempts import BROKEN_TRIES
from airflow_provider_xbackup.transfer.download import Download
from airflow_provider_xbackup.transfers.xray_to_object_storage import XrayToObjectStorageOperator
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.store import PART_SIZE

MakeJob = Callable[..., dict[str, Any]]
Served = Callable[..., bytes]
FILE = "/api/v2/backup/file$"
ERROR = '{"error": "Backup file is not available."}'
AS_JSON = {"body": ERROR, "content_type": "application/json"}
AS_FILE = {"body": ERROR, "content_type": "application/octet-stream"}


def transfer(job: dict[str, Any], vault: Vault) -> Any:
    """Run the transfer and return the backup."""
    task = XrayToObjectStorageOperator(
        task_id="store", job=job, vault=str(vault.url), account="acme", xray_conn_id="acme"
    )
    return vault.find("xray", "acme", task.execute(make_context())["backup_id"])


def pad(sim: Simulator, size: int) -> None:
    sim.settings.xray.tenants["demo-client"].data.padding_bytes = size


@pytest.fixture(
    autouse=True, params=[pytest.param(False, id="one connection"), pytest.param(True, id="several connections")]
)
def connections_of_a_file(request: pytest.FixtureRequest) -> None:
    if request.param:
        request.getfixturevalue("several_connections")


# Broken at any byte

ANYWHERE = [
    pytest.param(lambda size: 0, id="before the first byte"),
    pytest.param(lambda size: 1, id="after the first byte"),
    pytest.param(lambda size: PART_SIZE - 1, id="before the end of a part"),
    pytest.param(lambda size: PART_SIZE, id="at the end of a part"),
    pytest.param(lambda size: PART_SIZE + 1, id="after the start of a part"),
    pytest.param(lambda size: size - 1, id="before the last byte"),
    pytest.param(lambda size: size, id="after the last byte"),
]
BREAKS = [
    pytest.param({"action": "reset"}, id="reset"),
    pytest.param({"action": "truncate"}, id="early end under its length"),
    pytest.param({"action": "truncate", "length": "chunked"}, id="early end without a length"),
]


@pytest.mark.parametrize("position", ANYWHERE)
@pytest.mark.parametrize("fault", BREAKS)
def test_a_file_that_breaks_at_any_byte_is_stored_identical(
    sim: Simulator, finished_job: MakeJob, served: Served, vault: Vault, position: Any, fault: dict[str, Any]
):
    pad(sim, PART_SIZE + 2_000_000)
    job = finished_job()
    content = served()
    sim.add_fault(path=STORAGE, after_bytes=position(len(content)), **fault)

    assert files_of(vault, transfer(job, vault)) == {"backup": content}
    assert len(objects(vault)) == 2


def broken() -> st.SearchStrategy[dict[str, Any]]:
    """Faults after which the same file can be had again."""
    position = st.one_of(st.sampled_from([0, 1]), st.integers(0, 400_000))
    return st.one_of(
        st.builds(lambda at: {"action": "reset", "after_bytes": at}, position),
        st.builds(
            lambda at, length: {"action": "truncate", "after_bytes": at, "length": length},
            position,
            st.sampled_from(["keep", "chunked", "silent"]),
        ),
        st.builds(lambda at: {"action": "corrupt", "offset": at}, position),
        st.builds(
            lambda by: {"action": "wrong_length", "difference": by}, st.sampled_from([-300_000, -1, 1, 500])
        ),
        st.sampled_from([403, 404, 410, 416, 429, 500, 503]).map(
            lambda status: {"action": "status", "status": status, "body": "{}"}
        ),
        st.sampled_from(
            [
                {"action": "reset"},
                {"action": "gzip"},
                {"action": "html", "status": 200},
                {"action": "status", "status": 200, "body": ERROR},
                {"action": "status", "status": 206, "body": "x"},
                {"action": "headers", "set": {"etag": '"another"'}},
                {"action": "headers", "set": {"content-range": "bytes 0-5/6"}},
                {"action": "headers", "remove": ["etag", "last-modified", "content-length"]},
                {"action": "replace_file"},
            ]
        ),
    )


@settings(
    max_examples=max(1, settings.default.max_examples // 4),  # each of them is some downloads
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    faults=st.lists(broken(), min_size=1, max_size=6),
    ranges=st.booleans(),
    etag=st.sampled_from(["strong", "weak", "none"]),
    length=st.booleans(),
    redirect=st.booleans(),
)
def test_whatever_happens_in_whatever_order_the_bytes_are_those_served_or_there_is_no_backup(
    sim: Simulator,
    finished_job: MakeJob,
    served: Served,
    faults: list[dict[str, Any]],
    ranges: bool,
    etag: Any,
    length: bool,
    redirect: bool,
):
    sim.reset()
    pad(sim, 300_000)
    download = sim.settings.xray.download
    download.ranges, download.etag, download.content_length, download.redirect = ranges, etag, length, redirect
    job = finished_job()
    contents = [served()]
    for fault in faults:
        sim.add_fault(path=STORAGE if redirect else FILE, **fault)

    with tempfile.TemporaryDirectory() as folder:
        vault = Vault.open(Path(folder, "vault"))
        try:
            stored = files_of(vault, transfer(job, vault))
        except XBackupError:
            event("no backup")
            assert objects(vault) == []
        else:
            event("stored")
            sim.clear_faults()
            contents.append(served())
            assert stored["backup"] in contents
            assert len(objects(vault)) == 2


# Once, and all is well

ONCE = [
    pytest.param({"action": "wrong_length", "difference": -500}, id="shorter than its bytes"),
    pytest.param({"action": "wrong_length", "difference": 500}, id="longer than its bytes"),
    pytest.param({"action": "html", "status": 200}, id="a page"),
    pytest.param({"action": "status", "status": 200, **AS_JSON}, id="an error in JSON"),
    pytest.param({"action": "status", "status": 200, **AS_FILE}, id="an error as a file"),
    pytest.param({"action": "status", "status": 403}, id="a spent link"),
    pytest.param({"action": "status", "status": 416}, id="416"),
    pytest.param({"action": "stall", "after_bytes": 1_300_000}, id="a stall"),
]


@pytest.mark.parametrize("fault", ONCE)
def test_what_goes_wrong_once_is_made_good(
    sim: Simulator, finished_job: MakeJob, served: Served, vault: Vault, fault: dict[str, Any]
):
    pad(sim, 3_000_000)
    job = finished_job()
    content = served()
    if fault.get("status") == 416:  # the answer to a range
        sim.add_fault(action="reset", path=STORAGE, after_bytes=1_300_000)
        fault = fault | {"header": "range"}
    sim.add_fault(path=STORAGE, **fault)

    assert files_of(vault, transfer(job, vault)) == {"backup": content}
    assert len(objects(vault)) == 2


def test_a_rest_that_ends_too_early_without_a_word_is_no_end(
    sim: Simulator, finished_job: MakeJob, served: Served, vault: Vault
):
    pad(sim, 3_000_000)
    job = finished_job()
    content = served()
    sim.add_fault(action="reset", path=STORAGE, after_bytes=1_300_000)
    sim.add_fault(action="truncate", path=STORAGE, after_bytes=100_000, length="silent", header="range")
    sim.journal.clear()

    assert files_of(vault, transfer(job, vault)) == {"backup": content}
    first, *others = ("range" in entry.headers for entry in sim.journal.entries(path="/_storage/…"))
    assert (first, len(others) >= 2, all(others)) == (False, True, True)


def test_an_encoded_file_that_breaks_is_taken_from_its_beginning(
    sim: Simulator, finished_job: MakeJob, served: Served, vault: Vault
):
    pad(sim, 3_000_000)
    job = finished_job()
    content = served()
    sim.settings.xray.download.gzip = True
    sim.add_fault(action="reset", path=STORAGE, after_bytes=100_000)
    sim.journal.clear()

    assert files_of(vault, transfer(job, vault)) == {"backup": content}
    assert ["range" in entry.headers for entry in sim.journal.entries(path="/_storage/…")] == [False, False]


def test_a_redirect_to_another_host_is_followed_without_the_token(
    sim: Simulator, finished_job: MakeJob, served: Served, vault: Vault
):
    job = finished_job()
    content = served()
    sim.settings.xray.download.link_origin = f"http://localhost:{sim.port}"
    sim.journal.clear()

    assert files_of(vault, transfer(job, vault)) == {"backup": content}
    assert [entry.authorized for entry in sim.journal.entries(path="/_storage/…")] == [False]


# Again and again


def expired(sim: Simulator) -> None:
    sim.settings.xray.download.link_seconds = 0


def in_circles(sim: Simulator) -> None:
    sim.add_fault(action="redirect", path=STORAGE, location=f"{sim.url}/_storage/round", times=None)


def a_weaker_place(sim: Simulator) -> None:
    sim.add_fault(action="redirect", path=FILE, location="http://192.0.2.1/file", times=None)


def a_page(sim: Simulator) -> None:
    sim.add_fault(action="html", path=STORAGE, status=200, times=None)


def an_error(sim: Simulator) -> None:
    sim.add_fault(action="status", path=STORAGE, status=200, **AS_JSON, times=None)


def longer(sim: Simulator) -> None:
    sim.add_fault(action="wrong_length", path=STORAGE, difference=500, times=None)


def shorter(sim: Simulator) -> None:
    sim.add_fault(action="wrong_length", path=STORAGE, difference=-500, times=None)


def no_bytes(sim: Simulator) -> None:
    sim.add_fault(action="reset", path=STORAGE, after_bytes=0, times=None)


@pytest.mark.parametrize(
    ("lasting", "words"),
    [
        pytest.param(expired, "refused its one-time link", id="links that have expired"),
        pytest.param(in_circles, "in circles", id="redirects in circles"),
        pytest.param(a_weaker_place, "not https", id="redirects to plain http"),
        pytest.param(a_page, "text/html", id="pages"),
        pytest.param(an_error, "application/json", id="errors in JSON"),
        pytest.param(
            longer, r"announced \d+ bytes of the file and says after \d+ bytes", id="lengths beyond the bytes"
        ),
        pytest.param(shorter, "zip", id="lengths below the bytes"),
        pytest.param(no_bytes, "broke off", id="no bytes"),
    ],
)
def test_what_goes_wrong_again_and_again_fails_in_words_and_leaves_nothing(
    sim: Simulator, finished_job: MakeJob, vault: Vault, lasting: Callable[[Simulator], None], words: str
):
    job = finished_job()
    lasting(sim)

    with pytest.raises(XBackupError, match=words) as failed:
        transfer(job, vault)

    assert "Xray account 'acme'" in str(failed.value)
    assert objects(vault) == []


ENDS = [
    pytest.param(
        {"action": "reset", "after_bytes": 9000},
        {"etag": "none", "last_modified": False},
        r"could not be taken in 3 tries; the last one ended after 9000 of \d{5} bytes: .*broke off",
        id="breaks that cannot be resumed",
    ),
    pytest.param(
        {"action": "corrupt", "offset": -45},
        {},
        r"could not be taken in 3 tries; the last one ended after (\d{5}) of \1 bytes: The zip",
        id="damage",
    ),
    pytest.param(
        {"action": "status", "status": 200, "body": "<htm"},
        {},
        r"could not be taken in 3 tries; the last one ended after 4 of 4 bytes: .*begins with",
        id="a page as a file",
    ),
    pytest.param(
        {"action": "html", "status": 200},
        {},
        r"could not be taken in 3 tries; the last one brought nothing: .*text/html",
        id="a page",
    ),
]


@pytest.mark.parametrize(("fault", "download", "words"), ENDS)
def test_the_last_word_names_the_file_how_far_it_came_how_often_and_what_to_do(
    sim: Simulator,
    finished_job: MakeJob,
    vault: Vault,
    fault: dict[str, Any],
    download: dict[str, Any],
    words: str,
):
    job = finished_job()
    sim.configure({"xray": {"download": download}})
    sim.add_fault(path=STORAGE, **fault, times=None)

    with pytest.raises(XBackupError) as failed:
        transfer(job, vault)

    start = f"Xray account 'acme': The data file of job {job['job_id']} "
    end = " Nothing was stored. The task's next try begins anew; when none is left, clear this task"
    assert re.match(f"{start}{words}.*{end}", str(failed.value))


def test_the_last_word_about_attachments_names_them(sim: Simulator, finished_job: MakeJob, vault: Vault):
    sim.settings.xray.download.redirect = False
    job = finished_job(with_attachments=True)
    sim.add_fault(action="truncate", path="/attachment$", after_bytes=9000, length="silent", times=None)

    said = (
        f"The attachments file of job {job['job_id']} could not be taken in 3 tries; the last one ended after 9000"
    )
    with pytest.raises(XBackupError, match=said):
        transfer(job, vault)


def test_the_last_word_about_an_earlier_file_promises_no_new_one(
    sim: Simulator, finished_job: MakeJob, vault: Vault
):
    job = finished_job()
    sim.settings.xray.download.last_modified_offset = -3600

    with pytest.raises(XBackupError) as failed:
        transfer(job, vault)

    start = f"Xray account 'acme': The data file of job {job['job_id']} did not come in 10 minutes, asked for "
    assert re.match(rf"{start}\d\d times: .*it is an earlier backup\. Nothing was stored\.", str(failed.value))
    assert "few minutes" not in str(failed.value)
    assert "run the DAG again" in str(failed.value)


def test_the_log_says_which_file_is_taken_again_and_where_a_download_goes_on(
    sim: Simulator, finished_job: MakeJob, vault: Vault, caplog: pytest.LogCaptureFixture
):
    job = finished_job(with_attachments=True)
    sim.settings.xray.download.redirect = False
    sim.add_fault(action="reset", path=FILE, after_bytes=9000)
    sim.add_fault(action="corrupt", path="/attachment$", offset=-45)

    transfer(job, vault)

    assert "Resuming at byte 9000 of the data file in" in caplog.text
    assert f"The attachments file of job {job['job_id']}: The zip" in caplog.text


def test_a_file_that_is_damaged_every_time_is_taken_three_times(
    sim: Simulator, finished_job: MakeJob, vault: Vault
):
    job = finished_job()
    sim.add_fault(action="corrupt", path=STORAGE, offset=300, times=None)
    sim.journal.clear()

    with pytest.raises(XBackupError):
        transfer(job, vault)

    assert len(sim.journal.entries(path="/_storage/…")) == BROKEN_TRIES == 3


def test_nothing_more_of_a_damaged_file_is_read_while_the_next_try_is_waited_for(
    sim: Simulator, finished_job: MakeJob, vault: Vault, naps: Naps, monkeypatch: pytest.MonkeyPatch
):
    pad(sim, 3_000_000)
    job = finished_job()
    sim.add_fault(action="corrupt", path=STORAGE, offset=300)
    reading: list[Download] = []
    while_waiting: list[list[Download]] = []

    def noted(download: Download) -> Any:
        reading.append(download)
        try:
            yield from blocks(download)
        finally:
            reading.remove(download)

    blocks = Download.blocks
    monkeypatch.setattr(Download, "blocks", noted)
    naps.wake = lambda: while_waiting.append(list(reading))

    transfer(job, vault)

    assert while_waiting == [[]]


def test_a_file_that_never_comes_is_asked_for_ten_minutes_long(
    sim: Simulator, finished_job: MakeJob, vault: Vault, naps: Naps
):
    job = finished_job()
    sim.add_fault(action="status", status=404, path=FILE, body=ERROR, times=None)

    with pytest.raises(XBackupError, match="has no file"):
        transfer(job, vault)

    assert 600 <= naps.slept < 700
    assert objects(vault) == []


@pytest.mark.parametrize("setting", ["file", "storage"])
def test_the_tries_for_a_file_do_not_wear_out_what_is_in_the_vault(
    sim: Simulator, finished_job: MakeJob, vault: Vault, setting: str
):
    sim.settings.xray.cooldown_seconds = 0
    transfer(finished_job(), vault)
    before = {path: path.read_bytes() for path in objects(vault)}
    sim.advance(5)
    job = finished_job()
    sim.add_fault(action="reset", path=FILE if setting == "file" else STORAGE, times=None)

    with pytest.raises(XBackupError):
        transfer(job, vault)

    assert {path: path.read_bytes() for path in objects(vault)} == before
