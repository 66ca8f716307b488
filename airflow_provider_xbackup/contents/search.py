"""Finding a text in the values of an entity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

_BEFORE, _AFTER = 30, 50


class Match(NamedTuple):
    """Where a text was found.

    :param path: the place in the entity, for example ``steps/0/action``
    :param excerpt: what stands around it there
    """

    path: str
    excerpt: str


def matches(value: Any, wanted: str) -> Iterator[Match]:
    """Find a text in the values of an entity, at any depth; the names of fields are no values.

    :param value: the entity
    :param wanted: the text; upper and lower case are the same
    """
    wanted = wanted.casefold()
    stack: list[tuple[str, Any]] = [("", value)]
    while stack:
        path, each = stack.pop()
        if isinstance(each, dict):
            stack += [(f"{path}/{name}", inner) for name, inner in reversed(each.items())]
        elif isinstance(each, list):
            stack += [(f"{path}/{index}", each[index]) for index in reversed(range(len(each)))]
        elif each is not None and not isinstance(each, bool):
            text = str(each)
            at = text.casefold().find(wanted)
            if at >= 0:
                yield Match(path.lstrip("/"), _excerpt(text, at, len(wanted)))


def _excerpt(text: str, at: int, length: int) -> str:
    begin, end = max(0, at - _BEFORE), at + min(length, _AFTER) + _AFTER
    around = " ".join(text[begin:end].split())
    return ("…" if begin else "") + around + ("…" if end < len(text) else "")
