"""Looking at blocks in a thread of its own as they pass: hashing and checking beside the I/O."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator

from airflow_provider_xbackup.vault.waiting import GRACE, LONGEST_WAIT

_BLOCKS_BEHIND = 2


def beside(blocks: Iterable[bytes], look: Callable[[bytes], object], *, name: str) -> Iterator[bytes]:
    """Pass blocks on, and let a thread look at each, in their order and at most a few blocks behind.

    The blocks end only when all of them were looked at. What looking raises is raised here, and no further
    block is looked at then.

    :param blocks: the blocks
    :param look: called with each of them, in the thread
    :param name: of the thread
    :return: the same blocks
    """
    onlooker = _Onlooker(look, name)
    try:
        for block in blocks:
            onlooker.show(block)
            yield block
        onlooker.finish()
    finally:
        onlooker.dismiss()


class _Onlooker:
    """A thread that looks at what it is shown. The other side never waits without looking up for signals."""

    def __init__(self, look: Callable[[bytes], object], name: str) -> None:
        self._look = look
        self._blocks: queue.Queue[bytes | None] = queue.Queue(_BLOCKS_BEHIND)
        self._error: BaseException | None = None
        self._dismissed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def show(self, block: bytes | None) -> None:
        while self._error is None:
            try:
                self._blocks.put(block, timeout=LONGEST_WAIT)
            except queue.Full:
                continue
            return
        self._raise()

    def finish(self) -> None:
        self.show(None)
        while self._thread.is_alive():
            self._thread.join(LONGEST_WAIT)
        if self._error is not None:
            self._raise()

    def dismiss(self) -> None:
        self._dismissed = True
        if self._thread.is_alive():
            # It may wait for a block, and then there is room for one.
            with contextlib.suppress(queue.Full):
                self._blocks.put_nowait(None)
            self._thread.join(GRACE)

    def _raise(self) -> None:
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # else it keeps this frame, and this frame the error, with the bytes it was found in

    def _run(self) -> None:
        while not self._dismissed and (block := self._blocks.get()) is not None and not self._dismissed:
            try:
                self._look(block)
            except BaseException as error:  # noqa: BLE001 - raised again on the other side
                self._error = error
                return
            finally:
                del block
