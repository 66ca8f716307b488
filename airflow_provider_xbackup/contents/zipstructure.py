"""Checks the structure of a zip from its end alone, at the price of looking at nothing else."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from typing import Protocol

from airflow_provider_xbackup.contents import zipformat as zf
from airflow_provider_xbackup.contents.errors import DamagedZipError

#: How much of the end of the file is kept. A directory of 300,000 entries fits.
WINDOW = 32 * 1024 * 1024
#: Blocks below this are put together, so that blocks of one byte do not cost a list entry each.
_SMALL = 256 * 1024
_LONGEST_COMMENT = 0xFFFF


class Tail(Protocol):
    """The end of a zip, as much of it as can be read."""

    @property
    def begin(self) -> int:
        """Where in the zip it begins."""

    @property
    def end(self) -> int:
        """Where it ends: the length of the zip."""

    def read(self, begin: int, end: int) -> bytes:
        """Give the bytes from one offset in the zip to another; both lie within."""


class StructureCheck:
    """Keeps the end of the file and reads the central directory from it.

    :param see: called with every name of the central directory
    """

    def __init__(self, see: Callable[[str], None]) -> None:
        self._see = see
        self._tail = _Tail()
        self._head = b""

    def feed(self, block: bytes | memoryview) -> None:
        """Take the next bytes of the zip.

        :raises DamagedZipError: if it does not begin like a zip
        """
        if len(self._head) < 4:
            self._head += bytes(block[: 4 - len(self._head)])
            if not any(start.startswith(self._head) for start in (zf.LOCAL, zf.END, zf.END64)):
                raise DamagedZipError(f"This is not a zip: it begins with {self._head!r}.", "not-a-zip")
        self._tail.feed(block)

    def finish(self) -> None:
        """Read the end records and the central directory.

        :raises DamagedZipError: if the structure is not whole
        """
        read_directory(self._tail, lambda entry: self._see(entry.name))


def read_directory(tail: Tail, see: Callable[[zf.Entry], None]) -> zf.End:
    """Read the end records and the central directory of a zip.

    :param tail: its end, at least the last 64 KiB
    :param see: called with every record of the central directory
    :return: where the directory lies
    :raises DamagedZipError: if the structure is not whole
    """
    at, fixed = _find_end(tail)
    end64, after = None, at
    if at >= tail.begin + 4 + zf.LOCATOR64_SIZE:
        locator = tail.read(at - 4 - zf.LOCATOR64_SIZE, at)
        if locator[:4] == zf.LOCATOR64:
            after = zf.read_locator(locator[4:])
            end64 = _read_end64(tail, after, at - len(locator))
    end = zf.read_end(fixed, end64)
    if end.offset + end.size != after:
        raise DamagedZipError(
            f"The central directory should end at byte {end.offset + end.size}, where the end record "
            f"should begin; that is at {after}.",
            "central-directory",
        )
    if end.offset < tail.begin:
        raise DamagedZipError(
            f"The central directory has {end.size} bytes, more than the "
            f"{(tail.end - tail.begin) >> 20} MiB of the zip's end that are looked at. Use check='content'.",
            "directory-too-large",
        )
    _read_records(tail, end, see)
    return end


def _find_end(tail: Tail) -> tuple[int, bytes]:
    size = 4 + zf.END_SIZE
    start = max(tail.begin, tail.end - size - _LONGEST_COMMENT)
    data = tail.read(start, tail.end)
    found = [
        at
        for at in _find_all(data, zf.END)
        if at + size + zf.end_comment_length(data[at + 4 : at + size]) == len(data)
    ]
    if len(found) > 1:
        raise DamagedZipError("The zip ends in two end records, one in the comment.", "ambiguous-end")
    if found:
        return start + found[0], data[found[0] + 4 : found[0] + size]
    last = data.rfind(zf.END)
    if 0 <= last <= len(data) - size:
        end = last + size + zf.end_comment_length(data[last + 4 : last + size])
        if end < len(data):
            raise DamagedZipError(f"Something follows the end of the zip at byte {start + end}.", "trailing-data")
    raise DamagedZipError(
        f"The zip has no end record: it is cut off, after {tail.end} bytes, or never was a zip.",
        "truncated",
    )


def _read_end64(tail: Tail, begin: int, end: int) -> bytes:
    size = 4 + zf.END64_SIZE
    if tail.begin <= begin <= end - size:
        data = tail.read(begin, begin + size)
        if data[:4] == zf.END64 and begin + size + zf.end64_length(data[4:]) == end:
            return data[4:]
    raise DamagedZipError("The zip64 end record and its locator disagree.", "central-directory")


def _read_records(tail: Tail, end: zf.End, see: Callable[[zf.Entry], None]) -> None:
    data = tail.read(end.offset, end.offset + end.size)
    names: set[int] = set()
    begins, ends = array("Q"), array("Q")
    at = 0
    while data[at : at + 4] == zf.CENTRAL:
        fixed = data[at + 4 : at + 4 + zf.CENTRAL_SIZE]
        at += 4 + zf.CENTRAL_SIZE
        lengths = zf.central_lengths(fixed) if len(fixed) == zf.CENTRAL_SIZE else (len(data), 0, 0)
        if at + sum(lengths) > len(data):
            raise DamagedZipError("The last record of the central directory is cut off.", "central-directory")
        name_end = at + lengths[0]
        entry = zf.read_central(fixed, data[at:name_end], data[name_end : name_end + lengths[1]])
        at += sum(lengths)
        key = hash(entry.raw_name)
        if key in names:
            raise DamagedZipError(f"The zip holds {zf.shown(entry.name)} twice.", "duplicate-name")
        names.add(key)
        # The extra fields of the local header may have any length, so this is the least it takes.
        least = 4 + zf.LOCAL_SIZE + len(entry.raw_name) + entry.packed
        if entry.offset + least > end.offset:
            raise DamagedZipError(
                f"Entry {zf.shown(entry.name)} would reach from byte {entry.offset} into the "
                f"central directory, which begins at {end.offset}.",
                "entry-outside",
            )
        begins.append(entry.offset)
        ends.append(entry.offset + least)
        see(entry)
    if data[at : at + 4] == zf.SIGNATURE:
        at += 6 + int.from_bytes(data[at + 4 : at + 6], "little")
    if at != len(data) or len(begins) != end.entries:
        raise DamagedZipError(
            f"The central directory should hold {end.entries} entries in {len(data)} bytes; "
            f"it has {len(begins)} in {at}.",
            "central-directory",
        )
    _refuse_overlap(begins, ends)


def _refuse_overlap(begins: array[int], ends: array[int]) -> None:
    reached = 0
    for index in sorted(range(len(begins)), key=begins.__getitem__):
        if begins[index] < reached:
            raise DamagedZipError(
                f"Two entries of the zip share the bytes from {begins[index]} to {reached}.", "overlap"
            )
        reached = ends[index]


class _Tail:
    """The last bytes of a stream, without a copy where the blocks are bytes of some size."""

    def __init__(self) -> None:
        self.end = 0
        self._blocks: deque[bytes] = deque()
        self._kept = 0
        self._small = bytearray()

    @property
    def begin(self) -> int:
        """Where in the stream the kept bytes begin."""
        return self.end - self._kept - len(self._small)

    def feed(self, block: bytes | memoryview) -> None:
        """Take the next bytes."""
        size = block.nbytes if isinstance(block, memoryview) else len(block)
        self.end += size
        if size < _SMALL:
            self._small += block
            if len(self._small) < _SMALL:
                return
            block, self._small = bytes(self._small), bytearray()
        elif self._small:
            self._keep(bytes(self._small))
            self._small = bytearray()
        self._keep(block if type(block) is bytes else bytes(block))

    def _keep(self, block: bytes) -> None:
        self._blocks.append(block)
        self._kept += len(block)
        while self._kept - len(self._blocks[0]) >= WINDOW:
            self._kept -= len(self._blocks.popleft())

    def read(self, begin: int, end: int) -> bytes:
        """Give the bytes from one offset in the stream to another; both must still be there."""
        parts = []
        at = self.begin
        for block in (*self._blocks, bytes(self._small)):
            if at < end and at + len(block) > begin:
                parts.append(block[max(0, begin - at) : end - at])
            at += len(block)
        return b"".join(parts)


def _find_all(data: bytes, what: bytes) -> list[int]:
    """Find every place of an end record that is whole in the data."""
    found = []
    at = data.find(what)
    while 0 <= at <= len(data) - 4 - zf.END_SIZE:
        found.append(at)
        at = data.find(what, at + 1)
    return found
