"""Both carriers behind one face, a simulator, and small servers for what it cannot play."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_provider_xbackup.http import retry, tokens
from airflow_provider_xbackup.http.aio import shared_client
from airflow_provider_xbackup.http.endpoint import Endpoint
from airflow_provider_xbackup.http.message import Answer, Request
from airflow_provider_xbackup.http.sync import Client
from airflow_provider_xbackup.http.tokens import Conversation, RenewableToken, TokenSource
from airflow_provider_xbackup.services import xray
from airflow_provider_xbackup.simulator import Simulator, SimulatorSettings


@pytest.fixture(scope="session")
def _server() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def sim(_server: Simulator) -> Simulator:
    """A simulator that nobody has used."""
    _server.reset()
    _server.configure(SimulatorSettings().model_dump())
    _server.clock.run()
    return _server


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between two tries, none of which is waited for."""
    taken: list[float] = []
    real = retry._pause

    def pause(state: Any) -> float:
        taken.append(real(state))
        return 0.0

    monkeypatch.setattr(retry, "_pause", pause)
    return taken


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No token, proxy, bundle or netrc file of another test or of this machine."""
    monkeypatch.setattr(tokens, "_cache", {})
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def login_of(url: str, secret: str = "demo-secret", client_id: str = "demo-client") -> RenewableToken:
    def login() -> Conversation:
        return xray.read_token((yield xray.authenticate_request(client_id, secret)))

    return RenewableToken(login, url, client_id, secret)


@pytest.fixture
def login() -> Callable[..., RenewableToken]:
    """The credentials of the simulator's tenant at a URL."""
    return login_of


Call = Callable[..., list[Any]]


def _sync(endpoint: Endpoint, tokens: TokenSource, *requests: Request) -> list[Any]:
    client = Client(endpoint, tokens)
    outcomes: list[Any] = []
    for request in requests:
        try:
            outcomes.append(client.call(request))
        except Exception as error:  # noqa: BLE001 - the outcome is what the test looks at
            outcomes.append(error)
    client.close()
    return outcomes


def _async(endpoint: Endpoint, tokens: TokenSource, *requests: Request) -> list[Any]:
    async def run() -> list[Any]:
        outcomes: list[Any] = []
        async with shared_client(endpoint, tokens, requests=1000, period=1.0) as client:
            for request in requests:
                try:
                    outcomes.append(await client.call(request))
                except Exception as error:  # noqa: BLE001 - the outcome is what the test looks at
                    outcomes.append(error)
        return outcomes

    return asyncio.run(run())


@pytest.fixture(params=[_sync, _async], ids=["requests", "aiohttp"])
def call(request: pytest.FixtureRequest) -> Call:
    """Carries requests one after another and returns what became of each: an answer or an error."""
    carrier: Call = request.param
    return carrier


@dataclass
class Seen:
    """One request as a small server saw it."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class SmallServer:
    """A server with one answer for everything.

    :param url: its root
    :param seen: the requests it got
    """

    url: str
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)


@pytest.fixture
def small_server() -> Iterator[Callable[..., SmallServer]]:
    """Starts small servers; with a ``tls`` context they speak https. They also answer as a proxy."""
    running: list[ThreadingHTTPServer] = []

    def start(*, tls: ssl.SSLContext | None = None, **answer: Any) -> SmallServer:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer_it(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                server.seen.append(Seen(self.requestline, headers, body))
                self.send_response(server.status)
                for name, value in {"Content-Length": str(len(server.body)), **server.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(server.body)

            do_GET = do_POST = answer_it  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        listening.handle_error = lambda *_: None  # type: ignore[method-assign]
        listening.daemon_threads = True
        if tls is not None:
            listening.socket = tls.wrap_socket(listening.socket, server_side=True)
        port = listening.server_address[1]
        server = SmallServer(f"{'https' if tls else 'http'}://127.0.0.1:{port}", **answer)
        threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        running.append(listening)
        return server

    yield start
    for listening in running:
        listening.shutdown()
        listening.server_close()


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1."""

    path: str
    context: ssl.SSLContext


def _certificate(folder: Path) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return Certificate(str(certificate), context)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The certificate of a private authority."""
    return _certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def other_certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The certificate of another authority."""
    return _certificate(tmp_path_factory.mktemp("other-tls"))


@pytest.fixture
def outcome() -> Callable[[Any], Any]:
    """Shortens what became of a request to what two carriers can be compared by."""
    return lambda value: value.status if isinstance(value, Answer) else type(value)
