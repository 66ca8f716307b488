"""Whether two bots are the same, whatever order and spacing their JSON is written in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

#: How many differences are told one by one, unless more are asked for.
MOST_TOLD = 100

#: Names of fields whose value only has to be unique: a copy cannot have the same everywhere.
_IDENTIFIER = re.compile(
    r"(?:^|[_-])(?i:ids?|guid|uuid)$|[a-z0-9](?:Ids?|IDs?|Guid|GUID|Uuid|UUID)$|(?i:^(?:bot)?api_?(?:key|secret)$)"
)
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """A place at which two bots differ. It names no value: those may be secrets of integrations.

    :param path: where, as a JSON pointer (RFC 6901); empty for the whole
    :param what: ``added`` (only the copy has it), ``removed`` (only the original has it) or ``changed``
    """

    path: str
    what: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two bots have in common.

    :param differences: where they differ, not more than were asked for
    :param count: how many differences there are
    :param new_ids: how many values differ only because a copy has ids of its own: each is an identifier, or refers
        to one, and stands for the same old one throughout
    :param identical: whether they are the same byte for byte
    """

    differences: tuple[Difference, ...] = ()
    count: int = 0
    new_ids: int = 0
    identical: bool = False

    @property
    def same(self) -> bool:
        """Whether nothing differs but ids."""
        return not self.count


def compare(original: bytes, copy: bytes, *, most: int = MOST_TOLD) -> Comparison:
    """Compare two backups of bots in canonical form.

    The order of fields, white space, and how numbers and characters are written do not matter; the order of
    lists does. Both are held in memory.

    :param original: the bytes of one
    :param copy: the bytes of the other
    :param most: how many differences are told one by one
    :return: where they differ; what is no JSON can only be the same byte for byte
    """
    if original == copy:
        return Comparison(identical=True)
    try:
        pairs = list(_differing(_parse(original), _parse(copy), ()))
    except (ValueError, RecursionError):
        return Comparison((Difference("", "changed"),), count=1)
    renamed = _renamed(pairs)
    found: list[Difference] = []
    count = new_ids = 0
    for path, old, new in pairs:
        if _is_scalar(old) and _is_scalar(new) and renamed.get(_key(old)) == _key(new):
            new_ids += 1
            continue
        count += 1
        if len(found) < most:
            what = "added" if old is _MISSING else "removed" if new is _MISSING else "changed"
            found.append(Difference(_pointer(path), what))
    return Comparison(tuple(found), count, new_ids)


def _parse(data: bytes) -> Any:
    return json.loads(data.removeprefix(b"\xef\xbb\xbf"), parse_float=Decimal)


_Path = tuple[str | int, ...]
_Pair = tuple[_Path, Any, Any]


def _differing(old: Any, new: Any, path: _Path) -> Iterator[_Pair]:
    """Yield the places at which two values differ, as deep inside as possible."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            pair = old.get(name, _MISSING), new.get(name, _MISSING)
            yield from _differing(*pair, (*path, name))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _differing_lists(old, new, path)
    elif not _equal(old, new):
        yield path, old, new


def _differing_lists(old: list[Any], new: list[Any], path: _Path) -> Iterator[_Pair]:
    """Compare lists place by place; where one is longer, what stands between their common ends differs."""
    length = min(len(old), len(new))
    first, last = 0, 0
    if len(old) != len(new):
        while first < length and not any(_differing(old[first], new[first], ())):
            first += 1
        while last < length - first and not any(_differing(old[-1 - last], new[-1 - last], ())):
            last += 1
    paired = length - last
    for index in range(first, paired):
        yield from _differing(old[index], new[index], (*path, index))
    for index in range(paired, len(old) - last):
        yield (*path, index), old[index], _MISSING
    for index in range(paired, len(new) - last):
        yield (*path, index), _MISSING, new[index]


def _renamed(pairs: list[_Pair]) -> Mapping[tuple[type, Any], tuple[type, Any]]:
    """Return the new value of each identifier that has the same new one throughout, and shares it with none."""
    named = [
        (_key(old), _key(new))
        for path, old, new in pairs
        if _is_scalar(old) and _is_scalar(new) and type(old) is type(new) and _names_identifier(path)
    ]
    found: dict[Any, Any] = {}
    back: dict[Any, Any] = {}
    torn = set()
    for old, new in named:
        if found.setdefault(old, new) != new or back.setdefault(new, old) != old:
            torn |= {old, back[new]}
    return {old: new for old, new in found.items() if old not in torn}


def _names_identifier(path: _Path) -> bool:
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    return bool(_IDENTIFIER.search(name))


def _is_scalar(value: Any) -> bool:
    return value is not _MISSING and value is not None and not isinstance(value, (dict, list, bool))


def _equal(old: Any, new: Any) -> bool:
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    return bool(old == new)


def _key(value: Any) -> tuple[type, Any]:
    return type(value), value


def _pointer(path: _Path) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
