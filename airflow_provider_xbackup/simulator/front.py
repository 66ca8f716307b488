"""What every request passes first: the journal, and ``Date`` by the simulator's clock."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_provider_xbackup.simulator.clock import http_date
from airflow_provider_xbackup.simulator.control import PREFIX
from airflow_provider_xbackup.simulator.exchange import altered
from airflow_provider_xbackup.simulator.world import World


class Front:
    """Notes requests and dates answers, those of faults included.

    :param vendors: answers what is meant for the vendors
    :param control: answers what is meant for the simulator itself; neither noted nor faulty
    :param world: the simulator's state
    """

    def __init__(self, vendors: ASGIApp, control: ASGIApp, world: World) -> None:
        self._vendors = vendors
        self._control = control
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        if scope["path"].startswith(PREFIX):
            await self._control(scope, receive, send)
            return
        entry = self._world.journal.open(self._world.clock.now(), scope["method"], scope["path"], scope["headers"])
        scope["state"]["entry"] = entry

        answered = False

        async def receive_watched() -> Message:
            message = await receive()
            entry.cut_off = entry.cut_off or (message["type"] == "http.disconnect" and not answered)
            return message

        async def send_dated(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                entry.status = message["status"]
                if self._world.settings.date_header:
                    date = (b"date", http_date(self._world.clock.now()).encode())
                    message = altered(message, headers=[*message["headers"], date])
            await send(message)
            answered = message["type"] == "http.response.body" and not message.get("more_body", False)

        await self._vendors(scope, receive_watched, send_dated)
