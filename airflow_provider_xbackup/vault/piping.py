"""A function that reads one file and writes another, in the middle of a stream of blocks."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Any

_OUT_BLOCK = 1024 * 1024


def through_thread(
    blocks: Iterable[bytes],
    work: Callable[[Any, Any], object],
    failed: Callable[[BaseException], Exception],
    *,
    name: str,
) -> Generator[bytes, None, None]:
    """Run such a function in a thread of its own, in flat memory.

    The blocks are fetched in the caller's thread, so its errors stay its own; the thread ends with the
    generator, however that ends.

    :param blocks: what the function reads
    :param work: the function; takes a file to read and a file to write
    :param failed: turns what the function raised into what is raised here
    :param name: of the thread
    :return: what the function writes
    """
    pipe = _Pipe()
    thread = threading.Thread(target=pipe.run, args=(work,), name=name, daemon=True)
    thread.start()
    try:
        for block in blocks:
            for start in range(0, len(block), _OUT_BLOCK):
                pipe.blocks.put(block[start : start + _OUT_BLOCK])
                if pipe.error is not None:
                    break
                if out := pipe.take():
                    yield out
            if pipe.error is not None:
                break
        pipe.blocks.put(None)
        thread.join()
        if pipe.error is None and (out := pipe.take()):
            yield out
    finally:
        pipe.stopped = True
        if thread.is_alive():
            pipe.blocks.put(None)
            thread.join()
    if pipe.error is not None:
        raise failed(pipe.error) from pipe.error


class _Stopped(Exception):  # noqa: N818 - a signal between two threads, no error
    """The consumer has gone; the worker is to end."""


class _Pipe:
    """Both ends of what a worker thread reads and writes: a file to it, two queues to the other side.

    The input is bounded and the worker never blocks on its output, so it always comes back for more;
    what it has written is taken after every block handed in, which bounds the output as well.
    """

    def __init__(self) -> None:
        self.blocks: queue.Queue[bytes | None] = queue.Queue(maxsize=2)
        self.output: deque[bytes] = deque()
        self.error: BaseException | None = None
        self.stopped = False
        self._rest = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            block = self.blocks.get()
            if block is None:  # stays in the queue, for whoever asks again
                self.blocks.put(None)
            if self.stopped:
                raise _Stopped
            if block is None:
                return b""
            self._rest = memoryview(block)
        size = len(self._rest) if size < 0 else size
        taken, self._rest = bytes(self._rest[:size]), self._rest[size:]
        return taken

    def write(self, data: bytes) -> int:
        if self.stopped:
            raise _Stopped
        self.output.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def run(self, work: Callable[[Any, Any], object]) -> None:
        try:
            work(self, self)
        except BaseException as exc:  # noqa: BLE001 - handed to the other side, which raises it
            self.error = exc
        # Whoever hands in blocks must not wait for a reader that is done.
        while self.blocks.get() is not None:
            pass

    def take(self) -> bytes:
        parts = []
        while self.output:
            parts.append(self.output.popleft())
        return b"".join(parts)
