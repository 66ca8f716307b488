"""What a bot calls itself, read from its backup while the bytes pass."""

from __future__ import annotations

from collections.abc import Generator

import ijson

from airflow_provider_xbackup.contents.jsonend import may_begin_json

_LOOKED_AT = 16 << 20
_LONGEST = 200
_BOM = b"\xef\xbb\xbf"
_OPENING, _CLOSING = ("start_map", "start_array"), ("end_map", "end_array")


class _EnoughError(Exception):
    """The name is known."""


class BotName:
    """Looks for the text under ``Name``, in any case, at the top level of a JSON object that comes in blocks.

    What a bot's backup holds is not documented. So this never fails: what it does not find within the first
    16 MiB stays unknown. It keeps nothing else, and stops looking when it knows.

    >>> name = BotName()
    >>> name.feed(b'{"Version": 1, "NA')
    >>> name.feed(b'ME": "welcome", "NLP": ')
    >>> name.text
    'welcome'
    """

    def __init__(self) -> None:
        #: The name, None while it is unknown.
        self.text: str | None = None
        self._left = _LOOKED_AT
        self._begun = False
        sink = self._listen()
        next(sink)
        # Without use_float the parser's C part crashes the process on a number of thousands of digits.
        self._parser = ijson.basic_parse_coro(sink, use_float=True)

    def feed(self, block: bytes) -> None:
        """Take the next bytes."""
        if self._left <= 0 or not block:
            return
        if not self._begun:
            self._begun = True
            if not may_begin_json(block):
                self._left = 0
                return
            block = block.removeprefix(_BOM)
        looked_at = block[: self._left]
        self._left -= len(looked_at)
        try:
            self._parser.send(looked_at)
        except (_EnoughError, ijson.JSONError, ValueError, ArithmeticError, SystemError):
            self._left = 0

    def _listen(self) -> Generator[None, tuple[str, object], None]:
        depth, named = 0, False
        while True:
            event, value = yield
            if event in _OPENING:
                depth += 1
                if depth == 1 and event != "start_map":
                    self._left = 0
            elif event in _CLOSING:
                depth -= 1
            elif event == "string" and named:
                self.text = _checked(str(value))
                # What else is in this block is nobody's business. To return would end ijson's own generators with
                # an error, where it has no C part.
                raise _EnoughError
            named = event == "map_key" and depth == 1 and str(value).lower() == "name"


def _checked(text: str) -> str | None:
    """Return a name that can be kept, or None: the longest text of a bot is no name."""
    name = text.strip()
    try:
        name.encode()
    except UnicodeEncodeError:
        return None
    return name if 0 < len(name) <= _LONGEST else None
