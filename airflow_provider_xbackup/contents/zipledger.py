"""Remembers what was read of a zip until its central directory confirms it."""

from __future__ import annotations

from array import array
from bisect import bisect_left

from airflow_provider_xbackup.contents import zipformat as zf
from airflow_provider_xbackup.contents.errors import DamagedZipError


class EntryLedger:
    """What was read of every entry, in 40 bytes each, until the central directory confirms it."""

    def __init__(self) -> None:
        self._offsets = array("Q")
        self._packed = array("Q")
        self._sizes = array("Q")
        self._crcs = array("I")
        self._names = array("q")
        self._methods = bytearray()
        self._confirmed = bytearray()
        self._next = 0

    @property
    def entries(self) -> int:
        """How many entries were read."""
        return len(self._offsets)

    def add(self, offset: int, entry: zf.Entry, crc: int, packed: int, size: int) -> None:
        """Note an entry that was read."""
        self._offsets.append(offset)
        self._packed.append(packed)
        self._sizes.append(size)
        self._crcs.append(crc)
        self._names.append(hash(entry.raw_name))
        self._methods.append(entry.method)
        self._confirmed.append(0)

    def compare(self, entry: zf.Entry) -> None:
        """Compare a record of the central directory with the entry that it points to.

        :raises DamagedZipError: if there is none, or it is another one
        """
        at = self._next
        if not (at < len(self._offsets) and self._offsets[at] == entry.offset):
            at = bisect_left(self._offsets, entry.offset)
        if at == len(self._offsets) or self._offsets[at] != entry.offset:
            raise DamagedZipError(
                f"The central directory places {zf.shown(entry.name)} at byte {entry.offset}, where no "
                "entry begins.",
                "entry-outside",
            )
        read = (self._names[at], self._methods[at], self._crcs[at], self._packed[at], self._sizes[at])
        if self._confirmed[at] or read != (
            hash(entry.raw_name),
            entry.method,
            entry.crc,
            entry.packed,
            entry.size,
        ):
            raise DamagedZipError(
                f"The central directory describes {zf.shown(entry.name)} at byte {entry.offset} otherwise "
                "than the entry that lies there.",
                "central-directory",
            )
        self._confirmed[at] = 1
        self._next = at + 1

    def finish(self) -> None:
        """Make sure that no entry is left.

        :raises DamagedZipError: if the central directory does not know one
        """
        missing = self._confirmed.count(0)
        if missing:
            raise DamagedZipError(
                f"The central directory does not list {missing} of {self.entries} entries, the first at byte "
                f"{self._offsets[self._confirmed.index(0)]}.",
                "central-directory",
            )
