"""The asynchronous carrier: aiohttp takes what services describe to the server and back.

One session, one token and one request budget a connection and event loop, whatever the number of
triggers: :func:`shared_client` hands out the one that is there and closes it with its last user. The budget
outlives it, because the server counts on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import aiohttp
from tenacity import AsyncRetrying

from airflow_provider_xbackup.http.endpoint import Endpoint
from airflow_provider_xbackup.http.message import Answer, Request
from airflow_provider_xbackup.http.retry import SendError, certificate_refused, give_up, policy
from airflow_provider_xbackup.http.route import authorities_for, proxy_for, secrets_of_proxy
from airflow_provider_xbackup.http.throttle import RateLimit
from airflow_provider_xbackup.http.tokens import Token, TokenSource, secrets_of

_LARGEST_BODY = 16 << 20
_CONNECTIONS_A_HOST = 2
"""Each holds a buffer of 256 KB where it is encrypted, and one or two questions a second need no more."""


class AsyncClient:
    """A service at its endpoint, with a token where the request wants one. Use :func:`shared_client`.

    :param endpoint: where the service lives
    :param tokens: the credentials
    :param limit: the budget of requests
    """

    def __init__(self, endpoint: Endpoint, tokens: TokenSource, limit: RateLimit) -> None:
        self.endpoint = endpoint
        self._tokens = tokens
        self._limit = limit
        self._login_lock = asyncio.Lock()
        timeouts = endpoint.timeouts
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS_A_HOST, ssl=_tls(endpoint)),
            timeout=aiohttp.ClientTimeout(sock_connect=timeouts.connect, sock_read=timeouts.read),
            # With trust_env, aiohttp would take credentials from a netrc file of the worker.
            trust_env=False,
        )
        # By itself, aiohttp would send a GET again that the server has seen; the policy alone decides that.
        self._session._retry_connection = False

    async def call(self, request: Request) -> Answer:
        """Send a request, with the retries it allows, and read the answer completely.

        :raises ConnectionFailedError: when no answer came
        :raises ServiceError: when the credentials were refused
        """
        # Up here: thousands may wait for their turn, and what each holds while it waits is memory, and work for
        # Python's garbage collection.
        await self._limit.turn()
        if not request.authenticated:
            return await self._send(request, None, self._wait_for_turn)
        # Only now: the token of those who begin to wait may be dead when their turn comes.
        token = await self._token()
        answer = await self._send(request, token, self._wait_for_turn)
        if self._tokens.should_renew(answer, token):
            token = await self._token()
            await self._limit.turn()
            answer = await self._send(request, token, self._wait_for_turn)
        return answer

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def _token(self) -> Token:
        async with self._login_lock:
            return self._tokens.current() or await self._log_in()

    async def _log_in(self) -> Token:
        conversation = self._tokens.login()
        answer = None
        while True:
            try:
                request = next(conversation) if answer is None else conversation.send(answer)
            except StopIteration as end:
                return self._tokens.keep(end.value)
            # All who have their turn wait for this: in the queue it would come after those who cannot go on.
            self._limit.borrow()
            answer = await self._send(request, None, self._wait_and_borrow)

    async def _wait_for_turn(self, seconds: float) -> None:
        """Wait before a repetition, which takes a turn of its own."""
        await asyncio.sleep(seconds)
        await self._limit.turn()

    async def _wait_and_borrow(self, seconds: float) -> None:
        """Wait before a login is repeated."""
        await asyncio.sleep(seconds)
        self._limit.borrow()

    async def _send(
        self, request: Request, token: Token | None, wait: Callable[[float], Awaitable[None]]
    ) -> Answer:
        try:
            retrying = AsyncRetrying(**policy(request), sleep=wait)
            answer: Answer = await retrying(self._send_once, request, token)
        except SendError as error:
            raise give_up(error, request, self.endpoint.host) from None
        return answer

    async def _send_once(self, request: Request, token: Token | None) -> Answer:
        url = self.endpoint.url_of(request.path)
        headers = dict(request.headers)
        if token is not None:
            headers["Authorization"] = f"Bearer {token.value}"
        proxy = proxy_for(self.endpoint, url)
        secrets = (*secrets_of(request, token), *secrets_of_proxy(proxy))
        try:
            async with self._session.request(
                request.method,
                url,
                json=request.json,
                data=request.body,
                headers=headers,
                proxy=proxy,
                allow_redirects=False,
            ) as response:
                body = await _read_body(response)
                named = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, named, body, datetime.now(UTC), secrets)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            failure = _translated(error, url)
        # Raised out here: the library's error, with URL and headers, must be in no chain.
        raise failure


@dataclass
class _Shared:
    client: AsyncClient
    users: int = 0


_Key = tuple[str, Endpoint]
_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, _Shared]] = WeakKeyDictionary()
_limits: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, RateLimit]] = WeakKeyDictionary()


@contextlib.asynccontextmanager
async def shared_client(
    endpoint: Endpoint, tokens: TokenSource, *, requests: int, period: float
) -> AsyncIterator[AsyncClient]:
    """Use the client that everybody on this event loop uses for these credentials.

    :param endpoint: where the service lives
    :param tokens: the credentials
    :param requests: how many requests may begin within ``period``
    :param period: seconds
    """
    loop = asyncio.get_running_loop()
    clients = _shared.setdefault(loop, {})
    key = (tokens.key, endpoint)
    if key not in clients:
        limit = _limits.setdefault(loop, {}).setdefault(tokens.key, RateLimit(requests, period))
        clients[key] = _Shared(AsyncClient(endpoint, tokens, limit))
    shared = clients[key]
    shared.users += 1
    try:
        yield shared.client
    finally:
        shared.users -= 1
        if shared.users == 0:
            del clients[key]
            await shared.client.close()


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    try:
        while len(body) < _LARGEST_BODY and (more := await response.content.readany()):
            body += more
    except (TimeoutError, aiohttp.ClientError):
        # The status of an error says enough without its body.
        if response.status < 400:
            raise
    return body[:_LARGEST_BODY]


def _translated(error: Exception, url: str) -> Exception:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return certificate_refused(urlsplit(url).netloc, "certificate verify failed")
        case aiohttp.ClientHttpProxyError():
            return SendError("the proxy refused or failed", sent=False)
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError() | ValueError():
            return SendError("the connection was refused or the name is unknown", sent=False)
    return SendError(f"the connection broke: {type(error).__name__}", sent=True)


def _tls(endpoint: Endpoint) -> ssl.SSLContext | bool:
    bundle = authorities_for(endpoint)
    if isinstance(bundle, bool):
        return bundle
    try:
        return _trusting(bundle, os.stat(bundle).st_mtime_ns)
    except OSError:
        raise certificate_refused(endpoint.host, "the CA bundle cannot be read") from None


@lru_cache(maxsize=8)
def _trusting(bundle: str, changed_at: int) -> ssl.SSLContext:  # noqa: ARG001 - a changed bundle is read anew
    """Read a CA bundle once for all clients: each copy takes time on the event loop, and memory."""
    if os.path.isdir(bundle):
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)
