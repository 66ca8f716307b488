"""Following a link to a host that somebody else named: the place it really leads to is looked at."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from airflow_provider_xbackup.http.places import Place, place_of


class LinkAdapter(HTTPAdapter):
    """Carries requests to where they are allowed to go.

    A name is looked up anew for each connection, and may then mean another place than a moment ago; so it is
    the connection that is looked at, before anything is sent through it.

    :param check: raises where a place is refused
    :param connections: how many are kept open to each host
    """

    def __init__(self, check: Callable[[Place], None], connections: int) -> None:
        self._check = check
        super().__init__(pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of connections, of a kind that looks where it has got to."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self._check)


def _pools(check: Callable[[Place], None]) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            _look(self.sock, check)

    class Tls(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            _look(self.sock, check)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}


def _look(sock: socket.socket | None, check: Callable[[Place], None]) -> None:
    if sock is not None:
        check(place_of(str(sock.getpeername()[0])))
