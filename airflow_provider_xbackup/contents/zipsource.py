"""Zips of which some entries are read: as a stream, or only where these lie."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Protocol

from airflow_provider_xbackup.contents import zipformat as zf
from airflow_provider_xbackup.contents.errors import DamagedZipError
from airflow_provider_xbackup.contents.zipstructure import read_directory
from airflow_provider_xbackup.contents.zipwalk import ContentWalk, EntryReader

#: What is walked through at once before what was found is taken: deflate makes 16 MiB of it at most.
_PIECE = 16 * 1024
#: Reading on over so many bytes costs less than another request.
_GAP = 1024 * 1024
_TAIL = 1024 * 1024
#: A directory of 600,000 entries fits.
_LONGEST_DIRECTORY = 64 * 1024 * 1024


class ZipSource(Protocol):
    """A zip of which some entries are read."""

    def read(self, want: Callable[[str], bool], open_entry: Callable[[str], EntryReader]) -> Iterator[None]:
        """Read entries, in the order in which they lie.

        :param want: tells by its name whether an entry is read
        :param open_entry: gives who reads it
        :return: yields now and then, so that what was read can be taken
        :raises DamagedZipError: when what was read is damaged, or the zip is
        """


class StreamedZip:
    """A zip that can only be read from its first byte to its last. All of it is checked on the way.

    :param blocks: begins to read it
    """

    def __init__(self, blocks: Callable[[], Iterator[bytes]]) -> None:
        self._blocks = blocks

    def read(self, want: Callable[[str], bool], open_entry: Callable[[str], EntryReader]) -> Iterator[None]:
        """Read entries; see :class:`ZipSource`."""
        walk = ContentWalk(_ignore, open_entry=lambda name: open_entry(name) if want(name) else None)
        yield from _feed(walk, self._blocks())
        walk.finish()


class RangedZip:
    """A zip that can be read anywhere: its directory first, then only what is wanted of it.

    Names, sizes and CRCs of what is read are checked, the others' are not.

    :param size: its length
    :param read: reads from one offset to another
    """

    def __init__(self, size: int, read: Callable[[int, int], Iterator[bytes]]) -> None:
        self._size = size
        self._read = read

    def names(self) -> Iterator[str]:
        """Yield the names of all entries.

        :raises DamagedZipError: when the directory is damaged
        """
        names: list[str] = []
        read_directory(_Tail(self._size, self._read), lambda entry: names.append(entry.name))
        return iter(names)

    def read(self, want: Callable[[str], bool], open_entry: Callable[[str], EntryReader]) -> Iterator[None]:
        """Read entries; see :class:`ZipSource`."""
        begins, wanted = array("Q"), dict[int, str]()

        def see(entry: zf.Entry) -> None:
            begins.append(entry.offset)
            if want(entry.name):
                wanted[entry.offset] = entry.name

        end = read_directory(_Tail(self._size, self._read), see)
        begins = array("Q", sorted(begins))
        begins.append(end.offset)
        for begin, behind in _spans(sorted(wanted), begins):
            names = {wanted[at] for at in wanted if begin <= at < behind}
            read = _Counted(names, open_entry)
            walk = ContentWalk(_ignore, open_entry=read)
            # The signature of what follows proves where the last one ends.
            yield from _feed(walk, self._read(begin, behind + len(zf.LOCAL)))
            read.finish()


class _Counted:
    """Opens the entries that the directory places in a span, and makes sure that they lie there."""

    def __init__(self, names: set[str], open_entry: Callable[[str], EntryReader]) -> None:
        self._names = names
        self._open = open_entry

    def __call__(self, name: str) -> EntryReader | None:
        if name not in self._names:
            return None
        return _Noted(self._open(name), lambda: self._names.discard(name))

    def finish(self) -> None:
        if self._names:
            raise DamagedZipError(
                f"The central directory lists {zf.shown(min(self._names))}, which does not lie where it says.",
                "central-directory",
            )


class _Noted:
    def __init__(self, reader: EntryReader, note: Callable[[], None]) -> None:
        self._reader = reader
        self._note = note
        self.feed = reader.feed

    def finish(self) -> None:
        self._reader.finish()
        self._note()


class _Tail:
    """The end of a zip, read where it is looked at; the last of it once."""

    def __init__(self, size: int, read: Callable[[int, int], Iterator[bytes]]) -> None:
        self._read = read
        self._last = b"".join(read(max(0, size - _TAIL), size))
        self.end = size
        self.begin = max(0, size - _LONGEST_DIRECTORY)

    def read(self, begin: int, end: int) -> bytes:
        first = self.end - len(self._last)
        return self._last[begin - first : end - first] if begin >= first else b"".join(self._read(begin, end))


def _spans(wanted: list[int], begins: array[int]) -> Iterator[tuple[int, int]]:
    """Put entries that lie near each other together: where they begin, and where the last of them ends."""
    begin = behind = None
    for at in wanted:
        if begin is None or behind is None:
            begin = at
        elif at - behind > _GAP:
            yield begin, behind
            begin = at
        behind = begins[bisect_right(begins, at)]
    if begin is not None and behind is not None:
        yield begin, behind


def _feed(walk: ContentWalk, blocks: Iterator[bytes]) -> Iterator[None]:
    for block in blocks:
        view = memoryview(block)
        for start in range(0, len(view), _PIECE):
            walk.feed(view[start : start + _PIECE])
            yield


def _ignore(name: str) -> None:
    """Take the name of an entry of the central directory."""
