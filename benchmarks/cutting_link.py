"""A link to a server that breaks once, and counts what has passed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
from collections.abc import Iterator

_AT_ONCE = 1 << 20


class CuttingLink:
    """Passes bytes on without looking at them, in threads of this process; ends one connection in its middle.

    :param to: the server's port
    :param cut_after: how many bytes come before the end, of the connection that first has brought them
    :ivar port: where it listens, on this machine
    :ivar brought: bytes that the server sent, over all connections
    :ivar cut: whether it has broken
    """

    def __init__(self, to: int, cut_after: int) -> None:
        self._to = to
        self._cut_after = cut_after
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.brought = 0
        self.cut = False

    @contextlib.contextmanager
    def running(self) -> Iterator[CuttingLink]:
        """Pass on as long as the block."""
        threading.Thread(target=self._accept, daemon=True).start()
        try:
            yield self
        finally:
            self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                for way in (self._ask, self._answer):
                    threading.Thread(target=way, args=(client, server), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        for _ in _spliced(client, server):
            pass

    def _answer(self, client: socket.socket, server: socket.socket) -> None:
        own = 0
        for passed in _spliced(server, client):
            own += passed
            with self._lock:
                self.brought += passed
                ends = own >= self._cut_after and not self.cut
                self.cut = self.cut or ends
            if ends:
                break
        for end in (client, server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _spliced(source: socket.socket, target: socket.socket) -> Iterator[int]:
    """Move bytes from one connection to another inside the kernel; yields how many at a time."""
    out, into = os.pipe()
    fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, _AT_ONCE)
    try:
        while moved := os.splice(source.fileno(), into, _AT_ONCE):
            left = moved
            while left:
                left -= os.splice(out, target.fileno(), left)
            yield moved
    except OSError:  # one side has gone
        return
    finally:
        os.close(out)
        os.close(into)
