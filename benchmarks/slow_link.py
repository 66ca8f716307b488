"""A link to a server that is slow for each connection: a proxy that adds latency and limits what arrives."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time

_AT_ONCE = 128 << 10


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rate: float, delay: float) -> None:
    """Pass bytes on, each of them later, and no more of them than fit through the link.

    :param reader: where they come from
    :param writer: where they go
    :param rate: bytes a second
    :param delay: seconds
    """
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(max(2, int(rate * delay * 2 / _AT_ONCE)))

    async def fill() -> None:
        while block := await reader.read(_AT_ONCE):
            await queue.put((time.monotonic() + delay, block))
        await queue.put((0, b""))

    filling = asyncio.create_task(fill())
    free = 0.0
    try:
        while True:
            due, block = await queue.get()
            if not block:
                break
            await asyncio.sleep(max(due, free) - time.monotonic())
            free = max(time.monotonic() - 0.05, free) + len(block) / rate
            writer.write(block)
            await writer.drain()
    finally:
        filling.cancel()
        writer.close()


async def serve(port: int, to: int, rate: float, latency: float) -> None:
    """Listen on this machine until the process ends.

    :param port: where
    :param to: the port of the server
    :param rate: bytes a second that one connection brings
    :param latency: seconds that a question and its answer take together
    """

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, questions = await asyncio.open_connection("127.0.0.1", to)
        both = (carry(reader, questions, rate, latency / 2), carry(answers, writer, rate, latency / 2))
        with contextlib.suppress(OSError):
            await asyncio.gather(*both)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Read the command line, and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("to", type=int)
    parser.add_argument("--rate", type=float, default=10e6, metavar="BYTES", help="a second and connection")
    parser.add_argument("--latency", type=float, default=0.08, metavar="SECONDS", help="there and back")
    args = parser.parse_args()
    asyncio.run(serve(args.port, args.to, args.rate, args.latency))


if __name__ == "__main__":
    main()
