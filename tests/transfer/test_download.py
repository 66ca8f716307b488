from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from stand_in import DATA, STORAGE, Naps

from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.hooks.xray import XrayHook
from airflow_provider_xbackup.http.errors import ConnectionFailedError
from airflow_provider_xbackup.services.errors import FileNotAvailableError, UnreadableAnswerError
from airflow_provider_xbackup.services.xray import Artifact
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfer.download import RESUMES, Download, decoded
from airflow_provider_xbackup.transfer.errors import ReplacedFileError, SupersededFileError, WrongLengthError

BREAK = 1_300_000


@pytest.fixture
def content(sim: Simulator, finished_job: Callable[..., Any], served: Callable[..., bytes]) -> bytes:
    """What the server serves: larger than what fits on the wire at once."""
    sim.settings.xray.tenants["demo-client"].data.padding_bytes = 3_000_000
    finished_job()
    content = served()
    sim.journal.clear()
    return content


@pytest.fixture
def still(sim: Simulator) -> None:
    """The service's clock stands still, so that files are of the same second, or not, whatever the load."""
    sim.clock.freeze()


def begin() -> Download:
    return Download(XrayHook("acme").client, Artifact.DATA)


def read(download: Download) -> bytes:
    with download:
        return b"".join(download.blocks())


def storage_requests(sim: Simulator) -> list[Any]:
    return sim.journal.entries(path="/_storage/…")


def test_a_file_is_read_to_its_end_over_one_connection(sim: Simulator, content: bytes):
    download = begin()

    assert read(download) == content
    assert (download.resumed, len(storage_requests(sim))) == (0, 1)


def test_the_token_goes_to_the_configured_host_and_not_to_the_storage(sim: Simulator, content: bytes):
    read(begin())

    assert [entry.authorized for entry in sim.journal.entries(path=DATA)] == [True]
    assert [entry.authorized for entry in storage_requests(sim)] == [False]


@pytest.mark.parametrize(
    ("etag", "last_modified", "if_range"),
    [
        pytest.param("strong", True, True, id="strong ETag"),
        pytest.param("strong", False, True, id="strong ETag alone"),
        pytest.param("none", True, True, id="Last-Modified alone"),
    ],
)
def test_what_is_identified_is_resumed_where_it_broke(
    sim: Simulator, content: bytes, etag: Any, last_modified: bool, if_range: bool
):
    sim.settings.xray.download.etag = etag
    sim.settings.xray.download.last_modified = last_modified
    sim.add_fault(action="reset", path=STORAGE, after_bytes=BREAK)
    download = begin()

    assert read(download) == content
    first, second = storage_requests(sim)
    assert "range" not in first.headers
    assert {"range", "if-range"} <= set(second.headers)
    assert download.resumed == 1


@pytest.mark.parametrize(
    ("etag", "last_modified"),
    [
        pytest.param("weak", True, id="weak ETag"),
        pytest.param("weak", False, id="weak ETag alone"),
        pytest.param("none", False, id="nothing"),
    ],
)
def test_what_is_not_identified_is_not_resumed(sim: Simulator, content: bytes, etag: Any, last_modified: bool):
    sim.settings.xray.download.etag = etag
    sim.settings.xray.download.last_modified = last_modified
    sim.add_fault(action="reset", path=STORAGE, after_bytes=BREAK)

    with pytest.raises(ConnectionFailedError):
        read(begin())

    assert len(storage_requests(sim)) == 1


def test_an_encoded_body_is_decoded_and_not_resumed(sim: Simulator, content: bytes):
    sim.settings.xray.download.gzip = True
    assert read(begin()) == content
    sim.add_fault(action="reset", path=STORAGE, after_bytes=1000)

    with pytest.raises(ConnectionFailedError):
        read(begin())


def test_a_server_that_ignores_ranges_sends_the_start_again_and_it_is_skipped(sim: Simulator, content: bytes):
    sim.settings.xray.download.ranges = False
    sim.add_fault(action="reset", path=STORAGE, after_bytes=BREAK)

    assert read(begin()) == content


def test_a_whole_file_that_does_not_say_which_it_is_is_not_spliced(sim: Simulator, content: bytes):
    sim.add_fault(action="reset", path=STORAGE, after_bytes=BREAK)
    sim.add_fault(action="headers", path=STORAGE, header="range", remove=["etag", "last-modified"])
    sim.settings.xray.download.ranges = False

    with pytest.raises(ReplacedFileError):
        read(begin())


def test_a_service_that_fails_for_a_moment_while_resuming_costs_nothing(sim: Simulator, content: bytes):
    sim.add_fault(action="reset", path=STORAGE, after_bytes=BREAK)
    sim.add_fault(action="status", path=STORAGE, status=404, header="range", body="{}")

    assert read(begin()) == content


def test_a_file_served_without_a_redirect_is_resumed_too(sim: Simulator, content: bytes):
    sim.settings.xray.download.redirect = False
    sim.add_fault(action="reset", path="/backup/file$", after_bytes=BREAK)

    assert read(begin()) == content


def test_a_resumed_download_takes_a_fresh_link(sim: Simulator, content: bytes):
    sim.settings.xray.download.link_one_time = True
    sim.add_fault(action="reset", path=STORAGE, after_bytes=BREAK)

    read(begin())

    assert len(sim.journal.entries(path=DATA)) == 2


def test_a_link_that_is_spent_when_resuming_counts_as_a_break(sim: Simulator, content: bytes):
    sim.add_fault(action="reset", path=STORAGE, after_bytes=BREAK)
    sim.add_fault(action="status", path=STORAGE, status=403, header="range", content_type="application/xml")

    assert read(begin()) == content


def test_every_byte_that_arrives_gives_the_next_break_its_tries_back(sim: Simulator, content: bytes):
    sim.add_fault(action="reset", path=STORAGE, after_bytes=250_000, times=RESUMES + 3)
    download = begin()

    assert read(download) == content
    assert download.resumed == RESUMES + 3


def test_every_byte_that_arrives_makes_the_next_pause_a_short_one_again(
    sim: Simulator, content: bytes, naps: Naps
):
    sim.add_fault(action="reset", path=STORAGE, after_bytes=250_000, times=5)

    assert read(begin()) == content
    assert len(naps.pauses) == 5
    assert all(1 <= pause <= 2 for pause in naps.pauses)


def test_the_pauses_before_a_download_goes_on_grow_while_nothing_comes(sim: Simulator, content: bytes, naps: Naps):
    sim.add_fault(action="reset", path=STORAGE, after_bytes=BREAK)
    sim.add_fault(action="reset", path=STORAGE, after_bytes=0, header="range", times=None)

    with pytest.raises(ConnectionFailedError):
        read(begin())

    least = [1, 2, 4, 8, 16, 30, 30]
    assert len(naps.pauses) == len(least) == RESUMES
    assert all(low <= pause <= low + 1 for low, pause in zip(least, naps.pauses, strict=True))


def test_a_gateway_that_resets_every_connection_for_a_minute_is_borne(sim: Simulator, content: bytes, naps: Naps):
    sim.add_fault(action="reset", path=STORAGE, after_bytes=BREAK)
    sim.add_fault(action="reset", path=STORAGE, after_bytes=0, header="range", times=None)
    naps.wake = lambda: sim.clear_faults() if naps.slept > 60 else None

    assert read(begin()) == content


def test_bytes_that_came_before_a_break_are_not_asked_for_again(sim: Simulator, content: bytes):
    sim.add_fault(action="reset", path=STORAGE, after_bytes=10_000)
    with begin() as download:
        first = next(iter(download.blocks()))

    assert first == content[:10_000]


def test_a_connection_that_brings_nothing_more_is_given_up(sim: Simulator, content: bytes):
    sim.add_fault(action="reset", path=STORAGE, after_bytes=BREAK)
    sim.add_fault(action="reset", path=STORAGE, after_bytes=0, header="range", times=None)

    with pytest.raises(ConnectionFailedError):
        read(begin())

    assert len(storage_requests(sim)) == 1 + RESUMES


def test_a_stalled_connection_is_resumed(sim: Simulator, content: bytes):
    sim.add_fault(action="stall", path=STORAGE, after_bytes=BREAK)

    assert read(begin()) == content


RANGES = pytest.mark.parametrize("ranges", [pytest.param(True, id="ranges"), pytest.param(False, id="no ranges")])


def replace_meanwhile(sim: Simulator, ranges: bool) -> None:
    sim.settings.xray.download.ranges = ranges
    sim.add_fault(action="reset", path=STORAGE, after_bytes=BREAK)
    sim.add_fault(action="replace_file", path=STORAGE, header="range")


@RANGES
@pytest.mark.parametrize("dated", [pytest.param(True, id="of the same second"), pytest.param(False, id="undated")])
def test_a_file_that_was_replaced_meanwhile_is_never_spliced(
    sim: Simulator, still: None, content: bytes, ranges: bool, dated: bool
):
    sim.settings.xray.download.last_modified = dated
    replace_meanwhile(sim, ranges)

    with pytest.raises(ReplacedFileError, match="changed while"):
        read(begin())


@RANGES
@pytest.mark.parametrize("etag", ["strong", "none"])
def test_a_file_that_a_later_one_took_the_place_of_is_lost_for_good(
    sim: Simulator, still: None, content: bytes, ranges: bool, etag: Any
):
    sim.settings.xray.download.etag = etag
    sim.advance(1)
    replace_meanwhile(sim, ranges)

    with pytest.raises(SupersededFileError, match="A later backup of the tenant took its place") as lost:
        read(begin())
    assert not lost.value.retryable


PART = {"content-range": f"bytes {BREAK}-2999999/3000000"}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            {"action": "status", "status": 416, "headers": {"content-range": "bytes */5"}},
            id="416 of another length",
        ),
        pytest.param(
            {"action": "status", "status": 416, "headers": {"etag": '"another"'}}, id="416 of another ETag"
        ),
        pytest.param({"action": "status", "status": 206, "body": "x"}, id="206 without its range"),
        pytest.param({"action": "status", "status": 206, "headers": PART}, id="206 of another length"),
        pytest.param({"action": "headers", "set": {"content-range": "bytes 0-5/6"}}, id="206 from elsewhere"),
        pytest.param({"action": "headers", "set": {"etag": '"another"'}}, id="another ETag"),
        pytest.param(
            {"action": "headers", "set": {"last-modified": "Mon, 05 Jan 2026 00:00:00 GMT"}}, id="another instant"
        ),
    ],
)
def test_a_part_that_does_not_fit_is_never_spliced(sim: Simulator, content: bytes, fault: dict[str, Any]):
    sim.add_fault(action="reset", path=STORAGE, after_bytes=BREAK)
    sim.add_fault(path=STORAGE, header="range", **fault)

    with pytest.raises(ReplacedFileError):
        read(begin())


@pytest.mark.parametrize("etag", ["strong", "none"])
def test_a_wrong_length_is_called_so_and_no_newer_file(sim: Simulator, content: bytes, etag: Any):
    sim.settings.xray.download.etag = etag
    sim.add_fault(action="wrong_length", path=STORAGE, difference=100)
    announced, received = len(content) + 100, len(content)

    with pytest.raises(
        WrongLengthError, match=f"announced {announced} bytes .* after {received} bytes that there are"
    ):
        read(begin())


@pytest.mark.parametrize(
    ("ranges", "header", "value"),
    [
        pytest.param(True, "content-range", f"bytes {BREAK}-{{last}}/{{other}}", id="ranges"),
        pytest.param(False, "content-length", "{other}", id="no ranges"),
    ],
)
def test_a_file_of_two_lengths_is_not_spliced(
    sim: Simulator, content: bytes, ranges: bool, header: str, value: str
):
    sim.settings.xray.download.ranges = ranges
    other = len(content) + 100
    sim.add_fault(action="reset", path=STORAGE, after_bytes=BREAK)
    headers = {header: value.format(last=len(content) - 1, other=other)}
    sim.add_fault(action="headers", path=STORAGE, header="range", set=headers)

    with pytest.raises(WrongLengthError, match=f"announced {len(content)} bytes of the file, and {other} when"):
        read(begin())


@pytest.mark.parametrize("difference", [-500, 500])
def test_a_length_that_is_not_kept_is_no_end(sim: Simulator, content: bytes, difference: int):
    sim.settings.xray.download.etag = "none"
    sim.settings.xray.download.last_modified = False
    sim.add_fault(action="wrong_length", path=STORAGE, difference=difference, times=None)

    if difference < 0:  # shorter by the headers: for the zip's directory to find out
        assert read(begin()) == content[:difference]
    else:
        with pytest.raises(ConnectionFailedError):
            read(begin())


def test_redirects_in_circles_end(sim: Simulator, content: bytes):
    sim.add_fault(action="redirect", path=STORAGE, location=f"{sim.url}/_storage/round", times=None)

    with pytest.raises(UnreadableAnswerError, match="in circles"):
        begin()


@pytest.mark.parametrize("location", ["http://192.0.2.1/file", "ftp://127.0.0.1/file", "http://[bad"])
def test_a_redirect_to_where_nothing_is_safe_is_refused(sim: Simulator, content: bytes, location: str):
    sim.add_fault(action="redirect", path="/backup/file$", location=location, times=None)

    with pytest.raises(BackupError):
        begin()


def test_no_file_is_said_so(sim: Simulator, content: bytes):
    sim.add_fault(
        action="status", path="/backup/file$", status=404, body='{"error": "Backup file is not available."}'
    )

    with pytest.raises(FileNotAvailableError):
        begin()


def test_several_gzip_members_are_one_body():
    import gzip

    assert b"".join(decoded([gzip.compress(b"one ") + gzip.compress(b"two")], "gzip")) == b"one two"


def test_a_gzip_body_cut_anywhere_is_no_end():
    import gzip

    coded = gzip.compress(b"content" * 100)

    with pytest.raises(ConnectionFailedError):
        list(decoded([coded[:-3]], "gzip"))


@pytest.mark.parametrize(("body", "encoding"), [(b"plain", "gzip"), (b"x", "br"), (b"x", "gzip, gzip")])
def test_a_coding_nobody_asked_for_and_nobody_can_read_is_refused(body: bytes, encoding: str):
    with pytest.raises(UnreadableAnswerError):
        list(decoded([body], encoding))


def test_a_small_coded_body_that_inflates_enormously_comes_in_small_blocks():
    import gzip

    blocks = decoded([gzip.compress(bytes(20_000_000))], "gzip")

    assert max(map(len, blocks)) <= 1 << 20
