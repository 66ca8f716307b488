"""A StatsD server that Airflow sends its metrics to: over UDP, through Airflow's own client."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from inspect import signature

import pytest
from statsd import StatsClient


class StatsdServer:
    """Keeps what it is sent. On one machine a datagram is there when its sender's call returns."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._lines: list[str] = []

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    @property
    def received(self) -> dict[str, list[str]]:
        """What came of this package's metrics: values with their kind, such as ``1|c``, by name."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._lines += self._socket.recv(65536).decode().split("\n")
        found: dict[str, list[str]] = {}
        for line in self._lines:
            name, _, value = line.partition(":")
            if name.startswith("airflow.xbackup."):
                found.setdefault(name.removeprefix("airflow.xbackup."), []).append(value)
        return found

    def close(self) -> None:
        self._socket.close()


class RefusingClient(StatsClient):
    """A client to whom nobody listens, and who says so, for ``[metrics] statsd_custom_client_path``."""

    def _send(self, data: str) -> None:
        raise ConnectionRefusedError(111, "Connection refused")


@contextlib.contextmanager
def sending_metrics(monkeypatch: pytest.MonkeyPatch, **options: str) -> Iterator[StatsdServer]:
    """Let this process send its metrics as a task's does.

    :param options: of ``[metrics]``
    """
    server = StatsdServer()
    configured = {"statsd_on": "True", "statsd_host": "127.0.0.1", "statsd_port": str(server.port), **options}
    for option, value in configured.items():
        monkeypatch.setenv(f"AIRFLOW__METRICS__{option.upper()}", value)
    try:
        with _configured_anew():
            yield server
    finally:
        server.close()


@contextlib.contextmanager
def _configured_anew() -> Iterator[None]:
    """Read ``[metrics]`` now, as Airflow does when a task begins; afterwards nothing is sent any more."""
    from airflow.providers.common.compat.sdk import Stats

    try:
        from airflow.sdk.observability.metrics.statsd_logger import get_statsd_logger
    except ImportError:  # Airflow 3.1 reads it when the class is made
        from airflow.metrics import base_stats_logger, statsd_logger

        kind = type(Stats)
        kind.factory, Stats.instance = classmethod(statsd_logger.get_statsd_logger), None
        yield
        kind.factory, Stats.instance = base_stats_logger.NoStatsLogger, None
        return
    from airflow.sdk._shared.observability.metrics.base_stats_logger import NoStatsLogger

    more = (
        {"export_legacy_names": False} if "export_legacy_names" in signature(Stats.initialize).parameters else {}
    )
    Stats.initialize(factory=get_statsd_logger, **more)
    yield
    Stats.initialize(factory=NoStatsLogger, **more)
