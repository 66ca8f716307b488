"""What becomes of a request on its way: the same for both carriers."""

from __future__ import annotations

import logging
import socket
import threading
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.http import retry
from airflow_provider_xbackup.http import tokens as token_module
from airflow_provider_xbackup.http.endpoint import Endpoint, Timeouts
from airflow_provider_xbackup.http.errors import AnswerLostError, CertificateError, ConnectionFailedError
from airflow_provider_xbackup.http.message import Answer, Request
from airflow_provider_xbackup.http.tokens import GivenToken, Token
from airflow_provider_xbackup.services import xray, xray_jobs
from airflow_provider_xbackup.services.errors import AuthenticationError

STATUS = xray.status_request("x")
CREATE = xray.create_backup_request(xray_jobs.XrayBackupRequest())
BACKUP = Request("GET", "/api/v2/backup/file", repeatable=False)
PLAIN = Request("GET", "/x", authenticated=False)


@pytest.mark.parametrize(
    ("fault", "request_", "becomes", "sent"),
    [
        pytest.param(None, STATUS, 404, 1, id="no fault"),
        pytest.param({"action": "status", "status": 503}, STATUS, 404, 2, id="503 once"),
        pytest.param({"action": "status", "status": 500, "times": None}, STATUS, 500, 5, id="500 for ever"),
        pytest.param({"action": "status", "status": 429}, STATUS, 404, 2, id="429 once"),
        pytest.param(
            {"action": "status", "status": 429, "headers": {"Retry-After": "3600"}},
            STATUS,
            429,
            1,
            id="429 for an hour",
        ),
        pytest.param({"action": "html", "status": 403}, STATUS, 403, 1, id="a page"),
        pytest.param({"action": "redirect", "location": "https://example.com/"}, STATUS, 302, 1, id="redirect"),
        pytest.param({"action": "reset"}, STATUS, 404, 2, id="reset once"),
        pytest.param({"action": "reset", "times": None}, STATUS, ConnectionFailedError, 5, id="reset for ever"),
        pytest.param({"action": "drop_answer"}, STATUS, 404, 2, id="answer dropped"),
        pytest.param({"action": "stall", "seconds": 60}, STATUS, 404, 2, id="no answer in time"),
        pytest.param({"action": "gzip"}, STATUS, 404, 1, id="encoded"),
        pytest.param({"action": "status", "status": 500}, CREATE, 500, 1, id="POST: 500"),
        pytest.param({"action": "status", "status": 429}, CREATE, 429, 1, id="POST: 429"),
        pytest.param({"action": "drop_answer"}, BACKUP, AnswerLostError, 1, id="one-shot GET: answer dropped"),
        pytest.param({"action": "reset"}, CREATE, AnswerLostError, 1, id="POST: reset"),
        pytest.param({"action": "drop_answer"}, CREATE, AnswerLostError, 1, id="POST: answer dropped"),
        pytest.param({"action": "truncate", "after_bytes": 3}, CREATE, AnswerLostError, 1, id="POST: answer cut"),
        pytest.param({"action": "wrong_length"}, CREATE, AnswerLostError, 1, id="POST: answer short"),
        pytest.param({"action": "stall", "seconds": 60}, CREATE, AnswerLostError, 1, id="POST: no answer in time"),
    ],
)
def test_a_fault_has_one_outcome_whoever_carries(sim, login, call, outcome, fault, request_, becomes, sent):
    if fault:
        sim.add_fault(path="/backup", **fault)
    endpoint = Endpoint(sim.url, timeouts=Timeouts(connect=5, read=0.3, stall=0.3))
    (got,) = call(endpoint, login(sim.url), request_)
    assert outcome(got) == becomes
    assert len(sim.journal.entries(request_.path)) == sent
    assert not isinstance(got, ConnectionFailedError) or "backup" in str(got)


def test_an_encoded_answer_is_decoded(sim, login, call):
    sim.add_fault(action="gzip", path="/status$")
    (answer,) = call(Endpoint(sim.url), login(sim.url), STATUS)
    assert answer.parse_json() == {"error": "job not found."}


def test_the_pause_the_server_asks_for_is_taken(sim, login, call, pauses):
    sim.add_fault(action="status", path="/status$", status=429, headers={"Retry-After": "77"})
    call(Endpoint(sim.url), login(sim.url), STATUS)
    assert len(pauses) == 1
    assert pauses[0] >= 77


def test_a_server_that_is_not_there_is_asked_again_even_with_a_post(sim, login, call, pauses):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    (error,) = call(Endpoint(url), GivenToken("token-value"), CREATE)
    assert type(error) is ConnectionFailedError
    assert f"127.0.0.1:{port} could not be reached" in str(error)
    assert len(pauses) == retry.TRIES
    assert "token-value" not in str(error)


class TestTokens:
    def test_one_login_serves_many_calls_and_clients(self, sim, login, call):
        for _ in range(2):
            call(Endpoint(sim.url), login(sim.url), STATUS, STATUS)
        assert len(sim.journal.entries("/authenticate")) == 1

    def test_other_credentials_have_their_own_token(self, sim, login, call):
        (first,) = call(Endpoint(sim.url), login(sim.url), STATUS)
        (second,) = call(Endpoint(sim.url), login(sim.url, secret="wrong"), STATUS)
        assert first.status == 404
        assert isinstance(second, AuthenticationError)

    def test_a_revoked_token_is_renewed_once_and_in_silence(self, sim, login, call):
        call(Endpoint(sim.url), login(sim.url), STATUS)
        sim.revoke_tokens()
        (answer,) = call(Endpoint(sim.url), login(sim.url), STATUS)
        assert answer.status == 404
        assert [entry.status for entry in sim.journal.entries("/status")] == [404, 401, 404]
        assert len(sim.journal.entries("/authenticate")) == 2

    def test_a_401_that_stays_is_answered_after_one_renewal(self, sim, login, call):
        sim.add_fault(action="status", path="/status$", status=401, times=None)
        (answer,) = call(Endpoint(sim.url), login(sim.url), STATUS)
        assert answer.status == 401
        assert (len(sim.journal.entries("/status")), len(sim.journal.entries("/authenticate"))) == (2, 2)

    def test_a_post_refused_with_401_is_sent_again_as_it_took_no_effect(self, sim, login, call):
        call(Endpoint(sim.url), login(sim.url), STATUS)
        sim.revoke_tokens()
        (answer,) = call(Endpoint(sim.url), login(sim.url), CREATE)
        assert answer.status == 200
        assert len(sim.journal.jobs()) == 1

    def test_a_token_near_its_end_is_renewed_before_it_is_used(self, sim, login, call):
        source = login(sim.url)
        source.keep(Token("worn-out", datetime.now(UTC) - timedelta(hours=22), timedelta(hours=24)))
        call(Endpoint(sim.url), source, STATUS)
        assert [entry.status for entry in sim.journal.entries("/status")] == [404]

    @pytest.mark.parametrize(
        ("age", "usable"),
        [
            (timedelta(0), True),
            (timedelta(minutes=53), True),
            (timedelta(minutes=54), False),
            (timedelta(minutes=-5), False),
        ],
        ids=["fresh", "nearly worn", "in its last tenth", "from the future"],
    )
    def test_a_token_is_usable_but_in_its_last_tenth(self, age, usable):
        now = datetime(2026, 11, 23, tzinfo=UTC)
        assert Token("x", now - age, timedelta(hours=1)).usable_at(now) is usable

    def test_a_given_token_is_never_renewed(self, sim, call):
        (answer,) = call(Endpoint(sim.url), GivenToken("no-such-token"), STATUS)
        assert answer.status == 401
        assert sim.journal.entries("/authenticate") == []
        assert len(sim.journal.entries("/status")) == 1

    def test_who_renewed_in_the_meantime_is_not_undone(self, login):
        source = login("http://x")
        old, new = (Token(value, datetime.now(UTC), timedelta(hours=1)) for value in ("old", "new"))
        source.keep(new)
        assert source.should_renew(Answer(401, {}, b"", datetime.now(UTC)), old)
        assert source.current() == new

    def test_a_login_that_breaks_is_tried_again(self, sim, login, call):
        sim.add_fault(action="reset", path="/authenticate$")
        (answer,) = call(Endpoint(sim.url), login(sim.url), STATUS)
        assert answer.status == 404

    def test_neither_cache_nor_source_keeps_the_secret_in_sight(self, sim, login, call):
        source = login(sim.url)
        call(Endpoint(sim.url), source, STATUS)
        assert "demo-secret" not in f"{source.key}{token_module._cache!r}{vars(source)!r}"


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
class TestTls:
    def test_a_private_authority_is_refused_with_the_way_out(self, small_server, certificate, call):
        server = small_server(tls=certificate.context)
        (error,) = call(Endpoint(server.url), GivenToken("token-value"), PLAIN)
        assert isinstance(error, CertificateError)
        assert "set 'verify'" in str(error)
        assert not error.retryable
        assert server.seen == []

    def test_its_bundle_or_no_check_lets_it_in(self, small_server, certificate, call, monkeypatch):
        server = small_server(tls=certificate.context)
        for verify in (certificate.path, False):
            (answer,) = call(Endpoint(server.url, verify=verify), GivenToken("token-value"), PLAIN)
            assert answer.status == 200

    def test_the_environments_bundle_does_not_defeat_the_connections(
        self, small_server, certificate, other_certificate, call, monkeypatch
    ):
        server = small_server(tls=certificate.context)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", other_certificate.path)
        for verify in (certificate.path, False):
            (answer,) = call(Endpoint(server.url, verify=verify), GivenToken("token-value"), PLAIN)
            assert answer.status == 200
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate.path)
        (error,) = call(Endpoint(server.url, verify=other_certificate.path), GivenToken("token-value"), PLAIN)
        assert isinstance(error, CertificateError)

    def test_the_environments_bundle_counts_where_the_connection_names_none(
        self, small_server, certificate, call, monkeypatch
    ):
        server = small_server(tls=certificate.context)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate.path)
        (answer,) = call(Endpoint(server.url), GivenToken("token-value"), PLAIN)
        assert answer.status == 200

    @pytest.mark.parametrize(
        ("request_", "error", "sent"), [(CREATE, AnswerLostError, 1), (STATUS, ConnectionFailedError, 5)]
    )
    def test_a_broken_tls_connection_may_have_carried_a_post(self, certificate, call, request_, error, sent):
        seen: list[bytes] = []
        with socket.create_server(("127.0.0.1", 0)) as listening:
            threading.Thread(target=break_tls, args=(listening, certificate.context, seen), daemon=True).start()
            url = f"https://127.0.0.1:{listening.getsockname()[1]}"
            (got,) = call(Endpoint(url, verify=certificate.path), GivenToken("token-value"), request_)
            assert type(got) is error
            assert len(seen) == sent
            listening.shutdown(socket.SHUT_RDWR)


def break_tls(listening, context, seen):
    """Read each request over TLS and answer it in the clear: the record layer breaks."""
    while True:
        try:
            raw, _ = listening.accept()
        except OSError:
            return
        with raw, context.wrap_socket(raw, server_side=True, do_handshake_on_connect=True) as secure:
            seen.append(secure.recv(65536))
            plain = socket.socket(fileno=secure.detach())
            plain.sendall(b"HTTP/1.1 500 not TLS at all\r\n\r\n")
            plain.close()


class TestWhatIsSent:
    def test_a_netrc_file_adds_no_credentials(self, small_server, call, tmp_path):
        (tmp_path / "netrc").write_text(
            "machine 127.0.0.1 login me password s3cret\ndefault login me password s3cret\n"
        )
        (tmp_path / "netrc").chmod(0o600)
        server = small_server()
        call(Endpoint(server.url), GivenToken("token-value"), PLAIN, Request("GET", "/y"))
        assert [seen.headers.get("authorization") for seen in server.seen] == [None, "Bearer token-value"]

    def test_redirects_are_answered_and_not_followed(self, small_server, call):
        target = small_server()
        server = small_server(status=302, headers={"Location": f"{target.url}/stolen"})
        (answer,) = call(Endpoint(server.url), GivenToken("token-value"), Request("GET", "/y"))
        assert answer.status == 302
        assert target.seen == []

    def test_bodies_arrive_as_given(self, small_server, call):
        server = small_server()
        call(
            Endpoint(server.url),
            GivenToken("token-value"),
            Request("POST", "/a", body=b"\x00raw"),
            Request("POST", "/b", json={"a": "ü"}),
        )
        assert server.seen[0].body == b"\x00raw"
        assert server.seen[1].headers["content-type"] == "application/json"

    @pytest.mark.parametrize("environment", [False, True], ids=["of the connection", "of the environment"])
    def test_a_proxy_carries_the_call(self, small_server, call, monkeypatch, environment):
        proxy = small_server()
        if environment:
            monkeypatch.setenv("http_proxy", proxy.url)
        endpoint = Endpoint("http://se.example", proxy=None if environment else proxy.url, allow_http=True)
        (answer,) = call(endpoint, GivenToken("token-value"), PLAIN)
        assert answer.status == 200
        assert proxy.seen[0].line.startswith("GET http://se.example/x ")

    def test_a_proxys_password_is_in_no_error(self, call, caplog):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        caplog.set_level(logging.DEBUG)
        endpoint = Endpoint("https://se.example", proxy=f"http://me:s3cret@127.0.0.1:{port}")
        (error,) = call(endpoint, GivenToken("token-value"), PLAIN)
        assert isinstance(error, BackupError)
        assert "s3cret" not in f"{error}{error!r}{caplog.text}"

    def test_a_token_is_in_no_log(self, sim, login, call, caplog):
        caplog.set_level(logging.DEBUG)
        sim.add_fault(action="status", path="/status$", status=503)
        source = login(sim.url)
        call(Endpoint(sim.url), source, STATUS)
        assert source.current().value not in caplog.text
        assert "demo-secret" not in caplog.text
