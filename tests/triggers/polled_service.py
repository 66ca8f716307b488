"""As much of Xray as triggers ask, on their own event loop: it sees connections and can hold answers back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer


class PolledService:
    """A service whose jobs run until :attr:`done` is set.

    :param at_once: questions that must be under way together before any is answered
    """

    def __init__(self, at_once: int = 1) -> None:
        self.done = asyncio.Event()
        self.logins = 0
        self.questions: Counter[str] = Counter()
        self.connections: set[int] = set()
        self._together = asyncio.Barrier(at_once)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve as long as the block; yields the URL."""
        app = web.Application()
        app.add_routes(
            [
                web.post("/api/v2/authenticate", self._authenticate),
                web.get("/api/v2/backup/{job}/status", self._status),
            ]
        )
        async with TestServer(app, host="127.0.0.1") as server:
            yield str(server.make_url("")).rstrip("/")

    async def _authenticate(self, _: web.Request) -> web.Response:
        self.logins += 1
        return web.json_response("a-token-of-this-service")

    async def _status(self, request: web.Request) -> web.Response:
        self.connections.add(id(request.transport))
        self.questions[request.match_info["job"]] += 1
        await self._together.wait()
        return web.json_response({"status": "successful" if self.done.is_set() else "working"})
