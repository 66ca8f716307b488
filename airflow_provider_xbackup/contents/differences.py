"""What was added, removed and changed between the entities of two backups."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, Self

from airflow_provider_xbackup.contents.elements import Element
from airflow_provider_xbackup.scratch import Scratch

Side = Literal["old", "new"]

_BATCH = 1000
#: MiB: ids come in no order, so a cache that is too small for them is of no use.
_MEMORY = 32
_WHAT = "CASE WHEN old IS NULL THEN 'added' WHEN new IS NULL THEN 'removed' ELSE 'changed' END"


class Change(NamedTuple):
    """An entity that is not the same in both backups.

    :param what: ``added``, ``removed`` or ``changed``
    :param kind: what it is
    :param project: its project
    :param id: its id; None where it has none, so that it can only be added and removed
    """

    what: str
    kind: str
    project: str
    id: str | None


class Counts(NamedTuple):
    """How many entities of a kind became what."""

    added: int
    removed: int
    changed: int
    same: int


class Differences:
    """Compares the entities of two backups: by kind, project and id, and a digest of their content.

    The order of fields, white space, and how numbers and characters are written do not matter. Memory is flat;
    ids and digests lie in a temporary file that nobody else can open; where there is no room for it, all of this
    raises :class:`~airflow_provider_xbackup.errors.ScratchError`. To be closed.
    """

    def __init__(self) -> None:
        self._entities = Scratch(
            "CREATE TABLE entities (kind TEXT, project TEXT, id TEXT, nameless INT, old BLOB, new BLOB, "
            "PRIMARY KEY (kind, project, id, nameless)) WITHOUT ROWID",
            memory=_MEMORY,
        )
        self._entities.define("joined", 2, lambda a, b: a if b is None else b if a is None else _hash(a + b))
        self._waiting: dict[Side, list[tuple[str, str, str, int, bytes]]] = {"old": [], "new": []}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._entities.close()

    def add(self, side: Side, element: Element) -> None:
        """Note an entity of one of the two backups."""
        digest = digest_of(element.value)
        name = digest.hex() if element.id is None else element.id
        waiting = self._waiting[side]
        waiting.append((_safe(element.kind), element.project, _safe(name), int(element.id is None), digest))
        if len(waiting) >= _BATCH:
            self._flush(side)

    def counts(self) -> dict[str, Counts]:
        """Count what became of the entities, by kind."""
        self._flush("old")
        self._flush("new")
        rows = self._entities.ask(
            "SELECT kind, sum(old IS NULL), sum(new IS NULL), sum(old <> new), sum(old = new) "
            "FROM entities GROUP BY kind ORDER BY kind"
        )
        return {kind: Counts(*(number or 0 for number in numbers)) for kind, *numbers in rows}

    def changes(self, kind: str | None = None, most: int = -1) -> Iterator[Change]:
        """Yield the entities that are not the same, by kind, project and id.

        :param kind: only this kind
        :param most: so many of them; below 0 all
        """
        self._flush("old")
        self._flush("new")
        rows = self._entities.ask(
            f"SELECT {_WHAT}, kind, project, CASE nameless WHEN 0 THEN id END FROM entities "  # noqa: S608 - a constant
            "WHERE old IS NOT new AND ? IN (kind, '') ORDER BY kind, project, id LIMIT ?",
            (kind or "", most),
        )
        return (Change(*row) for row in rows)

    def _flush(self, side: Side) -> None:
        waiting = self._waiting[side]
        if not waiting:
            return
        self._entities.write(
            f"INSERT INTO entities (kind, project, id, nameless, {side}) VALUES (?, ?, ?, ?, ?) "  # noqa: S608 - old or new
            f"ON CONFLICT DO UPDATE SET {side} = joined({side}, excluded.{side})",
            waiting,
        )
        waiting.clear()


def digest_of(value: Any) -> bytes:
    """Return 16 bytes that are the same for the same content, in whatever order its fields are written."""
    return _hash(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _safe(text: str) -> str:
    """Return text that a database takes: JSON can hold halves of characters."""
    return text.encode("utf-8", "replace").decode()
