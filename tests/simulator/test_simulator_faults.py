"""Each fault, seen from the client."""

from __future__ import annotations

import pytest
import requests
from pydantic import ValidationError
from urllib3.exceptions import HTTPError, ProtocolError

FILE = "/api/v2/backup/file"
STORAGE = "^/_storage/"


@pytest.fixture
def backup(sim, xray) -> bytes:
    """The content of a finished backup."""
    xray.finished_job()
    return xray.download().content


def received(url: str, block: int = 1000) -> tuple[bytes, Exception | None]:
    """What arrived of a body, but for the last incomplete block, and what ended it."""
    got = bytearray()
    try:
        with requests.get(url, stream=True, timeout=20) as answer:
            while some := answer.raw.read(block):
                got += some
    except (requests.RequestException, HTTPError) as error:
        return bytes(got), error
    return bytes(got), None


def test_a_status_is_played_as_often_as_said_and_after_as_many_as_said(sim, xray):
    sim.add_fault(
        action="status",
        path="/status$",
        after=1,
        times=2,
        status=502,
        body="bad",
        content_type="text/x",
        headers={"Retry-After": "7"},
    )
    job_id = xray.create().json()["jobId"]
    answers = [xray.status(job_id) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 502, 502, 200]
    assert (answers[1].text, answers[1].headers["content-type"]) == ("bad", "text/x")
    assert answers[1].headers["retry-after"] == "7"


def test_a_fault_without_an_end_is_played_for_ever(sim, xray):
    sim.add_fault(action="status", method="GET", path="/status$", times=None)
    assert {xray.status("x").status_code for _ in range(5)} == {500}
    sim.clear_faults()
    assert xray.status("x").status_code == 404


def test_a_fault_can_wait_for_a_header(sim, xray, backup):
    sim.add_fault(action="status", path=STORAGE, header="Range", status=416)
    assert xray.download().ok
    assert xray.download(Range="bytes=5-").status_code == 416


def test_the_first_fault_that_matches_is_played_then_the_next(sim, xray):
    sim.add_fault(action="status", status=502)
    sim.add_fault(action="status", status=503)
    assert [xray.status("x").status_code for _ in range(3)] == [502, 503, 404]


def test_a_request_refused_by_a_fault_was_not_processed_unless_said(sim, xray):
    sim.add_fault(action="status", path="/backup$", status=500)
    sim.add_fault(action="status", path="/backup$", status=500, processed=True)
    assert xray.create().status_code == 500
    assert sim.journal.jobs() == []
    assert xray.create().status_code == 500
    assert len(sim.journal.jobs()) == 1


@pytest.mark.parametrize("status", [200, 403, 503])
def test_html_comes_in_the_place_of_a_file(sim, xray, backup, status):
    sim.add_fault(action="html", path=STORAGE, status=status)
    answer = xray.download()
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<!DOCTYPE html>")


def test_a_redirect_goes_anywhere(sim, xray, backup):
    sim.add_fault(action="redirect", path=f"{FILE}$", location="http://10.0.0.1/x", status=307)
    answer = xray.call("GET", FILE)
    assert (answer.status_code, answer.headers["location"]) == (307, "http://10.0.0.1/x")


def test_a_reset_comes_before_anything_was_done(sim, xray):
    sim.add_fault(action="reset", path="/backup$")
    with pytest.raises(requests.ConnectionError, match="reset"):
        xray.create()
    assert sim.journal.jobs() == []
    assert xray.create().ok


def test_a_dropped_answer_belongs_to_a_job_that_was_made(sim, xray):
    sim.add_fault(action="drop_answer", method="POST", path="/backup$")
    with pytest.raises(requests.ConnectionError, match="reset"):
        xray.create()
    assert len(sim.journal.jobs()) == 1
    assert xray.create().status_code == 400
    entry = sim.journal.entries("/backup")[0]
    assert (entry.status, entry.fault) == (None, "drop_answer")


@pytest.mark.parametrize("after_bytes", [0, 1, 5000, 10_000])
def test_a_reset_comes_after_so_many_bytes(sim, xray, backup, after_bytes):
    sim.add_fault(action="reset", path=STORAGE, after_bytes=after_bytes)
    got, error = received(xray.link())
    assert got == backup[: len(got)]
    assert len(got) <= after_bytes < len(got) + 1000
    assert "reset" in str(error)


def test_a_reset_far_into_a_large_body_delivers_what_was_before(sim, xray):
    sim.change_data(padding_bytes=20_000_000)
    xray.finished_job()
    sim.add_fault(action="reset", path=STORAGE, after_bytes=15_000_000)
    got, error = received(xray.link(), block=100_000)
    assert 15_000_000 - 100_000 < len(got) <= 15_000_000
    assert "reset" in str(error)


def test_a_body_that_ends_early_breaks_the_promised_length(sim, xray, backup):
    sim.add_fault(action="truncate", path=STORAGE, after_bytes=5000)
    link = xray.link()
    answer = requests.get(link, stream=True, timeout=20)
    assert answer.headers["content-length"] == str(len(backup))
    assert answer.raw.read(5000) == backup[:5000]
    with pytest.raises(ProtocolError):
        answer.raw.read(1)


def test_a_chunked_body_ends_without_its_last_chunk(sim, xray, backup):
    sim.add_fault(action="truncate", path=STORAGE, after_bytes=5000, length="chunked")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        xray.download()


def test_a_body_ends_early_without_a_trace(sim, xray, backup):
    sim.add_fault(action="truncate", path=STORAGE, after_bytes=5000, length="silent")
    answer = xray.download()
    assert answer.content == backup[:5000]
    assert "content-length" not in answer.headers
    assert xray.download().content == backup


def test_a_stalled_body_goes_on_later(sim, xray, backup):
    sim.add_fault(action="stall", path=STORAGE, after_bytes=5000, seconds=0.01)
    assert xray.download().content == backup


@pytest.mark.parametrize("after_bytes", [None, 0, 5000])
def test_a_stall_lasts_longer_than_the_client_waits(sim, xray, backup, after_bytes):
    sim.add_fault(action="stall", path=STORAGE, after_bytes=after_bytes)
    link = xray.link()
    with pytest.raises((requests.Timeout, requests.ConnectionError)):
        requests.get(link, timeout=0.05)
    assert xray.download().content == backup


def test_a_stalled_answer_of_a_job_request_belongs_to_a_job_that_was_made(sim, xray):
    sim.add_fault(action="stall", path="/backup$")
    with pytest.raises(requests.Timeout):
        xray.call("POST", "/api/v2/backup", timeout=0.3)
    assert len(sim.journal.jobs()) == 1


def test_a_delayed_request_is_answered_as_usual(sim, xray):
    sim.add_fault(action="delay", path="/backup$", seconds=0.01)
    assert xray.create().ok
    assert sim.journal.entries("/backup")[0].fault == "delay"


@pytest.mark.parametrize("difference", [-100, 100])
def test_a_wrong_length_is_promised(sim, xray, backup, difference):
    sim.add_fault(action="wrong_length", path=STORAGE, difference=difference)
    answer = requests.get(xray.link(), stream=True, timeout=20)
    assert answer.headers["content-length"] == str(len(backup) + difference)
    got = answer.raw.read(min(len(backup), len(backup) + difference))
    assert got == backup[: len(got)]
    if difference > 0:
        with pytest.raises(ProtocolError):
            answer.raw.read(1)


@pytest.mark.parametrize("offset", [0, 5000, -1])
def test_one_byte_arrives_changed(sim, xray, backup, offset):
    sim.add_fault(action="corrupt", path=STORAGE, offset=offset)
    got = xray.download().content
    changed = [index for index, (was, now) in enumerate(zip(backup, got, strict=True)) if was != now]
    assert changed == [offset % len(backup)]


def test_the_changed_byte_is_counted_from_the_start_of_the_file_in_a_part_too(sim, xray, backup):
    sim.add_fault(action="corrupt", path=STORAGE, offset=5000)
    got = xray.download(Range="bytes=4990-").content
    assert got[:10] == backup[4990:5000]
    assert got[10] == backup[5000] ^ 0xFF


def test_a_body_comes_encoded_though_not_asked_for(sim, xray, backup):
    sim.add_fault(action="gzip", path=STORAGE)
    answer = xray.download(**{"Accept-Encoding": "identity"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.content == backup


def test_headers_are_changed_and_the_body_is_not(sim, xray, backup):
    sim.add_fault(action="headers", path=STORAGE, set={"Last-Modified": "yesterday"}, remove=["ETag"])
    answer = xray.download()
    assert answer.headers["last-modified"] == "yesterday"
    assert "etag" not in answer.headers
    assert answer.content == backup


def test_the_file_is_replaced_between_two_requests_for_parts(sim, xray, backup):
    sim.settings.xray.download.link_one_time = False
    link = xray.link()
    tag = requests.get(link, timeout=20).headers["etag"]
    sim.add_fault(action="replace_file", path=STORAGE)
    resumed = requests.get(link, headers={"Range": "bytes=5-", "If-Range": tag}, timeout=20)
    assert resumed.status_code == 200
    assert resumed.headers["etag"] != tag
    assert resumed.content != backup


def test_the_connection_is_usable_after_an_orderly_fault(sim, xray):
    sim.add_fault(action="status", path="/status$")
    with requests.Session() as session:
        statuses = [session.get(f"{sim.url}/api/v2/backup/x/status", timeout=20).status_code for _ in range(2)]
    assert statuses == [500, 401]


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "explode"},
        {"action": "status", "staus": 500},
        {"action": "status", "path": "("},
        {"action": "truncate"},
        {},
    ],
)
def test_a_fault_that_cannot_be_meant_is_refused(sim, fault):
    with pytest.raises(ValidationError):
        sim.add_fault(**fault)
