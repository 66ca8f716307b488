"""The entities of an Xray data zip as values, one at a time, while their file passes."""

from __future__ import annotations

import codecs
import json
import re
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from airflow_provider_xbackup.contents.entities import EntityFile, entity_file
from airflow_provider_xbackup.contents.references import ID_FIELDS

#: An entity is held as a whole; one that is longer is no test case, and memory stays flat.
LONGEST_ENTITY = 64 * 1024 * 1024
#: How many unreadable files are named.
_MOST_PROBLEMS = 50
#: int() refuses longer ones, and writing them takes a time that grows with their square.
_LONGEST_INTEGER = 4000
_SPACE = re.compile(r"[ \t\r\n]*")
#: How far before the end of what is there the decoder complains of what is only cut off: ``\\u123``, ``fals``.
_CUT_OFF = 12
_UNTERMINATED = "Unterminated string"
_KEYS = ("key", "issueKey", "testKey")


@dataclass(frozen=True, slots=True)
class Element:
    """One entity.

    :param kind: what it is, for example ``tests``: from the name of its file
    :param project: the Jira project id, from there too
    :param id: its id as text; None where it has none
    :param value: the entity as it stands in the file; numbers that fit no float are text
    """

    kind: str
    project: str
    id: str | None
    value: Any

    @property
    def names(self) -> frozenset[str]:
        """Everything by which somebody may mean it: its ids and keys."""
        if not isinstance(self.value, dict):
            return frozenset()
        jira = self.value.get("jira")
        places = (self.value, jira) if isinstance(jira, dict) else (self.value,)
        found = (_scalar(place.get(name)) for place in places for name in (*ID_FIELDS, *_KEYS))
        return frozenset(name for name in found if name is not None)


class ElementFile:
    """Decodes the elements of the one top-level list of a JSON file that comes in pieces.

    The same ones that :class:`~.entities.EntityCounter` counts. Each is decoded as soon as it is whole; a test
    repository may be one object instead of a list.

    :param file: what the file is
    :param take: is given every element
    """

    def __init__(self, file: EntityFile, take: Callable[[Element], None]) -> None:
        self._file = file
        self._take = take
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = json.JSONDecoder(parse_int=_integer, parse_float=_number, parse_constant=_constant)
        self._text = ""
        self._at = 0
        self._before = 0  # where in the file the text begins
        self._waiting: list[str] = []
        self._length = 0
        self._wanted = 1
        self._ended = False
        self._failure: str | None = None
        self._run = self._document()
        self._advance()

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the file."""
        if self._failure is not None:
            return
        try:
            text = self._decoder.decode(data)
        except UnicodeDecodeError:
            self._fail("it is not UTF-8")
            return
        self._waiting.append(text)
        self._length += len(text)
        if self._length >= self._wanted:
            self._advance()

    def finish(self) -> None:
        """End the file.

        :raises ValueError: if the bytes were not one JSON value; the text says why
        """
        if self._failure is None:
            try:
                self._waiting.append(self._decoder.decode(b"", final=True))
            except UnicodeDecodeError:
                self._fail("it is not UTF-8")
            self._ended = True
            self._advance()
        if self._failure is not None:
            raise ValueError(self._failure)

    def _advance(self) -> None:
        if self._failure is not None:
            return
        self._text = "".join((self._text[self._at :], *self._waiting))
        self._before += self._at
        self._at = self._length = 0
        self._waiting.clear()
        try:
            next(self._run)
        except StopIteration:
            self._text = ""
        except RecursionError:
            self._fail("it is nested too deeply")
        except ValueError as error:
            self._fail(error.msg if isinstance(error, json.JSONDecodeError) else str(error))

    def _fail(self, reason: str) -> None:
        self._failure = reason
        self._text = ""
        self._waiting.clear()

    # -- the document, as a coroutine that yields when it needs more ------------------------------------

    def _document(self) -> Generator[None, None, None]:
        first = yield from self._peek()
        if first == "[":
            yield from self._list()
        elif first == "{":
            yield from self._object()
        else:
            yield from self._value()
        if (yield from self._peek()):
            raise ValueError("something follows its JSON")

    def _object(self) -> Generator[None, None, None]:
        alone = self._file.entity == "testRepository"
        members: dict[str, Any] = {}
        size = 0
        listed = False
        self._at += 1
        if (yield from self._peek()) == "}":
            self._at += 1
            return
        while True:
            if (yield from self._peek()) != '"':
                raise ValueError("it is no JSON")
            name = yield from self._value()
            if (yield from self._peek()) != ":":
                raise ValueError("it is no JSON")
            self._at += 1
            if (yield from self._peek()) == "[" and not listed:
                listed = True
                yield from self._list()
            else:
                begin = self._before + self._at
                value = yield from self._value()
                size += self._before + self._at - begin
                if alone and not listed:
                    if size > LONGEST_ENTITY:
                        raise _too_long()
                    members[name] = value
            if not (yield from self._goes_on("}")):
                break
        if alone and not listed:
            (first, *others) = members.values()
            self._give(members if others or not isinstance(first, dict) else first)

    def _list(self) -> Generator[None, None, None]:
        self._at += 1
        if (yield from self._peek()) == "]":
            self._at += 1
            return
        while True:
            self._give((yield from self._value()))
            if not (yield from self._goes_on("]")):
                return

    def _goes_on(self, closing: str) -> Generator[None, None, bool]:
        sign = yield from self._peek()
        if sign not in (",", closing) or not sign:
            raise ValueError("it is no JSON" if sign else "it is cut off")
        self._at += 1
        if sign == ",":
            yield from self._peek()
        return sign == ","

    def _peek(self) -> Generator[None, None, str]:
        """Skip white space and look at the next character; none at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._wanted = 1
            yield

    def _value(self) -> Generator[None, None, Any]:
        yield from self._peek()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                cut_off = error.msg.startswith(_UNTERMINATED) or error.pos >= len(self._text) - _CUT_OFF
                if self._ended or not cut_off:
                    raise
            else:
                # A number at the end may go on.
                if end < len(self._text) or self._ended:
                    self._at = end
                    return value
            there = len(self._text) - self._at
            if there > LONGEST_ENTITY:
                raise _too_long()
            # Twice as much each time, so that a long one is not begun again with every piece.
            self._wanted = there or 1
            yield

    def _give(self, value: Any) -> None:
        known = value if isinstance(value, dict) else {}
        ids = (_scalar(known.get(name)) for name in ID_FIELDS)
        self._take(
            Element(self._file.entity, self._file.project, next((i for i in ids if i is not None), None), value)
        )


class Elements:
    """Takes the elements out of the files of a data zip while they pass.

    :param want: tells which files are of interest
    """

    def __init__(self, want: Callable[[EntityFile], bool]) -> None:
        self._want = want
        self._found: deque[Element] = deque()
        #: Files that are no JSON though they should be, each with the reason; not all of very many.
        self.problems: list[tuple[str, str]] = []

    def wants(self, name: str) -> bool:
        """Tell whether an entry is to be opened."""
        file = entity_file(name)
        return file is not None and self._want(file)

    def open(self, name: str) -> _ElementEntry:
        """Open an entry that is wanted."""
        file = entity_file(name)
        return _ElementEntry(name, ElementFile(file or EntityFile("", ""), self._found.append), self.problems)

    def drain(self) -> Iterator[Element]:
        """Yield what was found since the last time."""
        while self._found:
            yield self._found.popleft()


class _ElementEntry:
    def __init__(self, name: str, file: ElementFile, problems: list[tuple[str, str]]) -> None:
        self._name = name
        self._file = file
        self._problems = problems

    def feed(self, data: bytes | memoryview) -> None:
        self._file.feed(data)

    def finish(self) -> None:
        try:
            self._file.finish()
        except ValueError as error:
            if len(self._problems) < _MOST_PROBLEMS:
                self._problems.append((self._name, str(error)))


def _scalar(value: object) -> str | None:
    """Return an id as text, be it written as text or number."""
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "" else None


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= _LONGEST_INTEGER else text


def _number(text: str) -> float | int | str:
    """Read a number so that writing it differently makes no difference, and nothing of it is lost."""
    value = float(text)
    if value.is_integer() and abs(value) < 2**53:
        return int(value)
    try:
        same = Decimal(repr(value)) == Decimal(text)
    except ArithmeticError:
        same = False
    return value if same else text


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _too_long() -> ValueError:
    return ValueError(f"one value is longer than {LONGEST_ENTITY >> 20} MiB")
