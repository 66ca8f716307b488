"""The records of a zip file (PKWARE APPNOTE 6.3), read strictly. Bytes in, values out; no I/O."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from airflow_provider_xbackup.contents.errors import DamagedZipError

LOCAL = b"PK\x03\x04"
CENTRAL = b"PK\x01\x02"
END = b"PK\x05\x06"
END64 = b"PK\x06\x06"
LOCATOR64 = b"PK\x06\x07"
DESCRIPTOR = b"PK\x07\x08"
SIGNATURE = b"PK\x05\x05"
ARCHIVE_EXTRA = b"PK\x06\x08"

STORED = 0
DEFLATED = 8

#: Sizes of the fixed parts, without the four bytes of the signature.
LOCAL_SIZE = 26
CENTRAL_SIZE = 42
END_SIZE = 18
END64_SIZE = 52
LOCATOR64_SIZE = 16
#: A data descriptor has short or long sizes, each without or with its signature.
DESCRIPTOR_LENGTHS = (12, 16, 20, 24)

_STREAMED = 0x0008
_UTF8 = 0x0800
_PATCHED = 0x0020
#: Traditional, strong, and masked local headers.
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000

_MAX16 = 0xFFFF
_MAX32 = 0xFFFFFFFF

_LOCAL = struct.Struct("<5H3I2H")
_CENTRAL = struct.Struct("<6H3I5H2I")
_END = struct.Struct("<4H2IH")
_END64 = struct.Struct("<Q2H2I4Q")
_LOCATOR64 = struct.Struct("<IQI")
_EXTRA = struct.Struct("<2H")
_SHORT_SIZES = struct.Struct("<3I")
_LONG_SIZES = struct.Struct("<I2Q")

_UNSAFE_NAME = re.compile(r"\A/|\A[A-Za-z]:|\\|\x00|(?:\A|/)\.\.(?:/|\Z)")
_LONGEST_SHOWN_NAME = 120


class Entry(NamedTuple):
    """What a local header or a record of the central directory says of one entry.

    :param packed: size of the data as it lies in the zip
    :param size: size of the plain data
    :param offset: where the local header begins; 0 where a local header itself says it
    :param streamed: sizes and CRC follow the data in a descriptor
    """

    name: str
    raw_name: bytes
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    streamed: bool


class End(NamedTuple):
    """What the end records say of the central directory."""

    entries: int
    size: int
    offset: int


def shown(name: str) -> str:
    """Give an entry name as it can stand in a message: quoted, escaped, not endless."""
    if len(name) > _LONGEST_SHOWN_NAME:
        name = name[:_LONGEST_SHOWN_NAME] + "…"
    return repr(name)


def local_lengths(fixed: bytes) -> tuple[int, int]:
    """Tell how long the name and the extra fields behind a local header are."""
    return struct.unpack_from("<2H", fixed, 22)


def central_lengths(fixed: bytes) -> tuple[int, int, int]:
    """Tell how long the name, the extra fields and the comment behind a central record are."""
    return struct.unpack_from("<3H", fixed, 24)


def read_local(fixed: bytes, raw_name: bytes, extra: bytes) -> Entry:
    """Read a local header.

    :raises DamagedZipError: on an unsafe name, encryption, or sizes that cannot be read
    """
    _, flags, method, _, _, crc, packed, size, _, _ = _LOCAL.unpack(fixed)
    name = _read_name(raw_name, flags)
    _refuse_encryption(name, flags)
    if size == _MAX32 or packed == _MAX32:
        size, packed = _read_zip64(name, extra, [size, packed], "local-header")
    return Entry(name, raw_name, method, crc, packed, size, 0, bool(flags & _STREAMED))


def read_central(fixed: bytes, raw_name: bytes, extra: bytes) -> Entry:
    """Read one record of the central directory.

    :raises DamagedZipError: on an unsafe name, encryption, another disk, or sizes that cannot be read
    """
    _, _, flags, method, _, _, crc, packed, size, _, _, _, disk, _, _, offset = _CENTRAL.unpack(fixed)
    name = _read_name(raw_name, flags)
    _refuse_encryption(name, flags)
    if size == _MAX32 or packed == _MAX32 or offset == _MAX32:
        size, packed, offset = _read_zip64(name, extra, [size, packed, offset], "central-directory")
    if disk not in (0, _MAX16):
        raise DamagedZipError(f"Entry {shown(name)} is said to lie on another disk ({disk}).", "multi-disk")
    return Entry(name, raw_name, method, crc, packed, size, offset, bool(flags & _STREAMED))


def _read_name(raw: bytes, flags: int) -> str:
    try:
        name = raw.decode("utf-8" if flags & _UTF8 else "cp437")
    except UnicodeDecodeError:
        raise DamagedZipError(
            f"The entry name {shown(raw.decode('cp437'))} claims to be UTF-8 and is not.", "unsafe-name"
        ) from None
    if not name or _UNSAFE_NAME.search(name):
        raise DamagedZipError(
            f"The entry name {shown(name)} is not safe: names are relative, with '/' between folders and "
            "without '..'.",
            "unsafe-name",
        )
    return name


def _refuse_encryption(name: str, flags: int) -> None:
    if flags & _ENCRYPTED:
        raise DamagedZipError(f"Entry {shown(name)} is encrypted, so nobody here can read it.", "encrypted")
    if flags & _PATCHED:
        raise DamagedZipError(f"Entry {shown(name)} holds a patch, not a file.", "unsupported-method")


def _read_zip64(name: str, extra: bytes, values: list[int], code: str) -> list[int]:
    """Replace every value that is all ones by its long form: extra field 1 holds just these, in order."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, at)
        at += 4
        if at + length > len(extra):
            break
        if kind == 1:
            fields = iter(struct.unpack_from(f"<{length // 8}Q", extra, at))
            long = [next(fields, None) if value == _MAX32 else value for value in values]
            if None not in long:
                return [value for value in long if value is not None]
            break
        at += length
    raise DamagedZipError(f"The zip64 sizes of entry {shown(name)} are missing or broken.", code)


def is_descriptor(data: bytes, packed: int, size: int) -> bool:
    """Tell whether these 12 to 24 bytes are a descriptor of data with these sizes, whatever its CRC.

    Short sizes count modulo 2^32: some writers cut them off, and the central directory has the whole.
    """
    if len(data) in (16, 24):
        if data[:4] != DESCRIPTOR:
            return False
        data = data[4:]
    if len(data) == _SHORT_SIZES.size:
        _, said_packed, said_size = _SHORT_SIZES.unpack(data)
        return bool(said_packed == packed & _MAX32 and said_size == size & _MAX32)
    _, said_packed, said_size = _LONG_SIZES.unpack(data)
    return bool(said_packed == packed and said_size == size)


def descriptor_crc(data: bytes) -> int:
    """Give the CRC of a descriptor of 12 to 24 bytes."""
    return int.from_bytes(data[4:8] if len(data) in (16, 24) else data[:4], "little")


def end_comment_length(fixed: bytes) -> int:
    """Tell how long the comment behind the end record is."""
    return int.from_bytes(fixed[16:18], "little")


def read_end(fixed: bytes, end64: bytes | None) -> End:
    """Read the end record, together with the zip64 one where there is one.

    :raises DamagedZipError: if they span disks, contradict each other, or one is needed and missing
    """
    disk, directory_disk, entries_here, entries, size, offset, _ = _END.unpack(fixed)
    short = (disk, directory_disk, entries_here, entries, size, offset)
    full = short
    if end64 is not None:
        _, _, _, *long = _END64.unpack(end64)
        full = (long[0], long[1], long[2], long[3], long[4], long[5])
        limits = (_MAX16, _MAX16, _MAX16, _MAX16, _MAX32, _MAX32)
        if any(a not in (b, limit) for a, b, limit in zip(short, full, limits, strict=True)):
            raise DamagedZipError("The two end records of the zip contradict each other.", "central-directory")
    elif size == _MAX32 or offset == _MAX32:
        raise DamagedZipError("The zip64 end record is missing.", "central-directory")
    disk, directory_disk, entries_here, entries, size, offset = full
    if disk or directory_disk or entries_here != entries:
        raise DamagedZipError("The zip is one part of several disks.", "multi-disk")
    return End(entries, size, offset)


def end64_length(fixed: bytes) -> int:
    """Tell how many bytes follow the fixed part of a zip64 end record.

    :raises DamagedZipError: if the record says it is shorter than its fixed part
    """
    length = int.from_bytes(fixed[:8], "little") + 8 - END64_SIZE
    if length < 0:
        raise DamagedZipError("The zip64 end record is too short.", "central-directory")
    return length


def read_locator(fixed: bytes) -> int:
    """Read the zip64 locator: where the zip64 end record begins.

    :raises DamagedZipError: if it lies on another disk
    """
    disk, offset, disks = _LOCATOR64.unpack(fixed)
    if disk or disks > 1:
        raise DamagedZipError("The zip is one part of several disks.", "multi-disk")
    return int(offset)


def refuse_second_end(comment: bytes) -> None:
    """Refuse a comment in which another end record hides: two readers would see two different zips.

    :raises DamagedZipError: if it does
    """
    at = comment.find(END)
    while at >= 0:
        fixed = comment[at + 4 : at + 4 + END_SIZE]
        if len(fixed) == END_SIZE and at + 4 + END_SIZE + end_comment_length(fixed) == len(comment):
            raise DamagedZipError("The zip ends in two end records, one in the comment.", "ambiguous-end")
        at = comment.find(END, at + 1)
