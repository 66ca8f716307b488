"""The simulator as a server: inside a test, or on the command line."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from types import FrameType
from typing import Any, Self

import uvicorn
from fastapi import FastAPI, Request, Response

from airflow_provider_xbackup.simulator.answers import RefusedError
from airflow_provider_xbackup.simulator.clock import Clock
from airflow_provider_xbackup.simulator.control import ControlApi
from airflow_provider_xbackup.simulator.fault_book import FaultMiddleware
from airflow_provider_xbackup.simulator.front import Front
from airflow_provider_xbackup.simulator.journal import Journal
from airflow_provider_xbackup.simulator.settings import SimulatorSettings
from airflow_provider_xbackup.simulator.storage import StorageApi
from airflow_provider_xbackup.simulator.tenants import JobRequest
from airflow_provider_xbackup.simulator.wire import BreakableProtocol
from airflow_provider_xbackup.simulator.world import World
from airflow_provider_xbackup.simulator.xenioo import XeniooApi
from airflow_provider_xbackup.simulator.xray import XrayApi


class Simulator:
    """Both vendors' APIs on a local port, in a thread of this process.

    Use it as a context manager, once; it listens from the start of the block to its end.

    :param settings: the settings at start
    :param host: a loopback address
    :param port: 0 takes a free one
    :raises ValueError: when the host is not a loopback address: the simulator has no protection
    """

    def __init__(
        self, settings: SimulatorSettings | None = None, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        _require_loopback(host)
        self._host = host
        self._port = port
        self._world = World(settings or SimulatorSettings())
        self._server = _Server(
            uvicorn.Config(
                application(self._world),
                http=BreakableProtocol,
                loop="asyncio",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="critical",
                access_log=False,
                date_header=False,
                server_header=False,
                timeout_graceful_shutdown=0,
            )
        )

    def __enter__(self) -> Self:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            self._socket = socket.create_server((self._host, self._port), family=family)
        except OSError:
            self._world.close()
            raise
        self._port = self._socket.getsockname()[1]
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="xbackup-simulator", daemon=True
        )
        self._thread.start()
        self._server.ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        self._thread.join()
        self._socket.close()
        self._world.close()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """Scheme, host and port: the base of the Xray API."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    def xenioo_url(self, bot: str) -> str:
        """The service endpoint of a bot."""
        return f"{self.url}/xenioo/{bot}"

    @property
    def settings(self) -> SimulatorSettings:
        """The settings in force; assign to their fields to change them."""
        return self._world.settings

    @property
    def clock(self) -> Clock:
        """The clock."""
        return self._world.clock

    @property
    def journal(self) -> Journal:
        """The requests."""
        return self._world.journal

    def advance(self, seconds: float) -> None:
        """Move the clock forwards."""
        self._world.clock.advance(seconds)

    def configure(self, changes: dict[str, Any]) -> None:
        """Merge changes into the settings, as ``PATCH /_control/settings`` does.

        :raises pydantic.ValidationError: when a name or a value is wrong
        """
        self._world.settings = self._world.settings.merged(changes)

    def change_data(self, client_id: str = "demo-client", **changes: Any) -> None:
        """Change what a tenant holds, for example ``revision=1`` or ``tests=0``; it counts as done now.

        :raises pydantic.ValidationError: when a name or a value is wrong
        """
        self.configure({"xray": {"tenants": {client_id: {"data": changes}}}})
        self._world.tenants.data(self._world.tenants.get(client_id))

    def add_fault(self, **fault: Any) -> None:
        """Add a fault: ``action``, and the fields of that fault.

        :raises pydantic.ValidationError: when a name or a value is wrong
        """
        self._world.faults.add(fault)

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._world.faults.clear()

    def finish_jobs(self) -> int:
        """End all running jobs now; returns how many there were."""
        return self._world.tenants.finish_jobs()

    def other_client_backup(
        self,
        client_id: str = "demo-client",
        *,
        project_ids: tuple[str, ...] | None = None,
        modified_since: datetime | None = None,
        with_attachment: bool = False,
    ) -> str:
        """Let another client of the same tenant finish a backup now, whatever the cooldown.

        :returns: its job id
        """
        tenants = self._world.tenants
        tenant = tenants.get(client_id)
        job = tenants.start(tenant, JobRequest(project_ids, modified_since, with_attachment), finished=True)
        job.build.result()
        tenants.settle(tenant)
        return job.id

    def revoke_tokens(self) -> None:
        """Make every token issued so far invalid."""
        self._world.revoke_tokens()

    def reset(self) -> None:
        """Forget jobs, cooldowns, tokens, restored bots, faults and journal; settings and clock stay."""
        self._world.reset()


def application(world: World) -> Front:
    """The ASGI application over a state."""
    vendors = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    for router in (XrayApi(world).router, XeniooApi(world).router, StorageApi(world).router):
        vendors.include_router(router)
    vendors.add_exception_handler(RefusedError, _refused)
    control = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    control.include_router(ControlApi(world).router)

    async def replace_files() -> None:
        await asyncio.to_thread(world.tenants.replace_files)

    return Front(FaultMiddleware(vendors, world.faults, replace_files), control, world)


def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    settings: SimulatorSettings | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Run the simulator until Ctrl-C or SIGTERM. Call it from the main thread.

    :param host: a loopback address
    :param port: 0 takes a free one
    :param settings: the settings at start
    :param ready: called with the URL once requests are answered
    :raises ValueError: when the host is not a loopback address
    :raises OSError: when the port is taken
    """
    simulator = Simulator(settings, host=host, port=port)
    with _until_signalled() as signalled, simulator:
        if ready is not None:
            ready(simulator.url)
        signalled.wait()


class _Server(uvicorn.Server):
    """A uvicorn that says when it is ready and ends when told to, without looking at a clock."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def main_loop(self) -> None:
        self._loop, self._told_to_stop = asyncio.get_running_loop(), asyncio.Event()
        self.ready.set()
        await self._told_to_stop.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._told_to_stop.set)


async def _refused(_: Request, error: Exception) -> Response:
    """The answer that a refusal carries."""
    if not isinstance(error, RefusedError):
        raise error
    return error.response


@contextlib.contextmanager
def _until_signalled() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, instead of what they did before."""
    signalled = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        signalled.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signalled
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _require_loopback(host: str) -> None:
    with contextlib.suppress(ValueError):
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return
    raise ValueError(
        f"the simulator listens on loopback addresses only, not on {host!r}: it has no protection. Use 127.0.0.1"
    )
