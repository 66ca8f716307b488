"""The folders of a listing, in an order that no store lists them in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import groupby, islice
from operator import itemgetter
from sys import intern
from typing import TypeAlias

from airflow_provider_xbackup.scratch import Scratch
from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.layout import BackupPath

Folder: TypeAlias = tuple[BackupPath, tuple[str, ...]]
"""A backup's folder, with the names of all it holds."""

_BATCH = 1000
#: Each once in memory, however many folders hold one.
_WELL_KNOWN = {name: name for name in (layout.MANIFEST, layout.HOLD, layout.ACCEPTED, layout.TOMBSTONE)}
_IS_THERE = "SELECT 1 FROM objects WHERE (backup_id, service, account, name) = (?, ?, ?, ?)"


class Order(StrEnum):
    """What comes first."""

    #: The newest backup of all accounts.
    NEWEST_FIRST = "backup_id DESC, service DESC, account DESC"
    #: One account after the other, the newest backup of each.
    BY_ACCOUNT = "service, account, backup_id DESC"


class Folders:
    """The folders of backups in an order, as many as there may be: memory is flat. All threads may use it.

    :param listed: the paths of objects in any order; those that belong to no backup are left out
    :param order: in which order to yield the folders
    :raises ScratchError: when there are very many and no room for them in a temporary file
    """

    def __init__(self, listed: Iterable[str], order: Order = Order.NEWEST_FIRST) -> None:
        self._order = order
        # One row for each object, because a store need not list those of a folder one after the other. They lie in
        # the order in which they are asked for, so that nothing has to be sorted.
        self._objects = Scratch(
            "CREATE TABLE objects (backup_id TEXT, service TEXT, account TEXT, name TEXT, "
            f"PRIMARY KEY ({order}, name)) WITHOUT ROWID"
        )
        rows = (
            (path.backup_id, path.service, path.account, name)
            for path, name in filter(None, map(BackupPath.of, listed))
        )
        while batch := list(islice(rows, _BATCH)):
            self._objects.write("INSERT OR IGNORE INTO objects VALUES (?, ?, ?, ?)", batch)

    def __iter__(self) -> Iterator[Folder]:
        """Yield the folders that hold a manifest."""
        rows = self._objects.ask(
            f"SELECT service, account, backup_id, name FROM objects ORDER BY {self._order}"  # noqa: S608 - ours
        )
        for (service, account, backup_id), objects in groupby(rows, itemgetter(0, 1, 2)):
            names = tuple(_WELL_KNOWN.get(name, name) for *_, name in objects)
            if layout.MANIFEST in names:
                # A vault has few accounts and very many backups.
                yield BackupPath(intern(service), intern(account), backup_id), names

    def __contains__(self, path: BackupPath) -> bool:
        """Tell whether the folder of a backup holds a manifest."""
        return any(self._objects.ask(_IS_THERE, (path.backup_id, path.service, path.account, layout.MANIFEST)))

    def half_removed(self) -> tuple[BackupPath, ...]:
        """Return the folders whose removal had begun: a tombstone is left in them, and no manifest."""
        marked = self._objects.ask(
            "SELECT service, account, backup_id FROM objects WHERE name = ?", (layout.TOMBSTONE,)
        )
        return tuple(path for path in (BackupPath(*row) for row in marked) if path not in self)
