"""Blocks on their way into a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Source:
    """Blocks, counted, empty ones left out, and the error of the iterator that they come from kept.

    :param blocks: the iterator
    :ivar size: how many bytes have come
    :ivar error: what the iterator raised
    :ivar exhausted: whether it has ended
    """

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self.size = 0
        self.error: BaseException | None = None
        self.exhausted = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            block = next(block for block in self._blocks if block)
        except StopIteration:
            self.exhausted = True
            raise
        except BaseException as exc:
            self.error = exc
            raise
        self.size += len(block)
        return block

    def take(self, size: int) -> list[bytes]:
        """Take blocks until there are so many bytes or no more."""
        taken: list[bytes] = []
        try:
            while self.size <= size:
                block = next(self, None)
                if block is None:
                    break
                taken.append(block)
        except BaseException:
            self.error = None  # it is raised here already; kept, it would keep this frame, and all that was taken
            raise
        return taken
