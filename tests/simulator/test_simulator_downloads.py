"""How files are handed out: redirects, signed links, ranges, headers."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest
import requests

FILE = "/api/v2/backup/file"


@pytest.fixture
def backup(xray) -> bytes:
    """The content of a finished backup."""
    xray.finished_job()
    return xray.download().content


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers=headers, timeout=20)


def test_a_file_comes_by_a_redirect_to_a_signed_link_on_the_same_server(sim, xray, backup):
    answer = xray.call("GET", FILE)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(f"{sim.url}/_storage/")
    assert get(answer.headers["location"]).content == backup


def test_status_and_host_of_the_redirect_can_be_set(sim, xray, backup):
    sim.settings.xray.download.redirect_status = 307
    sim.settings.xray.download.link_origin = f"http://localhost:{sim.port}"
    answer = xray.call("GET", FILE)
    assert answer.status_code == 307
    assert answer.headers["location"].startswith(f"http://localhost:{sim.port}/_storage/")


def test_a_signed_link_refuses_a_request_with_authorization_and_is_not_spent_by_it(xray, backup):
    link = xray.link()
    refused = get(link, Authorization="Bearer x")
    assert refused.status_code == 400
    assert "Only one auth mechanism allowed" in refused.text
    assert get(link).content == backup


def test_a_signed_link_is_spent_after_one_use(xray, backup):
    link = xray.link()
    assert get(link).ok
    assert get(link).status_code == 403


def test_a_signed_link_can_be_used_more_than_once(sim, xray, backup):
    sim.settings.xray.download.link_one_time = False
    link = xray.link()
    assert get(link).content == get(link).content == backup


def test_a_signed_link_ends(sim, xray, backup):
    sim.settings.xray.download.link_seconds = 60
    link = xray.link()
    sim.advance(60)
    assert get(link).status_code == 403


def test_a_made_up_link_is_refused(sim):
    assert get(f"{sim.url}/_storage/nonsense").status_code == 403


def test_a_link_to_a_file_that_is_gone_finds_nothing(sim, xray, backup):
    link = xray.link()
    for _ in range(3):
        sim.other_client_backup()
    assert get(link).status_code == 404


def test_the_file_can_come_without_a_redirect(sim, xray, backup):
    sim.settings.xray.download.redirect = False
    answer = xray.call("GET", FILE)
    assert (answer.status_code, answer.content) == (200, backup)
    assert answer.headers["content-type"] == "application/octet-stream"


def test_repeated_downloads_give_the_same_bytes_and_tag(xray, backup):
    first, second = xray.download(), xray.download()
    assert first.content == second.content == backup
    assert first.headers["etag"] == second.headers["etag"]


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        pytest.param("bytes=0-99", slice(0, 100), id="the beginning"),
        pytest.param("bytes=100-", slice(100, None), id="the rest"),
        pytest.param("bytes=-50", slice(-50, None), id="the end"),
        pytest.param("bytes=10-99999999", slice(10, None), id="past the end"),
    ],
)
@pytest.mark.parametrize("redirect", [True, False])
def test_a_range_gives_the_part_asked_for(sim, xray, backup, asked, part, redirect):
    sim.settings.xray.download.redirect = redirect
    answer = xray.download(Range=asked) if redirect else xray.call("GET", FILE, headers={"Range": asked})
    start, end, _ = part.indices(len(backup))
    assert answer.status_code == 206
    assert answer.content == backup[part]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(backup)}"
    assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("asked", ["bytes=", "bytes=-", "lines=1-2", "bytes=0-1,4-5"])
def test_a_range_that_is_not_understood_gives_everything(xray, backup, asked):
    answer = xray.download(Range=asked)
    assert (answer.status_code, answer.content) == (200, backup)


def test_a_range_outside_the_file_cannot_be_satisfied(xray, backup):
    answer = xray.download(Range=f"bytes={len(backup)}-")
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(backup)}"


@pytest.mark.parametrize("validator", ["etag", "last-modified"])
def test_if_range_gives_the_part_while_the_file_is_the_same(sim, xray, backup, validator):
    value = xray.download().headers[validator]
    assert xray.download(Range="bytes=5-", **{"If-Range": value}).content == backup[5:]
    sim.clock.advance(7200)
    sim.other_client_backup()
    answer = xray.download(Range="bytes=5-", **{"If-Range": value})
    assert answer.status_code == 200
    assert answer.content != backup


def test_a_weak_tag_never_allows_a_part(sim, xray, backup):
    sim.settings.xray.download.etag = "weak"
    tag = xray.download().headers["etag"]
    assert tag.startswith('W/"')
    assert xray.download(Range="bytes=5-", **{"If-Range": tag}).status_code == 200


def test_an_if_range_that_is_nonsense_gives_everything(xray, backup):
    assert xray.download(Range="bytes=5-", **{"If-Range": "never"}).status_code == 200


def test_ranges_can_be_ignored(sim, xray, backup):
    sim.settings.xray.download.ranges = False
    answer = xray.download(Range="bytes=5-")
    assert (answer.status_code, answer.content) == (200, backup)
    assert "accept-ranges" not in answer.headers


def test_validators_and_length_can_be_missing(sim, xray, backup):
    sim.settings.xray.download.etag = "none"
    sim.settings.xray.download.last_modified = False
    sim.settings.xray.download.content_length = False
    answer = xray.download()
    assert answer.content == backup
    assert answer.headers["transfer-encoding"] == "chunked"
    assert not {"etag", "last-modified", "content-length"} & {name.lower() for name in answer.headers}


def test_the_file_can_come_encoded_named_and_with_a_checksum(sim, xray, backup):
    sim.settings.xray.download.gzip = True
    sim.settings.xray.download.checksum = True
    sim.settings.xray.download.content_disposition = 'attachment; filename="{name}"'
    answer = xray.download()
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.content == backup
    assert answer.headers["x-amz-meta-md5"] == hashlib.md5(backup).hexdigest()
    assert answer.headers["content-disposition"] == 'attachment; filename="backup.zip"'


def test_a_large_file_is_sent_without_holding_it(sim, xray):
    size = 100_000_000
    sim.change_data(padding_bytes=size)
    xray.finished_job()
    link = xray.link()
    tracemalloc.start()
    try:
        with requests.get(link, stream=True, timeout=20) as answer:
            received = sum(len(block) for block in answer.iter_content(1 << 20))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert received > size
    assert peak < 30_000_000
