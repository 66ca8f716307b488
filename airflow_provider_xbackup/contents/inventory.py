"""Everything that can be told of the zips of one backup, read entry by entry as they pass."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Self

from airflow_provider_xbackup.contents.entities import EntityCounter, EntityFile, cut_digits, entity_file
from airflow_provider_xbackup.contents.references import (
    ReferenceLedger,
    ReferenceReader,
    References,
    is_attachment_list,
    names_of_blob,
)
from airflow_provider_xbackup.contents.zipwalk import EntryReader

#: How many damaged files are named; a backup with more is damaged enough.
_MOST_PROBLEMS = 50


class Inventory:
    """Takes stock of a backup: counts, references, files that are no JSON. To be closed.

    Its two ``open`` methods are for :class:`~.zipcheck.ZipInspector`, one for each zip of a backup.
    """

    def __init__(self) -> None:
        self._undo = ExitStack()
        self._ledger = self._undo.enter_context(ReferenceLedger())
        self._counts: dict[str, int] = {}
        #: Entries that are no JSON though they should be, each with the reason; not all of very many.
        self.problems: list[tuple[str, str]] = []
        self._unread: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    @property
    def counts(self) -> dict[str, int]:
        """Entities by type."""
        return dict(sorted(self._counts.items()))

    @property
    def unread(self) -> frozenset[str]:
        """The types that are not counted whole, because a file of theirs is no JSON."""
        return frozenset(self._unread)

    def references(self) -> tuple[References, ...]:
        """What became of the references, once all zips have passed."""
        return self._ledger.results()

    def open_data(self, name: str) -> EntryReader | None:
        """Open an entry of the data zip: every JSON file is read."""
        if not name.lower().endswith(".json"):
            return None
        return _JsonEntry(self, name, entity_file(name))

    def open_attachment(self, name: str) -> EntryReader | None:
        """Open an entry of the attachments zip: the vendor's lists of them are read, the users' files are not."""
        if is_attachment_list(name):
            return _JsonEntry(self, name, None)
        for each in names_of_blob(name):
            self._ledger.know("attachment", cut_digits(each), name)
        return None

    def listener(self, name: str, file: EntityFile | None) -> ReferenceReader | None:
        """Return who looks for references in an entry; None where none can be."""
        return ReferenceReader(self._ledger, name, file) if file and ReferenceReader.reads(file) else None

    def add(self, file: EntityFile | None, count: int) -> None:
        """Add what an entry holds."""
        if file is not None:
            self._counts[file.entity] = self._counts.get(file.entity, 0) + count

    def complain(self, name: str, file: EntityFile | None, reason: str) -> None:
        """Note that an entry is no JSON."""
        if file is not None:
            self._unread.add(file.entity)
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append((name, reason))


class _JsonEntry:
    """A JSON file while it passes; one that is no entity file is only parsed."""

    def __init__(self, inventory: Inventory, name: str, file: EntityFile | None) -> None:
        self._inventory = inventory
        self._name = name
        self._file = file
        self._counter = EntityCounter(file or EntityFile("", ""), inventory.listener(name, file))

    def feed(self, data: bytes | memoryview) -> None:
        self._counter.feed(data)

    def finish(self) -> None:
        try:
            count = self._counter.finish()
        except ValueError as error:
            self._inventory.complain(self._name, self._file, str(error))
        else:
            self._inventory.add(self._file, count)
