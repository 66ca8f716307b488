"""A server between a client and a store, in which things go wrong."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

_HOP_BY_HOP = ("connection", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding")
#: Of an answer that comes slowly.
_PIECES = 4


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks.

    :param method: the method
    :param target: path and query
    :param headers: the headers, as they came
    :param body: the body
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """Return a header, None where there is none."""
        return next((value for each, value in self.headers if each.lower() == name.lower()), None)

    def with_header(self, name: str, value: str | None) -> Request:
        """Return the request with a header changed; None takes it away."""
        return replace(self, headers=_changed(self.headers, name, value))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answers.

    :param status: the status
    :param headers: the headers
    :param body: the body
    :param cut_at: how many bytes of the body are sent before the connection ends; None for all
    :param pause: seconds before each piece of the body, of which there are a few
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    cut_at: int | None = None
    pause: float = 0.0

    @property
    def pieces(self) -> Iterator[bytes]:
        """What is sent of the body, in the pieces in which it is sent."""
        sent = self.body[: self.cut_at]
        size = len(sent) // _PIECES + 1 if self.pause else len(sent) or 1
        return (sent[begin : begin + size] for begin in range(0, len(sent), size))

    def with_header(self, name: str, value: str | None) -> Answer:
        """Return the answer with a header changed; None takes it away."""
        return replace(self, headers=_changed(self.headers, name, value))


Send: TypeAlias = Callable[[Request], Answer]
Rule: TypeAlias = Callable[[Request, Send], Answer]
"""What happens to a request on its way; ``send`` takes it further."""


class ResetError(Exception):
    """The connection is reset."""


@dataclass
class Proxy:
    """A running proxy.

    :param server: takes connections
    :param upstream: host and port of the store
    :param scheme: what it speaks itself
    :param rules: what happens to requests, the first one first
    :param seen: the requests that came, in order
    :param released: set when the proxy ends
    :param to_https: whether the store speaks https
    """

    server: ThreadingHTTPServer
    upstream: tuple[str, int]
    scheme: str = "http"
    rules: list[Rule] = field(default_factory=list)
    seen: list[Request] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    to_https: bool = False

    @property
    def address(self) -> str:
        """The URL of its root."""
        return f"{self.scheme}://127.0.0.1:{self.server.server_port}"

    @property
    def unspent(self) -> list[When]:
        """The rules that were meant for requests which did not come."""
        return [rule for rule in self.rules if isinstance(rule, When) and not rule.is_spent]

    def pass_on(self, request: Request) -> Answer:
        """Lead a request through the rules to the store."""
        self.seen.append(request)

        def send(request: Request, rules: tuple[Rule, ...]) -> Answer:
            if not rules:
                return ask(self.upstream, request, https=self.to_https)
            return rules[0](request, lambda further: send(further, rules[1:]))

        return send(request, tuple(self.rules))


@contextlib.contextmanager
def proxy(
    upstream: int, *rules: Rule, tls: ssl.SSLContext | None = None, to_https: bool = False
) -> Iterator[Proxy]:
    """Run a proxy.

    :param upstream: the port of the store, on this machine
    :param rules: what happens to requests
    :param tls: for https towards the client
    :param to_https: whether the store speaks https; whose certificate it has is not looked at
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    running = Proxy(server, ("127.0.0.1", upstream), "https" if tls else "http", list(rules), to_https=to_https)
    server.proxy = running  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def ask(upstream: tuple[str, int], request: Request, *, https: bool = False) -> Answer:
    """Ask a store."""
    connection = http.client.HTTPConnection(*upstream, timeout=120)
    if https:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(*upstream, timeout=120, context=context)
    try:
        _begin(connection, request, len(request.body))
        connection.send(request.body)
        answer = connection.getresponse()
        return Answer(answer.status, tuple(answer.getheaders()), answer.read())
    finally:
        connection.close()


# -- rules -------------------------------------------------------------------------------------------------


@dataclass
class When:
    """A rule for some requests, which counts those that it met.

    :param matches: tells for which
    :param rule: what happens to them
    :param times: for how many, the first ones; None for all
    :param hits: how many it has met
    """

    matches: Callable[[Request], bool]
    rule: Rule
    times: int | None = None
    hits: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self, request: Request, send: Send) -> Answer:
        """Apply the rule where it is due."""
        return self.rule(request, send) if self._is_due(request) else send(request)

    @property
    def is_spent(self) -> bool:
        """Tell whether it met as many requests as it was meant for; one where it was meant for all."""
        return self.hits >= (self.times or 1)

    def _is_due(self, request: Request) -> bool:
        if not self.matches(request):
            return False
        with self._lock:
            due = self.times is None or self.hits < self.times
            self.hits += due
        return due


def anything(request: Request) -> bool:
    """Match every request."""
    return True


def reset_before(request: Request, send: Send) -> Answer:
    """Reset the connection before the store has seen the request."""
    raise ResetError


def reset_after(request: Request, send: Send) -> Answer:
    """Reset the connection when the store has done what was asked."""
    send(request)
    raise ResetError


def answer_with(status: int, code: str) -> Rule:
    """Answer in the store's place, as S3 words its errors."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>Not now.</Message></Error>".encode()
    headers = (("Content-Type", "application/xml"), ("Content-Length", str(len(body))))
    return lambda request, send: Answer(status, headers, b"" if request.method == "HEAD" else body)


def cut_answer(request: Request, send: Send) -> Answer:
    """End the connection in the middle of the answer."""
    answer = send(request)
    return replace(answer, cut_at=len(answer.body) // 2)


def lose_half(request: Request, send: Send) -> Answer:
    """Let the store have half the body, and take it for the whole."""
    half = request.body[: len(request.body) // 2]
    return send(replace(request, body=half).with_header("Content-Length", str(len(half))))


def flip_a_bit(request: Request, send: Send) -> Answer:
    """Change one bit of the body."""
    body = bytearray(request.body)
    body[len(body) // 2] ^= 1
    return send(replace(request, body=bytes(body)))


def break_off_towards(upstream: tuple[str, int]) -> Rule:
    """End the connection in the middle of the body, so that the store sees the end of it as well."""

    def rule(request: Request, send: Send) -> Answer:
        connection = http.client.HTTPConnection(*upstream, timeout=120)
        with contextlib.closing(connection):
            _begin(connection, request, len(request.body))
            connection.send(request.body[: len(request.body) // 2])
        raise ResetError

    return rule


def slowly(running: Proxy, pause: float) -> Rule:
    """Take a while before the answer, and for each piece of its body.

    :param running: the proxy, whose end ends the pauses
    :param pause: seconds
    """

    def rule(request: Request, send: Send) -> Answer:
        answer = send(request)
        running.released.wait(pause)
        return replace(answer, pause=pause)

    return rule


def stall(running: Proxy) -> Rule:
    """Say nothing until the proxy ends."""

    def rule(request: Request, send: Send) -> Answer:
        running.released.wait()
        raise ResetError

    return rule


# -- below -------------------------------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def handle(self) -> None:
        # Clients that give up, and those that do not trust the certificate.
        with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
            super().handle()

    def do_any(self) -> None:
        running: Proxy = self.server.proxy  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        # Of a client that takes this for its HTTP proxy the whole address comes.
        target = "/" + self.path.split("/", 3)[3] if self.path.startswith("http://") else self.path
        try:
            answer = running.pass_on(Request(self.command, target, tuple(self.headers.items()), body))
        except (ResetError, ConnectionError, http.client.HTTPException):
            self._reset()
            return
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in answer.headers):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        for piece in answer.pieces:
            running.released.wait(answer.pause)
            self.wfile.write(piece)
            self.wfile.flush()
        if answer.cut_at is not None:
            self._reset()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_any  # noqa: N815

    def _reset(self) -> None:
        """Close the connection as if the machine had gone."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, *args: Any) -> None:
        pass


def _begin(connection: http.client.HTTPConnection, request: Request, length: int) -> None:
    connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
    for name, value in request.headers:
        if name.lower() not in (*_HOP_BY_HOP, "content-length"):
            connection.putheader(name, value)
    if length or request.header("Content-Length") is not None:
        connection.putheader("Content-Length", str(length))
    connection.endheaders()


def _changed(headers: tuple[tuple[str, str], ...], name: str, value: str | None) -> tuple[tuple[str, str], ...]:
    others = tuple(each for each in headers if each[0].lower() != name.lower())
    return others if value is None else (*others, (name, value))
