"""Does a body end where its JSON ends? For answers whose framing does not tell."""

from __future__ import annotations

from collections.abc import Generator

import ijson

_BOM = b"\xef\xbb\xbf"


class JsonEnd:
    """Follows a JSON value that comes in blocks, and keeps nothing of it.

    A value that never ends is told from one that the parser dislikes on its way: only the first was cut off.

    >>> whole, cut, other = JsonEnd(b'{"a": 1}'), JsonEnd(b'{"a"'), JsonEnd(b"{a}")
    >>> whole.is_complete(), cut.is_cut_off(), other.is_cut_off()
    (True, True, False)

    :param start: the first bytes, with the first that is neither a mark nor white space among them
    """

    def __init__(self, start: bytes) -> None:
        self._disliked = not may_begin_json(start)
        self._ended_early: bool | None = None
        sink = _nowhere()
        next(sink)
        # Without use_float the parser's C part crashes the process on a number of thousands of digits.
        self._parser = ijson.basic_parse_coro(sink, use_float=True)
        self.feed(start.removeprefix(_BOM))

    def feed(self, block: bytes) -> None:
        """Take the next bytes."""
        if block and not self._disliked:
            try:
                self._parser.send(block)
            except (ijson.JSONError, ValueError, ArithmeticError, SystemError):
                self._disliked = True

    def is_complete(self) -> bool:
        """Tell whether the bytes were one whole JSON value. Nothing can be fed any more."""
        return not self._disliked and not self.is_cut_off()

    def is_cut_off(self) -> bool:
        """Tell whether the bytes ended inside a JSON value. Nothing can be fed any more."""
        if self._ended_early is None:
            self._ended_early = not self._disliked and not self._close()
        return self._ended_early

    def _close(self) -> bool:
        try:
            self._parser.close()
        except (ijson.JSONError, ValueError, ArithmeticError, SystemError):
            return False
        return True


def may_begin_json(start: bytes) -> bool:
    """Tell whether bytes begin as a JSON object or list does."""
    return start.removeprefix(_BOM).lstrip(b" \t\r\n").startswith((b"{", b"["))


def _nowhere() -> Generator[None, object, None]:
    while True:
        yield
