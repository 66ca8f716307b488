"""A world in which every secret is known: what is kept of a run there can be searched for them."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from evidence import Evidence, add_living_objects, every_object_shown, everything_logged
from known_secrets import ACCOUNT_KEY, BOT_KEY, BOT_SECRET, BOT_TOKEN, CLIENT_SECRET, KNOWN
from stand_in import StateStore, make_context, naps

from airflow_provider_xbackup.http import tokens
from airflow_provider_xbackup.simulator import Simulator, SimulatorSettings
from airflow_provider_xbackup.vault import Vault

__all__ = ["naps"]


@dataclass
class Scene:
    """Where a flow is played.

    :param sim: both services
    :param evidence: what is left behind
    :param vault: a vault on disk
    :param spool: the spool folder
    """

    sim: Simulator
    evidence: Evidence
    vault: Vault
    spool: Path
    connect: Callable[..., None]
    store: StateStore = field(default_factory=StateStore)
    job: dict[str, Any] = field(default_factory=dict)

    def lose_patience(self) -> None:
        """Let connections wait for a moment only; nothing that is to succeed does so from here on."""
        connect_all(self.sim, self.connect, stall_timeout=0.2, read_timeout=0.2)

    @property
    def context(self) -> Any:
        return make_context(self.store)

    def keep(self, where: str, value: object) -> None:
        """Keep what a flow returns or hands on."""
        self.evidence.add(where, value)
        self.evidence.add_object(where, value)
        self.evidence.add_pickle(where, value)

    def leaks(self) -> list[str]:
        """Search all that was kept, and all that is there, for the secrets."""
        add_living_objects(self.evidence)
        self.evidence.add("journal", [entry.as_json() for entry in self.sim.journal.entries()])
        return self.evidence.leaks()

    def play(self, flow: Callable[[Scene], None]) -> None:
        """Play a flow to its end, whatever that is, and keep all that it leaves behind."""
        with everything_logged(self.evidence), every_object_shown(self.evidence):
            try:
                flow(self)
            except Exception as error:  # noqa: BLE001 - whatever it is, it must hold no secret
                self.evidence.add_error("error", error)
                trigger = getattr(error, "trigger", None)
                if trigger is not None:
                    self.keep("trigger row", list(trigger.serialize()))
                    self.keep("trigger row", getattr(error, "kwargs", None))
        self.evidence.add("task state store", self.store.values)
        self.evidence.add_folder("vault", Path(self.vault.url.prefix))
        self.evidence.add_folder("spool", self.spool)


def _settings() -> SimulatorSettings:
    settings = SimulatorSettings()
    settings.xray.job_seconds = 0
    tenant = settings.xray.tenants["demo-client"]
    tenant.client_secret = CLIENT_SECRET
    tenant.data.tests, tenant.data.attachment_bytes = 3, 5_000
    settings.xenioo.account_api_key = ACCOUNT_KEY
    bot = settings.xenioo.bots["welcome"]
    bot.token, bot.api_key, bot.api_secret, bot.backup_bytes = BOT_TOKEN, BOT_KEY, BOT_SECRET, 5_000
    return settings


@pytest.fixture(scope="session")
def _running() -> Iterator[Simulator]:
    with Simulator(_settings()) as running:
        yield running


@pytest.fixture
def evidence() -> Evidence:
    return Evidence(dict(KNOWN))


@pytest.fixture
def scene(_running: Simulator, evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Both services as new, their tokens and links among the secrets as they hand them out."""
    sim, world = _running, _running._world
    sim.reset()
    sim.configure(_settings().model_dump())
    sim.clock.run()
    monkeypatch.setattr(tokens, "_cache", {})

    def known(name: str, make: Callable[..., str]) -> Callable[..., str]:
        def made(*args: Any, **kwargs: Any) -> str:
            secret = make(*args, **kwargs)
            evidence.secrets[f"{name} {len(evidence.secrets)}"] = secret.rsplit("/", 1)[-1]
            return secret

        return made

    monkeypatch.setattr(world.xray_tokens, "issue", known("token of Xray", world.xray_tokens.issue))
    monkeypatch.setattr(world.xenioo_tokens, "issue", known("token of Xenioo", world.xenioo_tokens.issue))
    monkeypatch.setattr(world.links, "sign", known("signed link", world.links.sign))

    def connect(conn_id: str, **fields: Any) -> None:
        extra = {"stall_timeout": 5, "read_timeout": 5, **fields.pop("extra", {})}
        values = {"extra": json.dumps(extra), **fields}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(values))

    connect_all(sim, connect)
    spool = tmp_path / "spool"
    monkeypatch.setenv("AIRFLOW__XBACKUP__SPOOL_DIR", str(spool))
    return Scene(sim, evidence, Vault.open((tmp_path / "vault").as_uri()), spool, connect)


def connect_all(sim: Simulator, connect: Callable[..., None], **extra: Any) -> None:
    """Define the connections of all flows.

    :param extra: further options of each
    """
    xenioo = {"conn_type": "xenioo", "host": sim.xenioo_url("welcome")}
    keys = {"account_api_key": ACCOUNT_KEY, "bot_api_key": BOT_KEY, "bot_api_secret": BOT_SECRET}
    connect("acme", conn_type="xray", host=sim.url, login="demo-client", password=CLIENT_SECRET, extra=extra)
    connect("bot", **xenioo, password=BOT_TOKEN, extra=extra)
    connect("keys", **xenioo, extra={**keys, **extra})
    connect("account", **xenioo, extra={"account_api_key": ACCOUNT_KEY, **extra})


@dataclass
class Elsewhere:
    """Another host: it has one answer for everything, and keeps all that it was sent.

    In its body ``{authorization}`` and ``{proxy-authorization}`` become what it was sent.
    """

    url: str = ""
    status: int = 200
    body: bytes = b"PK nothing of use"
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    told = Elsewhere()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
            told.seen.append(f"{self.requestline}\n{self.headers}\n{sent}")
            body = told.body
            for name in ("authorization", "proxy-authorization"):
                body = body.replace(f"{{{name}}}".encode(), str(self.headers.get(name)).encode())
            self.send_response(told.status)
            for name, value in {"Content-Length": str(len(body)), **told.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_CONNECT = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    with contextlib.closing(server.socket):
        yield told
        server.shutdown()


@pytest.fixture
def tls_elsewhere(tmp_path: Path) -> Iterator[str]:
    """A server whose certificate nobody has vouched for."""
    import ssl

    from certificates import self_signed

    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    with contextlib.closing(server.socket):
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
