"""A request on which a fault is played, and the ways to bend its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request with a fault on it.

    :param app: what would answer it
    :param scope: ASGI scope
    :param receive: ASGI receive
    :param send: ASGI send
    :param replace_files: makes the newest backup files anew
    """

    app: ASGIApp
    scope: Scope
    receive: Receive
    send: Send
    replace_files: Callable[[], Awaitable[None]]

    @property
    def transport(self) -> asyncio.Transport:
        """The connection."""
        transport: asyncio.Transport = self.scope["state"]["transport"]
        return transport

    async def run(self, send: Send | None = None) -> None:
        """Let the application answer.

        :param send: takes the answer; default the client
        """
        await self.app(self.scope, self.receive, send or self.send)

    async def run_unheard(self) -> None:
        """Let the application answer, and throw the answer away."""

        async def send(_: Message) -> None:
            return

        await self.run(send)
        self.tell_broken()

    async def read_request(self) -> bytes:
        """Take the request off the wire: a client still sending would see a reset in different ways."""
        body, more = b"", True
        while more:
            message = await self.receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        return body

    def tell_broken(self) -> None:
        """Tell the application, if it asked, that the client will not get its answer."""
        on_break = self.scope["state"].get("on_break")
        if on_break is not None:
            on_break()

    async def answer(self, status: int, body: bytes, headers: Headers) -> None:
        """Answer in the place of the application."""
        length = (b"content-length", str(len(body)).encode())
        await self.send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await self.send({"type": "http.response.body", "body": body})

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than the client does."""
        gone = asyncio.create_task(self._gone())
        try:
            left, _ = await asyncio.wait([gone], timeout=seconds)
        finally:
            gone.cancel()
        if left:
            self.tell_broken()

    async def _gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


class StoppingSend:
    """Sends so many bytes of a body, then calls ``stop`` and swallows the rest.

    :param send: sends to the client
    :param after_bytes: how many bytes
    :param stop: ends the answer
    """

    def __init__(self, send: Send, after_bytes: int, stop: Callable[[], Awaitable[None]]) -> None:
        self._send = send
        self._left = after_bytes
        self._stop = stop
        self._stopped = False

    async def __call__(self, message: Message) -> None:
        """Send a message, or swallow it."""
        if self._stopped:
            return
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        body = message.get("body", b"")
        self._stopped = len(body) >= self._left or not message.get("more_body", False)
        await self._send(altered(message, body=body[: self._left], more_body=True))
        self._left -= len(body)
        if self._stopped:
            await self._stop()


def raw_headers(headers: dict[str, str]) -> Headers:
    """Headers as ASGI has them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def header(message: Message, name: bytes) -> bytes | None:
    """A header of the start of an answer."""
    return next((value for key, value in message["headers"] if key.lower() == name), None)


def with_headers(
    message: Message, headers: dict[str, str] | None = None, *, remove: tuple[str, ...] = ()
) -> Message:
    """The start of an answer with other headers; any other message as it is."""
    if message["type"] != "http.response.start":
        return message
    new = raw_headers(headers or {})
    gone = {name for name, _ in new} | {name.lower().encode("latin-1") for name in remove}
    kept = [pair for pair in message["headers"] if pair[0].lower() not in gone]
    return altered(message, headers=kept + new)


def altered(message: Message, **changes: Any) -> Message:
    """A message with some of its fields replaced."""
    return {**message, **changes}
