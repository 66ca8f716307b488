"""Walks a zip from its first byte to its last and checks everything that passes."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Protocol

from airflow_provider_xbackup.contents import zipformat as zf
from airflow_provider_xbackup.contents.blocks import BlockReader, Step
from airflow_provider_xbackup.contents.errors import DamagedZipError
from airflow_provider_xbackup.contents.zipledger import EntryLedger

#: Deflate cannot honestly do more than 1,032 : 1.
MAX_RATIO = 1_100
#: Inflating less than this is no bomb, whatever the ratio.
RATIO_FREE = 100 * 1024 * 1024
#: Each entry costs about 200 bytes of memory until the central directory has been compared.
MAX_ENTRIES = 2_000_000

_INFLATED = 256 * 1024
_DEFLATED_FIRST = 4 * 1024
_DEFLATED_MOST = 64 * 1024
_SEARCHED = 256 * 1024
_FOLLOWS = (zf.LOCAL, zf.CENTRAL)
_FOLLOWING = re.compile(b"PK(?:\x03\x04|\x01\x02)")
#: The longest descriptor, and the signature behind it but for its last byte.
_HELD = 24 + 3


class EntryReader(Protocol):
    """Takes the plain bytes of one entry."""

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes, which may be reused once this returns."""

    def finish(self) -> None:
        """Learn that the entry is whole: its CRC and its sizes are right. Not called for one that is not."""


def skip_entry(name: str) -> EntryReader | None:  # noqa: ARG001 - what takes a name
    """Open no entry: their CRCs and sizes are checked all the same."""
    return None


class ContentWalk:
    """The walk, as one coroutine that is sent the blocks.

    A stored entry whose sizes follow it (flag bit 3) cannot be delimited by its header. Some writers
    make such entries, so its end is searched: the first place where a descriptor with just these sizes
    and this CRC stands before the signature of the next record. Data that contain such a place by
    malice only lead to an error, because the central directory must agree with every entry.

    :param see: called with every name of the central directory
    :param open_entry: called with the name of every entry; gives who reads it, or None
    :param max_ratio: how far an entry may inflate beyond :data:`RATIO_FREE`
    """

    def __init__(
        self,
        see: Callable[[str], None],
        *,
        open_entry: Callable[[str], EntryReader | None] = skip_entry,
        max_ratio: float = MAX_RATIO,
    ) -> None:
        self._see = see
        self._open_entry = open_entry
        self._max_ratio = max_ratio
        self._blocks = BlockReader()
        self._place = "before the first entry"
        self._ended = False
        self._names: set[int] = set()
        self._ledger = EntryLedger()
        self._walk = self._run()
        next(self._walk)

    def feed(self, block: bytes | memoryview) -> None:
        """Take the next bytes of the zip.

        :raises DamagedZipError: as soon as damage is certain
        """
        view = memoryview(block)
        if view.nbytes:
            self._walk.send(view if view.format == "B" and view.ndim == 1 else view.cast("B"))

    def finish(self) -> None:
        """End the walk.

        :raises DamagedZipError: if more should have come
        """
        if not self._ended:
            at = self._blocks.offset
            raise DamagedZipError(f"The zip is cut off {self._place}, after {at} bytes.", "truncated")

    def _run(self) -> Step[None]:
        signature = yield from self._blocks.take(4)
        if signature not in (zf.LOCAL, zf.END, zf.END64):
            raise DamagedZipError(f"This is not a zip: it begins with {signature!r}.", "not-a-zip")
        while signature == zf.LOCAL:
            signature = yield from self._entry()
            if signature not in _FOLLOWS:
                if signature == zf.ARCHIVE_EXTRA:
                    raise DamagedZipError("The central directory of the zip is encrypted.", "encrypted")
                raise DamagedZipError(
                    f"Neither an entry nor the central directory follows {self._place[3:]}, "
                    f"at byte {self._blocks.offset - 4}.",
                    "local-header",
                )
        yield from self._directory(signature)
        self._ended = True
        yield from self._blocks.some(1)
        raise DamagedZipError(
            f"Something follows the end of the zip at byte {self._blocks.offset - 1}.", "trailing-data"
        )

    def _entry(self) -> Step[bytes]:
        """Read one entry and give the signature that follows it."""
        at = self._blocks.offset - 4
        self._place = "in a local header"
        fixed = yield from self._blocks.take(zf.LOCAL_SIZE)
        name_length, extra_length = zf.local_lengths(fixed)
        raw_name = yield from self._blocks.take(name_length)
        extra = yield from self._blocks.take(extra_length)
        entry = zf.read_local(fixed, raw_name, extra)
        self._place = f"in entry {zf.shown(entry.name)}"
        self._refuse_again(entry)
        reader = self._open_entry(entry.name)

        signature = None
        if entry.method == zf.DEFLATED:
            crc, packed, size = yield from self._inflate(entry, reader)
        elif entry.streamed and not entry.packed == entry.size > 0:
            crc, size, signature = yield from self._search_end(reader)
            packed = size
        else:
            crc, size = yield from self._pass_stored(entry, reader)
            packed = size
        if signature is None and entry.streamed:
            signature = yield from self._descriptor(entry, crc, packed, size)
        elif not entry.streamed:
            self._compare(entry, crc, packed, size)
        if reader:
            reader.finish()
        self._ledger.add(at, entry, crc, packed, size)
        return signature if signature is not None else (yield from self._blocks.take(4))

    def _refuse_again(self, entry: zf.Entry) -> None:
        if entry.method not in (zf.STORED, zf.DEFLATED):
            raise DamagedZipError(
                f"Entry {zf.shown(entry.name)} is compressed with method {entry.method}; only stored and "
                "deflated entries can be checked. Use check='structure' to store it unread.",
                "unsupported-method",
            )
        key = hash(entry.raw_name)
        if key in self._names:
            raise DamagedZipError(f"The zip holds {zf.shown(entry.name)} twice.", "duplicate-name")
        self._names.add(key)
        if len(self._names) > MAX_ENTRIES:
            raise DamagedZipError(
                f"The zip holds more than {MAX_ENTRIES:,} entries. Back up fewer projects in one job.",
                "too-many-entries",
            )

    def _pass_stored(self, entry: zf.Entry, reader: EntryReader | None) -> Step[tuple[int, int]]:
        if entry.packed != entry.size:
            raise DamagedZipError(
                f"Entry {zf.shown(entry.name)} is stored, yet {entry.packed} bytes should become {entry.size}.",
                "size",
            )
        crc, left = 0, entry.size
        while left:
            piece = yield from self._blocks.some(left)
            left -= len(piece)
            crc = zlib.crc32(piece, crc)
            if reader:
                reader.feed(piece)
        return crc, entry.size

    def _inflate(self, entry: zf.Entry, reader: EntryReader | None) -> Step[tuple[int, int, int]]:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        crc = packed = size = 0
        most = _DEFLATED_FIRST  # small first: what lies behind the end of the data is copied back
        while not inflater.eof:
            if not entry.streamed:
                most = min(most, entry.packed - packed)
                if most == 0:
                    raise DamagedZipError(
                        f"The data of entry {zf.shown(entry.name)} end before they are complete.", "deflate"
                    )
            piece = yield from self._blocks.some(most)
            packed += len(piece)
            most = min(2 * most, _DEFLATED_MOST)
            rest: bytes | memoryview = piece
            while True:
                try:
                    plain = inflater.decompress(rest, _INFLATED)
                except zlib.error as error:
                    raise DamagedZipError(
                        f"The data of entry {zf.shown(entry.name)} cannot be inflated ({error}).", "deflate"
                    ) from None
                rest = inflater.unconsumed_tail
                crc = zlib.crc32(plain, crc)
                size += len(plain)
                self._refuse_bomb(entry, packed - len(rest), size)
                if reader:
                    reader.feed(plain)
                if inflater.eof or (not rest and len(plain) < _INFLATED):
                    break
        self._blocks.give_back(len(inflater.unused_data))
        return crc, packed - len(inflater.unused_data), size

    def _refuse_bomb(self, entry: zf.Entry, packed: int, size: int) -> None:
        if size > entry.size and not entry.streamed:
            raise DamagedZipError(
                f"Entry {zf.shown(entry.name)} inflates to more than the {entry.size} bytes it declares.",
                "size",
            )
        if size > RATIO_FREE and size > packed * self._max_ratio:
            raise DamagedZipError(
                f"Entry {zf.shown(entry.name)} inflates to more than {self._max_ratio:g} times its size.",
                "bomb",
            )

    def _compare(self, entry: zf.Entry, crc: int, packed: int, size: int) -> None:
        """Compare what was read with what the local header had said."""
        if (packed, size) != (entry.packed, entry.size):
            raise DamagedZipError(
                f"Entry {zf.shown(entry.name)} should have {entry.packed} bytes that become {entry.size}; "
                f"it has {packed} that become {size}.",
                "size",
            )
        if crc != entry.crc:
            raise _wrong_crc(entry.name, crc, entry.crc)

    def _descriptor(self, entry: zf.Entry, crc: int, packed: int, size: int) -> Step[bytes]:
        """Read the descriptor behind an entry, and the signature that proves where it ends."""
        data = b""
        wrong_crc = None
        for length in zf.DESCRIPTOR_LENGTHS:
            data += yield from self._blocks.take(length + 4 - len(data))
            if data[length:] in _FOLLOWS and zf.is_descriptor(data[:length], packed, size):
                if zf.descriptor_crc(data[:length]) == crc:
                    return data[length:]
                wrong_crc = zf.descriptor_crc(data[:length])
        if wrong_crc is not None:
            raise _wrong_crc(entry.name, crc, wrong_crc)
        raise DamagedZipError(
            f"Entry {zf.shown(entry.name)} has {packed} bytes that become {size}; what follows does not say so.",
            "size",
        )

    def _search_end(self, reader: EntryReader | None) -> Step[tuple[int, int, bytes]]:
        """Find the end of a stored entry of unknown size; see the class for how and why."""
        crc = size = 0
        held = b""
        while True:
            block = yield from self._blocks.some(_SEARCHED)
            data = held + block
            view = memoryview(data)
            for match in _FOLLOWING.finditer(data):
                for length in zf.DESCRIPTOR_LENGTHS:
                    start = match.start() - length
                    if start < 0:
                        continue
                    said = data[start : match.start()]
                    if not zf.is_descriptor(said, size + start, size + start):
                        continue
                    if zf.descriptor_crc(said) == zlib.crc32(view[:start], crc):
                        if reader:
                            reader.feed(view[:start])
                        self._blocks.give_back(len(data) - match.end())
                        return zlib.crc32(view[:start], crc), size + start, match[0]
            done = max(0, len(data) - _HELD)
            crc = zlib.crc32(view[:done], crc)
            size += done
            if reader:
                reader.feed(view[:done])
            held = data[done:]

    def _directory(self, signature: bytes) -> Step[None]:
        offset = self._blocks.offset - 4
        self._place = "in the central directory"
        while signature == zf.CENTRAL:
            fixed = yield from self._blocks.take(zf.CENTRAL_SIZE)
            name_length, extra_length, comment_length = zf.central_lengths(fixed)
            raw_name = yield from self._blocks.take(name_length)
            extra = yield from self._blocks.take(extra_length)
            yield from self._blocks.take(comment_length)
            entry = zf.read_central(fixed, raw_name, extra)
            self._ledger.compare(entry)
            self._see(entry.name)
            signature = yield from self._blocks.take(4)
        if signature == zf.SIGNATURE:
            yield from self._blocks.take(int.from_bytes((yield from self._blocks.take(2)), "little"))
            signature = yield from self._blocks.take(4)
        self._ledger.finish()
        after = self._blocks.offset - 4

        self._place = "in its end records"
        end64 = None
        if signature == zf.END64:
            end64 = yield from self._blocks.take(zf.END64_SIZE)
            left = zf.end64_length(end64)
            while left:
                left -= len((yield from self._blocks.some(left)))
            signature = yield from self._blocks.take(4)
            if (
                signature != zf.LOCATOR64
                or zf.read_locator((yield from self._blocks.take(zf.LOCATOR64_SIZE))) != after
            ):
                raise DamagedZipError("The zip64 end record and its locator disagree.", "central-directory")
            signature = yield from self._blocks.take(4)
        if signature != zf.END:
            raise DamagedZipError(
                f"The central directory is broken at byte {self._blocks.offset - 4}.", "central-directory"
            )
        fixed = yield from self._blocks.take(zf.END_SIZE)
        end = zf.read_end(fixed, end64)
        zf.refuse_second_end((yield from self._blocks.take(zf.end_comment_length(fixed))))
        if end != zf.End(self._ledger.entries, after - offset, offset):
            raise DamagedZipError(
                f"The end record tells of {end.entries} entries in {end.size} bytes at byte {end.offset}; "
                f"there are {self._ledger.entries} in {after - offset} at {offset}.",
                "central-directory",
            )


def _wrong_crc(name: str, read: int, said: int) -> DamagedZipError:
    return DamagedZipError(
        f"Entry {zf.shown(name)} is damaged: its CRC is {read:08x} and should be {said:08x}.", "crc"
    )
