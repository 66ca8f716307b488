"""Bytes that come in blocks, read as if they were all there."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
#: A step of a coroutine that is sent blocks, waits for more of them where it needs to, and ends in a T.
Step = Generator[None, memoryview, T]


class BlockReader:
    """Reads blocks for a coroutine: ``data = yield from reader.take(4)``."""

    def __init__(self) -> None:
        self._view = memoryview(b"")
        self._pos = 0
        self._before = 0  # offset in the stream of the first byte of the view

    @property
    def offset(self) -> int:
        """Where in the stream the next byte lies."""
        return self._before + self._pos

    def more(self) -> Step[None]:
        """Wait for the next block, once this one is used up."""
        self._before += len(self._view)
        self._pos = 0
        self._view = memoryview(b"")
        self._view = yield

    def take(self, length: int) -> Step[bytes]:
        """Take exactly so many bytes; for the short parts of a record only."""
        end = self._pos + length
        if end <= len(self._view):
            data = bytes(self._view[self._pos : end])
            self._pos = end
            return data
        parts = bytearray()
        while True:
            piece = self._view[self._pos : self._pos + length - len(parts)]
            parts += piece
            self._pos += len(piece)
            if len(parts) == length:
                return bytes(parts)
            yield from self.more()

    def some(self, most: int) -> Step[memoryview]:
        """Take what is there, at most so many bytes and at least one, without a copy."""
        while self._pos == len(self._view):
            yield from self.more()
        piece = self._view[self._pos : self._pos + most]
        self._pos += len(piece)
        return piece

    def give_back(self, length: int) -> None:
        """Take back the last bytes that :meth:`some` gave, no more than it gave."""
        self._pos -= length
