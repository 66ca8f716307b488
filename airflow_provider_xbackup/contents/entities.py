"""What the files of an Xray data zip are called and how many entities each holds."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator
from typing import NamedTuple

import ijson

log = logging.getLogger(__name__)

_ENTITY_FILE = re.compile(r"(?:\A|/)([A-Za-z][A-Za-z0-9_-]*)_([0-9]+)_[0-9]+\.json\Z", re.IGNORECASE | re.ASCII)
_SPELLINGS = {
    name.lower(): name
    for name in (
        "tests",
        "preconditions",
        "testSets",
        "testPlans",
        "datasets",
        "testRepository",
        "issueHistory",
    )
}
_BOM = b"\xef\xbb\xbf"
#: The parser keeps a string as a whole; one longer than this is no test case, and memory stays flat.
_LONGEST_VALUE = 64 * 1024 * 1024
#: What the parser is given at once. Larger pieces are slower: their events leave the CPU's cache. But it
#: looks at a string from its start again with every piece, so within a long one the pieces grow.
_PIECE = 16 * 1024
_LARGEST_PIECE = 1024 * 1024
#: The parser's C part crashes the process on a number that int() refuses (more than 4,300 digits). Here
#: only the shape counts, so longer runs of digits, in numbers or strings, are cut down to these.
_DIGITS = b"0123456789"
_FEW_DIGITS = b"1" * 18
_ANY_DIGIT = bytes.maketrans(_DIGITS, b"1" * 10)
_MANY_DIGITS = re.compile(rb"[0-9]{19,}")
_DEPTH = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}


class EntityFile(NamedTuple):
    """The name of a chunk of a data zip, taken apart.

    :param entity: in the documented spelling; unknown ones as seen
    :param project: the Jira project id
    """

    entity: str
    project: str


def entity_file(name: str) -> EntityFile | None:
    """Take ``tests_10042_0.json`` apart; None for everything else, ``metadata_*.json`` included."""
    if name[-5:].lower() != ".json":
        return None
    match = _ENTITY_FILE.search(name)
    if match is None or match[1].lower().startswith("metadata"):
        return None
    return EntityFile(_SPELLINGS.get(match[1].lower(), match[1]), match[2])


def cut_digits(text: str) -> str:
    """Cut long runs of digits down as the counter does in what it reads, so that names can be compared."""
    return _MANY_DIGITS.sub(_FEW_DIGITS, text.encode()).decode()


class EntityCounter:
    """Counts the elements of the one top-level list of a JSON file that comes in pieces.

    A file that is not JSON is told by :meth:`finish`, not at once: whoever feeds it knows by then
    whether the bytes were damaged or the file was written that way.

    :param file: what the file is; a test repository may be one object instead of a list of them
    :param listen: is told every event of the parser and its value; see :func:`cut_digits` for what is
        missing from values
    """

    def __init__(self, file: EntityFile, listen: Callable[[str, object], None] | None = None) -> None:
        self._listen = listen
        self._one_object = file.entity == "testRepository"
        self._head = b""
        self._started = False
        self._digits = b""
        self._failure: str | None = None
        self._count = 0
        self._list_seen = False
        self._members_seen = False
        self._event_seen = False
        self._silent = 0
        sink = self._follow()
        next(sink)
        self._parser = ijson.basic_parse_coro(sink)

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the file."""
        if self._failure is not None:
            return
        if not self._started:
            self._head += data
            if len(self._head) < len(_BOM):
                return
            data = self._begin()
        view = memoryview(data)
        at = 0
        while at < len(view):
            piece = min(max(_PIECE, self._silent), _LARGEST_PIECE)
            self._parse(self._tame(view[at : at + piece]))
            at += piece

    def finish(self) -> int:
        """Give the count.

        :raises ValueError: if the bytes are not one JSON value; the text says where
        """
        if not self._started and self._failure is None:
            self._parse(self._begin())
        self._parse(self._digits)
        self._parse(None)
        # The parser and what follows its events hold each other: megabytes, until somebody collects them.
        del self._parser
        if self._failure is not None:
            raise ValueError(self._failure)
        if self._list_seen or not self._one_object:
            return self._count
        return int(self._members_seen)

    def _begin(self) -> bytes:
        self._started = True
        head, self._head = self._head.removeprefix(_BOM), b""
        return head

    def _tame(self, view: memoryview) -> bytes:
        """Cut long runs of digits down; the one at the end of a piece waits for the next."""
        piece = self._digits + view
        if _FEW_DIGITS in piece.translate(_ANY_DIGIT):
            piece = _MANY_DIGITS.sub(_FEW_DIGITS, piece)
        whole = piece.rstrip(_DIGITS)
        self._digits = piece[len(whole) :]
        return whole

    def _parse(self, piece: bytes | None) -> None:
        if self._failure is not None:
            return
        self._event_seen = False
        try:
            if piece is None:
                self._parser.close()
            elif piece:
                self._parser.send(piece)
        # Besides its own errors the parser lets those of int() and Decimal() through, and its C part
        # turns some of them into SystemError.
        except (ijson.JSONError, ValueError, ArithmeticError, SystemError) as error:
            self._failure = _first_line(error)
            return
        self._silent = 0 if self._event_seen or piece is None else self._silent + len(piece)
        if self._silent > _LONGEST_VALUE:
            self._failure = f"one value is longer than {_LONGEST_VALUE >> 20} MiB"

    def _follow(self) -> Generator[None, tuple[str, object], None]:
        """Receive the events of the parser, one call each: this is the hot loop."""
        steps = _DEPTH
        listen = self._listen
        depth = 0
        inside = 0
        while True:
            event, value = yield
            self._event_seen = True
            if listen is not None:
                listen(event, value)
            step = steps.get(event, 0)
            depth += step
            if inside:
                # Every element ends at the depth of its list, the list itself one below.
                if depth == inside:
                    self._count += 1
                elif depth < inside:
                    inside = 0
            elif event == "start_array" and depth <= 2 and not self._list_seen:
                self._list_seen = True
                inside = depth
            elif event == "map_key":
                self._members_seen = True


class EntityTally:
    """Adds up what the entity files of a zip hold.

    A file that is whole and cannot be read as JSON is what the service has written: its type stays
    without a count.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self.unread: set[str] = set()

    @property
    def counts(self) -> dict[str, int]:
        """Counts by type, without those in :attr:`unread`."""
        return {entity: count for entity, count in sorted(self._counts.items()) if entity not in self.unread}

    def open(self, name: str) -> CountedEntry | None:
        """Open an entry for counting; None where it is no entity file."""
        file = entity_file(name)
        return None if file is None else CountedEntry(self, name, file)

    def add(self, file: EntityFile, count: int) -> None:
        """Add what a file holds."""
        self._counts[file.entity] = self._counts.get(file.entity, 0) + count


class CountedEntry:
    """One entity file of a zip while it passes.

    :param tally: where its count goes
    :param name: its name
    :param file: the name, taken apart
    """

    def __init__(self, tally: EntityTally, name: str, file: EntityFile) -> None:
        self._tally = tally
        self._name = name
        self._file = file
        self._counter = EntityCounter(file)

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._counter.feed(data)

    def finish(self) -> None:
        """Add its count."""
        try:
            count = self._counter.finish()
        except ValueError as error:
            if self._file.entity not in self._tally.unread:
                log.warning(
                    "Entry %r cannot be read as JSON (%s): the backup is stored without a count of its %s.",
                    self._name[:120],
                    error,
                    self._file.entity,
                )
            self._tally.unread.add(self._file.entity)
            return
        self._tally.add(self._file, count)


def _first_line(error: Exception) -> str:
    """Say what the parser disliked, without the excerpt of the file that it adds."""
    text = error.args[0] if error.args else ""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if not isinstance(error, ijson.JSONError) or not isinstance(text, str):
        return "a number cannot be read"
    return text.strip().partition("\n")[0].strip() or "not JSON"
