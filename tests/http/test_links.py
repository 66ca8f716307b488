"""Following the redirect of a download: a signed link is a credential, and needs no other."""

from __future__ import annotations

import logging
import threading

import pytest
import requests
from urllib3.connection import HTTPConnection

from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.http.endpoint import Endpoint, Timeouts
from airflow_provider_xbackup.http.errors import ConnectionFailedError, InsecureHostError
from airflow_provider_xbackup.http.message import Request
from airflow_provider_xbackup.http.sync import Client
from airflow_provider_xbackup.http.tokens import GivenToken
from airflow_provider_xbackup.services import xray, xray_jobs

FILE = xray.file_request(xray.Artifact.DATA)
REMOTE = "https://xray.example"


@pytest.fixture
def ready(sim, login):
    """A client of a simulator that holds a finished backup."""
    client = Client(Endpoint(sim.url, timeouts=Timeouts(5, 5, 0.3)), login(sim.url))
    client.call(xray.create_backup_request(xray_jobs.XrayBackupRequest()))
    sim.finish_jobs()
    yield client
    client.close()


def test_a_redirect_is_answered_and_its_link_carries_no_token(sim, ready):
    with ready.open(FILE) as answer:
        location = xray.read_redirect(answer.answer)
    assert sim.journal.entries("/…") == []
    with ready.open_link(FILE, location) as stream:
        body = b"".join(stream.blocks())
    assert body.startswith(b"PK")
    (entry,) = sim.journal.entries("/…")
    assert (entry.status, entry.authorized) == (200, False)


def test_a_link_may_be_relative_to_its_call(sim, ready):
    with ready.open(FILE) as answer:
        location = xray.read_redirect(answer.answer)
    with ready.open_link(FILE, location.removeprefix(sim.url)) as stream:
        assert stream.status == 200


def test_a_link_is_in_no_log(sim, ready, caplog):
    caplog.set_level(logging.DEBUG)
    with ready.open(FILE) as answer:
        location = xray.read_redirect(answer.answer)
    sim.add_fault(action="status", path="^/_storage/", status=503)
    with ready.open_link(FILE, f"{location}?X-Amz-Signature=deadbeef") as stream:
        list(stream.blocks())
    assert '"GET /… HTTP/1.1" 200' in caplog.text
    assert location.rpartition("/_storage/")[2] not in caplog.text
    assert "deadbeef" not in caplog.text


def test_a_link_whose_answer_has_odd_headers_is_in_no_log(small_server, login, caplog):
    caplog.set_level(logging.DEBUG)
    server = small_server(headers={"X-Odd": "1\r\nno header s3cret-line"})
    client = Client(Endpoint(server.url), login(server.url))

    with client.open_link(FILE, f"{server.url}/s3cret-path?sig=s3cret-key") as stream:
        list(stream.blocks())

    client.close()
    assert '"GET /… HTTP/1.1" 200' in caplog.text
    assert "Failed to parse headers" in caplog.text
    assert "s3cret" not in caplog.text


def test_the_query_of_a_call_is_in_no_log(small_server, login, caplog):
    caplog.set_level(logging.DEBUG)
    server = small_server(headers={"X-Odd": "1\r\nno header s3cret-line"})
    client = Client(Endpoint(server.url), login(server.url))

    client.call(Request("GET", "/status?key=s3cret-key", authenticated=False))

    client.close()
    assert '"GET /status?… HTTP/1.1" 200' in caplog.text
    assert "Failed to parse headers" in caplog.text
    assert "s3cret" not in caplog.text


def test_what_another_library_does_is_logged_as_if_this_package_was_not_there(small_server, ready, caplog):
    with ready.open(FILE) as answer, ready.open_link(FILE, xray.read_redirect(answer.answer)) as stream:
        list(stream.blocks())
    caplog.set_level(logging.DEBUG)
    server = small_server(headers={"X-Odd": "1\r\nno header at all"})

    requests.get(f"{server.url}/search?page=2", timeout=5)

    assert '"GET /search?page=2 HTTP/1.1" 200' in caplog.text
    (odd,) = [record for record in caplog.records if "Failed to parse headers" in record.getMessage()]
    assert f"{server.url}/search?page=2" in odd.getMessage()
    assert odd.exc_info is not None


def test_another_library_is_logged_as_ever_while_a_request_is_under_way(small_server, login, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    ours, other = small_server(), small_server()
    client = Client(Endpoint(ours.url), login(ours.url))
    send = HTTPConnection.request

    def send_after_another(connection, *args, **kwargs):
        if connection.port == int(ours.url.rpartition(":")[2]):
            thread = threading.Thread(
                target=requests.get, args=(f"{other.url}/search?page=2",), kwargs={"timeout": 5}
            )
            thread.start()
            thread.join()
        return send(connection, *args, **kwargs)

    monkeypatch.setattr(HTTPConnection, "request", send_after_another)
    client.call(Request("GET", "/status?key=s3cret-key", authenticated=False))

    client.close()
    assert '"GET /search?page=2 HTTP/1.1" 200' in caplog.text
    assert "s3cret-key" not in caplog.text


@pytest.mark.parametrize(
    ("root", "allow_http", "location"),
    [
        pytest.param(REMOTE, False, "http://storage.example/x?sig=s3cret", id="https to http"),
        pytest.param(
            "http://127.0.0.1:1", False, "http://storage.example/x?sig=s3cret", id="this machine to another"
        ),
        pytest.param(REMOTE, False, "https://127.0.0.1/x?sig=s3cret", id="onto this machine"),
        pytest.param(REMOTE, True, "http://localhost/x?sig=s3cret", id="onto this machine, http allowed"),
        pytest.param(REMOTE, True, "file:///etc/passwd?sig=s3cret", id="onto a file"),
        pytest.param(REMOTE, True, "ftp://storage.example/x?sig=s3cret", id="another scheme"),
    ],
)
def test_a_link_to_a_weaker_place_is_refused_unseen(root, allow_http, location):
    client = Client(Endpoint(root, allow_http=allow_http), GivenToken("token-value"))
    with pytest.raises(InsecureHostError) as caught:
        client.open_link(FILE, location)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("root", [REMOTE, "http://xray.example"])
def test_a_link_to_plain_http_is_followed_where_the_connection_allows_it(small_server, root):
    proxy = small_server(body=b"PK")
    client = Client(Endpoint(root, allow_http=True, proxy=proxy.url), GivenToken("token-value"))
    with client.open_link(FILE, "http://storage.example/x") as stream:
        assert b"".join(stream.blocks()) == b"PK"
    assert proxy.seen[0].line.startswith("GET http://storage.example/x ")
    assert "authorization" not in proxy.seen[0].headers


@pytest.mark.parametrize("location", ["http://[s3cret", "https://s3cret:port/"])
def test_a_link_that_is_no_address_is_an_error_of_the_other_side(location):
    client = Client(Endpoint(REMOTE), GivenToken("token-value"))
    with pytest.raises(ConnectionFailedError) as caught:
        client.open_link(FILE, location)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"action": "reset", "after_bytes": 5000}, id="reset"),
        pytest.param({"action": "truncate", "after_bytes": 5000}, id="truncated"),
        pytest.param({"action": "truncate", "after_bytes": 5000, "length": "chunked"}, id="last chunk missing"),
        pytest.param({"action": "stall", "after_bytes": 5000, "seconds": 60}, id="stalled"),
    ],
)
def test_a_download_that_breaks_off_says_so_and_shows_no_link(sim, ready, fault):
    with ready.open(FILE) as answer:
        location = xray.read_redirect(answer.answer)
    sim.add_fault(path="^/_storage/", **fault)
    stream = ready.open_link(FILE, location)
    with stream, pytest.raises(BackupError, match="broke off") as caught:
        list(stream.blocks())
    assert "_storage" not in str(caught.value)
    assert isinstance(caught.value, ConnectionFailedError)
