"""Below HTTP: how a connection is broken on purpose, and the server protocol that allows it."""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

_LINGER_OFF = struct.pack("ii", 1, 0)
_FLUSH_STEP, _FLUSH_STEPS = 0.002, 1000


class BreakableProtocol(H11Protocol):
    """HTTP/1.1 that lets the application reach its connection, as ``scope["state"]["transport"]``."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection."""
        super().connection_made(transport)
        self.app_state: dict[str, Any] = {**self.app_state, "transport": transport}


async def reset(transport: asyncio.Transport) -> None:
    """End a connection with RST, after the peer's machine has taken what was written before.

    Waits two seconds at most: a peer that does not read would keep the bytes back for ever.
    """
    connection = transport.get_extra_info("socket")
    if connection is None or transport.is_closing():
        return
    for _ in range(_FLUSH_STEPS):
        if not transport.get_write_buffer_size() and not _unsent(connection.fileno()):
            break
        await asyncio.sleep(_FLUSH_STEP)
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
    transport.abort()
    # The protocol learns of it in the next turn of the loop; before, it would still try to answer.
    await asyncio.sleep(0)


def _unsent(descriptor: int) -> int:
    """Bytes in the send queue of a socket, 0 where the system does not tell."""
    amount = array.array("i", [0])
    try:
        fcntl.ioctl(descriptor, termios.TIOCOUTQ, amount)
    except OSError:
        return 0
    return amount[0]
