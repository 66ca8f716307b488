"""Checks a zip while it streams by: once, without seeking, without a disk, in flat memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from airflow_provider_xbackup.contents.entities import EntityTally, entity_file
from airflow_provider_xbackup.contents.errors import DamagedZipError
from airflow_provider_xbackup.contents.zipstructure import StructureCheck
from airflow_provider_xbackup.contents.zipwalk import MAX_RATIO, ContentWalk, EntryReader, skip_entry


@dataclass(frozen=True, slots=True)
class ZipReport:
    """What a whole zip holds.

    :param entries: number of entries, folders included
    :param entities: number of entities by type, for example ``{"tests": 120}``; None where the content
        was not read
    :param projects: the Jira project ids in the names of the entity files
    :param unread: the types that are not counted, because a file of theirs is whole and cannot be read as JSON
    """

    entries: int
    entities: dict[str, int] | None
    projects: frozenset[str]
    unread: frozenset[str] = frozenset()


class _Check(Protocol):
    def feed(self, block: bytes | memoryview) -> None: ...

    def finish(self) -> None: ...


class ZipInspector:
    """Takes the bytes of a zip in blocks of any size and says at the end what it holds.

    ``content=True`` walks the entries as they come: inflates them, checks every CRC and size, counts
    the entities in the JSON files, and compares the central directory with what was read. Such a zip
    must be plain: it begins with its first entry, nothing lies between, and nothing after the end.
    ``content=False`` keeps the end of the file only (32 MiB at most) and checks the structure: end
    records, a well-formed central directory, entries that lie inside the file and do not overlap.

    :param content: read the content, or the structure only
    :param entities: look for entity files; False for an attachments zip, whose names are not ours to read
    :param open_entry: called with the name of every entry that is walked; gives who reads it instead of
        counting its entities, or None
    :param max_ratio: how far an entry may inflate beyond its first 100 MiB; the default lets through
        whatever deflate can honestly do (1,032 : 1), because memory stays flat in any case
    """

    def __init__(
        self,
        *,
        content: bool,
        entities: bool = True,
        open_entry: Callable[[str], EntryReader | None] | None = None,
        max_ratio: float = MAX_RATIO,
    ) -> None:
        self._names = 0
        self._projects: set[str] = set()
        self._entities = entities
        self._tally = EntityTally() if content else None
        self._check: _Check = StructureCheck(self._see)
        if self._tally is not None:
            opener = open_entry or (self._tally.open if entities else skip_entry)
            self._check = ContentWalk(self._see, open_entry=opener, max_ratio=max_ratio)
        self._failure: DamagedZipError | None = None

    def feed(self, block: bytes | memoryview) -> None:
        """Take the next bytes. The block may be reused once this returns.

        :raises DamagedZipError: as soon as damage is certain, and again on every later call
        """
        self._refuse_again()
        try:
            self._check.feed(block)
        except DamagedZipError as error:
            self._failure = error
            raise

    def finish(self) -> ZipReport:
        """Say what the zip holds, after the last block.

        :raises DamagedZipError: if it is not whole
        """
        self._refuse_again()
        try:
            self._check.finish()
        except DamagedZipError as error:
            self._failure = error
            raise
        return ZipReport(
            entries=self._names,
            entities=None if self._tally is None else self._tally.counts,
            projects=frozenset(self._projects),
            unread=frozenset(self._tally.unread if self._tally else ()),
        )

    def _refuse_again(self) -> None:
        if self._failure is not None:
            raise DamagedZipError(str(self._failure), self._failure.code)

    def _see(self, name: str) -> None:
        """Note the name of an entry of the central directory."""
        self._names += 1
        if self._entities and (file := entity_file(name)) is not None:
            self._projects.add(file.project)
