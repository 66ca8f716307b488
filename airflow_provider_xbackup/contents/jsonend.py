"""Does a body end where its JSON ends? HTTP may end in order what was cut off before, or not tell of an end."""

from __future__ import annotations

from collections.abc import Generator

import ijson

_BOM = b"\xef\xbb\xbf"
#: The parser keeps a string as a whole, and looks at it from its start again with every block.
_LONGEST_VALUE = 64 << 20


class JsonEnd:
    """Follows a JSON value that comes in blocks, and keeps nothing of it.

    A value that never ends is told from one that the parser dislikes on its way: only the first was cut off.
    Disliked is also a text of more than 64 MiB, so that memory stays flat.

    >>> whole, cut, other = JsonEnd(b'{"a": 1}'), JsonEnd(b'{"a"'), JsonEnd(b"{a}")
    >>> whole.is_complete(), cut.is_cut_off(), other.is_cut_off()
    (True, True, False)

    :param start: the first bytes, with the first that is neither a mark nor white space among them
    """

    def __init__(self, start: bytes) -> None:
        self._disliked = not may_begin_json(start)
        self._ended_early: bool | None = None
        self._silent = 0
        self._heard: list[None] = []
        sink = _note_in(self._heard)
        next(sink)
        # Without use_float the parser's C part crashes the process on a number of thousands of digits.
        self._parser = ijson.basic_parse_coro(sink, use_float=True)
        self.feed(start.removeprefix(_BOM))

    def feed(self, block: bytes) -> None:
        """Take the next bytes."""
        if block and not self._disliked:
            self._heard.clear()
            try:
                self._parser.send(block)
            except (ijson.JSONError, ValueError, ArithmeticError, SystemError):
                self._disliked = True
            self._silent = 0 if self._heard else self._silent + len(block)
            self._disliked |= self._silent > _LONGEST_VALUE

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


def _note_in(heard: list[None]) -> Generator[None, object, None]:
    """Note once that the parser has come to the end of something."""
    while True:
        yield
        if not heard:
            heard.append(None)
