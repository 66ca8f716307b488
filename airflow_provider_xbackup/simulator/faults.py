"""The faults there are. Each is a rule: which requests it is for, and what happens to them."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import Field, field_validator
from starlette.types import Message, Scope

from airflow_provider_xbackup.simulator.exchange import (
    Exchange,
    StoppingSend,
    altered,
    header,
    raw_headers,
    with_headers,
)
from airflow_provider_xbackup.simulator.settings import Seconds, Settings
from airflow_provider_xbackup.simulator.wire import reset

_HTML = "<!DOCTYPE html><html><head><title>Sorry</title></head><body><h1>Something went wrong</h1></body></html>"
_CONTENT_RANGE = re.compile(rb"bytes (\d+)-\d+/(\d+)")
Bytes = Annotated[int, Field(ge=0)]


class Fault(Settings, ABC):
    """A rule: which requests, how often.

    :param method: HTTP method, ``*`` for all
    :param path: regular expression that is searched for in the path
    :param header: only requests that have this header, for example ``range``
    :param times: how often it is played, None for ever
    :param after: so many matching requests pass before
    """

    method: str = "*"
    path: str = ""
    header: str | None = None
    times: Annotated[int, Field(ge=1)] | None = 1
    after: int = Field(default=0, ge=0)

    @field_validator("path")
    @classmethod
    def _is_an_expression(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value

    def matches(self, scope: Scope) -> bool:
        """Whether the rule is for a request."""
        names = {name.decode("latin-1").lower() for name, _ in scope["headers"]}
        return (
            self.method in ("*", scope["method"])
            and re.search(self.path, scope["path"]) is not None
            and (self.header is None or self.header.lower() in names)
        )

    @abstractmethod
    async def play(self, exchange: Exchange) -> None:
        """Answer the request, or do not."""


class StatusFault(Fault):
    """Answers in the place of the application.

    :param status: HTTP status
    :param body: body text
    :param content_type: value of ``Content-Type``
    :param headers: further headers
    :param processed: the application takes the request first, and its answer is lost
    """

    action: Literal["status"] = "status"
    status: int = Field(default=500, ge=200, le=599)
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"
    headers: dict[str, str] = Field(default={})
    processed: bool = False

    async def play(self, exchange: Exchange) -> None:
        """Answer with what the rule says."""
        if self.processed:
            await exchange.run_unheard()
        headers = {"content-type": self.content_type} | self.headers
        await exchange.answer(self.status, self.body.encode(), raw_headers(headers))


class HtmlFault(Fault):
    """An HTML page, as proxies and content networks send.

    :param status: HTTP status; 200 is the page that pretends to be a file
    :param body: the page
    """

    action: Literal["html"] = "html"
    status: int = Field(default=503, ge=200, le=599)
    body: str = _HTML

    async def play(self, exchange: Exchange) -> None:
        """Answer with the page."""
        headers = raw_headers({"content-type": "text/html; charset=utf-8"})
        await exchange.answer(self.status, self.body.encode(), headers)


class EchoFault(Fault):
    """An error that repeats the whole request, credentials included, as careless servers and proxies do.

    :param status: HTTP status
    :param form: how it is written
    """

    action: Literal["echo"] = "echo"
    status: int = Field(default=400, ge=200, le=599)
    form: Literal["json", "text", "url", "base64", "html"] = "json"

    async def play(self, exchange: Exchange) -> None:
        """Answer with what was asked."""
        scope = exchange.scope
        sent = (await exchange.read_request()).decode("utf-8", errors="replace")
        target = f"{scope['path']}?{scope['query_string'].decode('latin-1')}"
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request = f"{headers.pop('authorization', '')} {sent} {scope['method']} {target} {headers}"
        content_type, write = _ECHOES[self.form]
        await exchange.answer(self.status, write(request).encode(), raw_headers({"content-type": content_type}))


_ECHOES: dict[str, tuple[str, Callable[[str], str]]] = {
    "json": ("application/json", lambda request: json.dumps({"error": f"Bad request: {request}"})),
    "text": ("text/plain; charset=utf-8", lambda request: f"Bad request: {request}"),
    "url": ("text/plain; charset=utf-8", lambda request: f"Bad request: {quote(request, safe='')}"),
    "base64": ("text/plain; charset=utf-8", lambda request: base64.b64encode(request.encode()).decode()),
    "html": ("text/html; charset=utf-8", lambda request: f"<!DOCTYPE html><pre>{html.escape(request)}</pre>"),
}


class RedirectFault(Fault):
    """A redirect to anywhere.

    :param location: value of ``Location``
    :param status: HTTP status
    """

    action: Literal["redirect"] = "redirect"
    location: str
    status: Literal[301, 302, 303, 307, 308] = 302

    async def play(self, exchange: Exchange) -> None:
        """Answer with the redirect."""
        await exchange.answer(self.status, b"", raw_headers({"location": self.location}))


class DelayFault(Fault):
    """The request is looked at later.

    :param seconds: how much later
    """

    action: Literal["delay"] = "delay"
    seconds: Seconds

    async def play(self, exchange: Exchange) -> None:
        """Wait, then answer as usual."""
        await asyncio.sleep(self.seconds)
        await exchange.run()


class DropAnswerFault(Fault):
    """The request takes effect, the answer never comes: the connection is reset."""

    action: Literal["drop_answer"] = "drop_answer"

    async def play(self, exchange: Exchange) -> None:
        """Process, then reset."""
        await exchange.run_unheard()
        await reset(exchange.transport)


class ResetFault(Fault):
    """The connection is reset.

    :param after_bytes: bytes of the body that are sent before; None: the request is thrown away
    """

    action: Literal["reset"] = "reset"
    after_bytes: Bytes | None = None

    async def play(self, exchange: Exchange) -> None:
        """Send a part, then reset."""
        if self.after_bytes is None:
            await exchange.read_request()
            await reset(exchange.transport)
            return

        async def stop() -> None:
            exchange.tell_broken()
            await reset(exchange.transport)

        await exchange.run(StoppingSend(exchange.send, self.after_bytes, stop))


class TruncateFault(Fault):
    """The body ends early.

    :param after_bytes: bytes of the body that are sent
    :param length: ``keep``: ``Content-Length`` promises more; ``chunked``: no length, the last chunk never
        comes; ``silent``: no length and an orderly end, so that nothing in HTTP tells of the loss
    """

    action: Literal["truncate"] = "truncate"
    after_bytes: Bytes
    length: Literal["keep", "chunked", "silent"] = "keep"

    async def play(self, exchange: Exchange) -> None:
        """Send a part, then end."""

        async def stop() -> None:
            exchange.tell_broken()
            if self.length == "silent":
                await exchange.send({"type": "http.response.body", "body": b""})
            else:
                exchange.transport.close()

        async def send(message: Message) -> None:
            if self.length != "keep":
                message = with_headers(message, remove=("content-length",))
            await exchange.send(message)

        await exchange.run(StoppingSend(send, self.after_bytes, stop))


class StallFault(Fault):
    """The answer stops and goes on later, unless the client leaves before.

    :param after_bytes: bytes of the body that are sent before; None: not even the status
    :param seconds: how long nothing is sent
    """

    action: Literal["stall"] = "stall"
    after_bytes: Bytes | None = None
    seconds: Seconds = 3600

    async def play(self, exchange: Exchange) -> None:
        """Send a part, wait, send the rest."""
        left = self.after_bytes

        async def send(message: Message) -> None:
            nonlocal left
            if left is None:
                left = -1
                await exchange.pause(self.seconds)
            elif message["type"] == "http.response.body" and left >= 0:
                body = message.get("body", b"")
                if len(body) >= left:
                    await exchange.send(altered(message, body=body[:left], more_body=True))
                    message = altered(message, body=body[left:])
                    await exchange.pause(self.seconds)
                    left = -1
                else:
                    left -= len(body)
            await exchange.send(message)

        await exchange.run(send)


class WrongLengthFault(Fault):
    """``Content-Length`` is not the length of the body; the connection ends after it.

    :param difference: added to the true length
    """

    action: Literal["wrong_length"] = "wrong_length"
    difference: int = 100

    async def play(self, exchange: Exchange) -> None:
        """Promise another length."""
        left = 0

        async def send(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.start":
                true = int(header(message, b"content-length") or 0)
                left = max(0, true + self.difference)
                await exchange.send(with_headers(message, {"content-length": str(left)}))
                return
            body = message.get("body", b"")[:left]
            left -= len(body)
            await exchange.send(altered(message, body=body, more_body=True))
            if not message.get("more_body", False):
                exchange.tell_broken()
                exchange.transport.close()

        await exchange.run(send)


class CorruptFault(Fault):
    """One byte of the body arrives changed.

    :param offset: which byte of the whole file, also where a part is served; negative from the end
    """

    action: Literal["corrupt"] = "corrupt"
    offset: int = 0

    async def play(self, exchange: Exchange) -> None:
        """Turn all bits of the byte."""
        position, target = 0, self.offset

        async def send(message: Message) -> None:
            nonlocal position, target
            if message["type"] == "http.response.start":
                part = _CONTENT_RANGE.match(header(message, b"content-range") or b"")
                size = int(part[2]) if part else int(header(message, b"content-length") or 0)
                position = int(part[1]) if part else 0
                target = self.offset if self.offset >= 0 else size + self.offset
            else:
                body = bytearray(message.get("body", b""))
                if 0 <= target - position < len(body):
                    body[target - position] ^= 0xFF
                position += len(body)
                message = altered(message, body=bytes(body))
            await exchange.send(message)

        await exchange.run(send)


class GzipFault(Fault):
    """The body comes encoded with gzip, whatever the client accepts."""

    action: Literal["gzip"] = "gzip"

    async def play(self, exchange: Exchange) -> None:
        """Encode the body while it passes."""
        encoder = zlib.compressobj(level=1, wbits=31)

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = with_headers(message, {"content-encoding": "gzip"}, remove=("content-length",))
            else:
                body = encoder.compress(message.get("body", b""))
                if not message.get("more_body", False):
                    body += encoder.flush()
                message = altered(message, body=body)
            await exchange.send(message)

        await exchange.run(send)


class HeadersFault(Fault):
    """The headers of the answer are changed, for example another ``Last-Modified``.

    :param set: headers with their new values
    :param remove: headers that are taken away
    """

    action: Literal["headers"] = "headers"
    set: dict[str, str] = Field(default={})
    remove: tuple[str, ...] = ()

    async def play(self, exchange: Exchange) -> None:
        """Change the headers, leave the body."""

        async def send(message: Message) -> None:
            await exchange.send(with_headers(message, self.set, remove=self.remove))

        await exchange.run(send)


class ReplaceFileFault(Fault):
    """The newest backup files are replaced by others just before the request is answered."""

    action: Literal["replace_file"] = "replace_file"

    async def play(self, exchange: Exchange) -> None:
        """Replace, then answer as usual."""
        await exchange.replace_files()
        await exchange.run()


AnyFault = Annotated[
    StatusFault
    | HtmlFault
    | EchoFault
    | RedirectFault
    | DelayFault
    | DropAnswerFault
    | ResetFault
    | TruncateFault
    | StallFault
    | WrongLengthFault
    | CorruptFault
    | GzipFault
    | HeadersFault
    | ReplaceFileFault,
    Field(discriminator="action"),
]
