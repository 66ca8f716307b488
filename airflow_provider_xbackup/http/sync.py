"""The synchronous carrier: requests takes what services describe to the server and back."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import SplitResult, parse_qsl, urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ConnectTimeout, ProxyError, ReadTimeout, RequestException, SSLError
from tenacity import Retrying
from urllib3.exceptions import HTTPError, NewConnectionError

from airflow_provider_xbackup.http.endpoint import Endpoint
from airflow_provider_xbackup.http.errors import ConnectionFailedError, InsecureHostError
from airflow_provider_xbackup.http.links import LinkAdapter
from airflow_provider_xbackup.http.message import Answer, Request
from airflow_provider_xbackup.http.places import Place, is_loopback, places_of
from airflow_provider_xbackup.http.retry import SendError, certificate_refused, give_up, policy
from airflow_provider_xbackup.http.route import authorities_for, proxy_for, secrets_of_proxy
from airflow_provider_xbackup.http.tokens import Token, TokenSource, secrets_of

BLOCK = 1 << 20
"""Bytes read at a time from a download."""

CONNECTIONS = 32
"""How many are kept open to a host: as many as may bring two files at the same time."""

_PIECE = 32 << 10
_DECODED_AT_ONCE = 64 << 10
_LARGEST_BODY = 16 << 20
_SHORTEST_PIECE = 8


class _Bearer(AuthBase):
    """Sets the token, or nothing."""

    def __init__(self, token: Token | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token.value}"
        return request


_shown_in_logs: ContextVar[Callable[[str], str] | None] = ContextVar("shown_in_logs", default=None)
"""How logs show what a request of ours that is under way names; None where there is none."""


class _WithoutLinks(logging.Filter):
    """Cuts URLs in what urllib3 logs of this package's requests: a signed link is a credential.

    Records of the other libraries in this process pass as they are.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        show = _shown_in_logs.get()
        if show is not None and isinstance(record.args, tuple):
            record.args = tuple(_shown(argument, show) for argument in record.args)
            # Tracebacks of headers that cannot be read quote them.
            record.exc_info = None
        return True


def _shown(argument: object, show: Callable[[str], str]) -> object:
    if isinstance(argument, Exception):
        return type(argument).__name__
    return show(argument) if isinstance(argument, str) else argument


def _without_query(text: str) -> str:
    path, query, _ = text.partition("?")
    return f"{path}?…" if query else text


def _without_path(text: str) -> str:
    """Cut a link as a whole: the signature may be in its path, too."""
    return "/…" if text.startswith("/") or "://" in text else _without_query(text)


for _name in ("urllib3.connectionpool", "urllib3.connection"):
    logging.getLogger(_name).addFilter(_WithoutLinks())


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """An answer whose body is still on its way.

    :param answer: status and headers; the body is read only where the status is an error
    :param response: the open answer
    """

    answer: Answer
    response: requests.Response = field(repr=False)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.answer.status

    @property
    def retry_after(self) -> timedelta | None:
        """The pause the server asks for, or None."""
        return self.answer.retry_after

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        """Read the body as it comes, not decoded.

        :param size: bytes of a block; the last one may be shorter
        :raises ConnectionFailedError: when it breaks off before its announced end, or stalls
        """
        # Joined: a buffer that grows and is emptied again costs three times as much, most of it in the kernel.
        pieces: list[bytes] = []
        have, ask, failure = 0, _PIECE, None
        more = True
        while more:
            try:
                piece = self._read_some(asked := min(ask, size - have))
            except (HTTPError, OSError) as error:
                piece, failure = b"", error
            pieces.append(piece)
            have += len(piece)
            # TLS brings 16 KiB at a time: room for a whole block each time would cost more than to decrypt it.
            filled = ask if len(piece) == asked else len(piece)
            ask = min(max(_PIECE, 2 * filled), size)
            more = bool(piece)
            # What came before a break counts: a resumed download goes on behind it.
            if have and (have >= size or not more):
                yield b"".join(pieces)
                pieces.clear()
                have = 0
        if failure is not None:
            raise ConnectionFailedError(f"The download broke off ({_reason(failure)}).") from None

    def _read_some(self, size: int) -> bytes:
        """Read what is there, at most so much; nothing at the end only."""
        raw = self.response.raw
        # urllib3 before 2.2 reads whole blocks only, and loses the one in which a connection breaks.
        read = getattr(raw, "read1", raw.read)
        piece: bytes | None = read(size, decode_content=False)
        return piece or b""

    def close(self) -> None:
        """Close the connection; a body that was not read to its end is given up."""
        self.response.close()

    def abort(self) -> None:
        """Let a read break off that another thread waits for."""
        sock = _socket_of(self.response)
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Client:
    """A service at its endpoint, with a token where the request wants one.

    :param endpoint: where the service lives
    :param tokens: the credentials
    :ivar repeats: how often a request was sent again
    """

    def __init__(self, endpoint: Endpoint, tokens: TokenSource) -> None:
        self.endpoint = endpoint
        self.repeats = 0
        self._repeats_lock = threading.Lock()
        self._tokens = tokens
        self._session = _new_session(HTTPAdapter(pool_maxsize=CONNECTIONS))
        # Links lead to other hosts: they get neither cookies nor connections of the service's.
        self._links = _new_session(LinkAdapter(self._refuse_place, CONNECTIONS))
        self._login_lock = threading.Lock()

    def call(self, request: Request) -> Answer:
        """Send a request, with the retries it allows, and read the answer completely.

        :raises ConnectionFailedError: when no answer came
        :raises ServiceError: when the credentials were refused
        """
        return self._authorized(request, self._fetch).answer

    def open(self, request: Request) -> Stream:
        """Send a request and return as soon as status and headers are there.

        A redirect is returned as it is, never followed.

        :raises ConnectionFailedError: when no answer came
        :raises ServiceError: when the credentials were refused
        """
        return self._authorized(request, self._begin)

    def open_link(self, request: Request, location: str) -> Stream:
        """Follow a redirect that a service answered, always without the token.

        :param request: the request that was answered with the redirect
        :param location: the target as the server named it; it may be a credential
        :raises InsecureHostError: when it leads to plain http on another machine, or from outside onto this
            machine or into a private network
        """
        target = self._link_target(request, location)
        return self._begin(replace(request, secrets=_secrets_in(target)), None, target)

    @property
    def identity(self) -> str:
        """SHA-256 of the address and the credentials: the same for whoever uses both."""
        return self._tokens.key

    def close(self) -> None:
        """Close all connections."""
        self._session.close()
        self._links.close()

    def _authorized(self, request: Request, send: Callable[[Request, Token | None], Stream]) -> Stream:
        if not request.authenticated:
            return send(request, None)
        token = self._token()
        stream = send(request, token)
        if self._tokens.should_renew(stream.answer, token):
            stream.close()
            stream = send(request, self._token())
        return stream

    def authenticate(self) -> None:
        """Log in anew, whatever token is still good.

        :raises ConnectionFailedError: when no answer came
        :raises ServiceError: when the credentials were refused
        """
        self._log_in()

    def _token(self) -> Token:
        with self._login_lock:
            return self._tokens.current() or self._log_in()

    def _log_in(self) -> Token:
        conversation = self._tokens.login()
        answer = None
        while True:
            try:
                request = next(conversation) if answer is None else conversation.send(answer)
            except StopIteration as end:
                return self._tokens.keep(end.value)
            answer = self._fetch(request, None).answer

    def _fetch(self, request: Request, token: Token | None) -> Stream:
        return self._carry(request, lambda: _read_completely(self._send(request, token)))

    def _begin(self, request: Request, token: Token | None, url: str | None = None) -> Stream:
        return self._carry(request, lambda: self._send(request, token, url))

    def _carry(self, request: Request, attempt: Callable[[], Stream]) -> Stream:
        if not request.repeatable:
            # A kept connection may be dead: the request would be lost and nobody could tell how.
            self._session.close()
        try:
            stream: Stream = Retrying(**policy(request, self._count_repeat))(attempt)
        except SendError as error:
            raise give_up(error, request, self.endpoint.host) from None
        return stream

    def _count_repeat(self) -> None:
        with self._repeats_lock:  # the parts of a file come in threads
            self.repeats += 1

    def _send(self, request: Request, token: Token | None, url: str | None = None) -> Stream:
        timeouts = self.endpoint.timeouts
        target = url or self.endpoint.url_of(request.path)
        session = self._session if url is None else self._links
        proxy = proxy_for(self.endpoint, target)
        logged = _shown_in_logs.set(_without_query if url is None else _without_path)
        try:
            response = session.request(
                request.method,
                target,
                json=request.json,
                data=request.body,
                headers=dict(request.headers),
                auth=_Bearer(token),
                timeout=(timeouts.connect, timeouts.read),
                verify=authorities_for(self.endpoint),
                proxies=None if proxy is None else {"http": proxy, "https": proxy},
                allow_redirects=False,
                stream=True,
            )
        except (RequestException, HTTPError, ValueError, OSError) as error:
            response, failure = None, _translated(error, target)
        finally:
            _shown_in_logs.reset(logged)
        if response is None:
            # Raised out here: the library's error, with URL and headers, must be in no chain.
            raise failure
        _set_stall_timeout(response, timeouts.stall)
        body = b""
        if response.status_code >= 400:
            with contextlib.closing(response):
                body = _read_error(response)
        secrets = (*secrets_of(request, token), *secrets_of_proxy(proxy))
        return Stream(_answer(response, body, secrets), response)

    def _link_target(self, request: Request, location: str) -> str:
        """Return where a redirect leads to.

        :raises InsecureHostError: when that place is a weaker one, or one that only we can reach
        """
        target, parts = _joined(self.endpoint.url_of(request.path), location)
        hostname = parts.hostname or ""
        weaker = parts.scheme == "http" and not (self.endpoint.allow_http or is_loopback(hostname))
        if target and (weaker or parts.scheme not in ("http", "https")):
            raise InsecureHostError(
                f"{self.endpoint.host} redirects the download to an address that is not https; that is refused."
            )
        if not hostname:
            raise ConnectionFailedError(
                f"{self.endpoint.host} redirects the download to something that is no address. Try again later."
            )
        for place in places_of(hostname):
            self._refuse_place(place)
        return target

    def _refuse_place(self, place: Place) -> None:
        """Refuse a place that the service itself is not in: from there, it could not be reached by a link.

        :raises InsecureHostError: when it is refused
        """
        if place is Place.INTERNET or place in places_of(urlsplit(self.endpoint.url).hostname or ""):
            return
        raise InsecureHostError(f"{self.endpoint.host} redirects the download to {place.value}; that is refused.")


def _new_session(adapter: HTTPAdapter) -> requests.Session:
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    # The environment is read in one place, for both carriers.
    session.trust_env = False
    return session


def _joined(root: str, location: str) -> tuple[str, SplitResult]:
    """Return where a redirect leads to; without a host where it leads nowhere."""
    try:
        target = urljoin(root, location)
        parts = urlsplit(target)
        _ = parts.port
    except ValueError:
        return "", urlsplit("")
    return target, parts


def _secrets_in(link: str) -> tuple[str, ...]:
    """Return what makes a link a credential: any part of its path or its query may."""
    parts = urlsplit(link)
    pieces = (*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query)))
    return (f"{parts.path}?{parts.query}", *(piece for piece in pieces if len(piece) >= _SHORTEST_PIECE))


def _answer(response: requests.Response, body: bytes, secrets: tuple[str, ...]) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, body, datetime.now(UTC), secrets)


def _translated(error: Exception, url: str) -> Exception:
    if isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return certificate_refused(urlsplit(url).netloc, "certificate verify failed")
    if isinstance(error, OSError) and not isinstance(error, (RequestException, HTTPError)):
        return certificate_refused(urlsplit(url).netloc, "the CA bundle cannot be read")
    # TLS may also break after the request was sent. A ValueError is a request that could not be written.
    never_sent = isinstance(error, (ConnectTimeout, ProxyError, ValueError)) or _never_connected(error)
    return SendError(_reason(error), sent=not never_sent)


def _read_completely(stream: Stream) -> Stream:
    if stream.status >= 400:
        return stream
    with stream:
        body, failure = _read_body(stream.response)
    if failure is not None:
        raise SendError(_reason(failure), sent=True)
    return replace(stream, answer=replace(stream.answer, body=body))


def _read_error(response: requests.Response) -> bytes:
    """Read the body of an error as far as it comes: its status says enough without it."""
    return _read_body(response)[0]


def _read_body(response: requests.Response) -> tuple[bytes, Exception | None]:
    """Read a body as far as it comes, decoded, and what broke it off.

    In small pieces: a few bytes of a coding can stand for a thousand times as many, which come all at once.
    """
    body = bytearray()
    try:
        while len(body) < _LARGEST_BODY:
            piece = response.raw.read(_DECODED_AT_ONCE, decode_content=True)
            if not piece:
                break
            body += piece
    except (HTTPError, OSError) as error:
        return bytes(body), error
    return bytes(body[:_LARGEST_BODY]), None


def _set_stall_timeout(response: requests.Response, seconds: float) -> None:
    """From the first byte on, wait only as long for the next as the connection says."""
    sock = _socket_of(response)
    if sock is not None:
        sock.settimeout(seconds)


def _socket_of(response: requests.Response) -> socket.socket | None:
    """Return what an answer is being read from; None once it was read to its end."""
    connection = getattr(response.raw, "connection", None)
    sock: socket.socket | None = getattr(connection, "sock", None)
    return sock


def _never_connected(error: Exception) -> bool:
    cause = error.args[0] if isinstance(error, RequestsConnectionError) and error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)


def _reason(error: Exception) -> str:
    """Say in a word what broke; the texts of these exceptions hold URLs and are never quoted."""
    if isinstance(error, (ConnectTimeout, ReadTimeout)) or "timed out" in str(error):
        return "it took too long"
    if isinstance(error, ProxyError):
        return "the proxy refused or failed"
    if _never_connected(error):
        return "the connection was refused or the name is unknown"
    return f"the connection broke: {type(error).__name__}"
