"""What a zip must be like to be called whole, and what is said of one that is not."""

from __future__ import annotations

import contextlib
import io
import json
import random
import struct
import subprocess
import sys
import textwrap
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_xbackup.contents import zipstructure, zipwalk
from airflow_provider_xbackup.contents.entities import EntityCounter, EntityFile, entity_file
from airflow_provider_xbackup.contents.errors import DamagedZipError
from airflow_provider_xbackup.contents.zipcheck import ZipInspector, ZipReport

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
BOTH_CHECKS = pytest.mark.parametrize("content", [True, False], ids=["content", "structure"])
TESTS_FILE = json.dumps({"tests": [{"id": "1", "steps": [{"a": [1, 2]}]}, {"id": "2"}, {"id": "3"}]}).encode()


class Unseekable(io.BytesIO):
    """Makes zipfile write data descriptors."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: Any) -> int:
        raise io.UnsupportedOperation("seek")

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")


def build(
    files: dict[str, bytes],
    method: int = DEFLATED,
    *,
    streamed: bool = False,
    zip64: bool = False,
    comment: bytes = b"",
) -> bytes:
    raw = Unseekable() if streamed else io.BytesIO()
    with zipfile.ZipFile(raw, "w", method) as archive:
        archive.comment = comment
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with archive.open(info, "w", force_zip64=zip64) as entry:
                entry.write(data)
    return raw.getvalue()


def local(name: bytes, data: bytes, *, method: int = 0, flags: int = 0, packed: bytes | None = None) -> bytes:
    packed = data if packed is None else packed
    crc, sizes = zlib.crc32(data), (len(packed), len(data))
    if flags & 8:
        crc, sizes = 0, (0, 0)
    return struct.pack("<4s5H3I2H", b"PK\3\4", 20, flags, method, 0, 33, crc, *sizes, len(name), 0) + name + packed


def central(
    name: bytes,
    data: bytes,
    offset: int,
    *,
    method: int = 0,
    flags: int = 0,
    packed: bytes | None = None,
    disk: int = 0,
) -> bytes:
    size = len(data if packed is None else packed)
    fixed = (20, 20, flags, method, 0, 33, zlib.crc32(data), size, len(data), len(name), 0, 0, disk, 0, 0, offset)
    return struct.pack("<4s6H3I5H2I", b"PK\1\2", *fixed) + name


def end(entries: int, size: int, offset: int, comment: bytes = b"") -> bytes:
    return struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, entries, entries, size, offset, len(comment)) + comment


def by_hand(name: bytes, data: bytes = b"data", **changes: Any) -> bytes:
    """Build a zip of one entry as it is told to, sense or not."""
    first = local(name, data, **changes)
    directory = central(name, data, 0, **changes)
    return first + directory + end(1, len(directory), len(first))


def inspect(data: bytes, *, content: bool = True, block: int | None = None, **options: Any) -> ZipReport:
    inspector = ZipInspector(content=content, **options)
    for piece in pieces(data, block or max(1, len(data))):
        inspector.feed(piece)
    return inspector.finish()


def many_entries(count: int) -> bytes:
    entries, records, offset = [], [], 0
    for number in range(count):
        name = b"%d.png" % number
        entries.append(local(name, b"x"))
        records.append(central(name, b"x", offset))
        offset += len(entries[-1])
    directory = b"".join(records)
    long = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), offset)
    long += struct.pack("<4sIQI", b"PK\6\7", 0, offset + len(directory), 1)
    short = min(count, 0xFFFF)
    return b"".join(entries) + directory + long + end(short, len(directory), offset)


def pieces(data: bytes, size: int) -> Iterator[memoryview]:
    view = memoryview(data)
    for at in range(0, len(view), size):
        yield view[at : at + size]


def code_of(data: bytes, **options: Any) -> str:
    with pytest.raises(DamagedZipError) as caught:
        inspect(data, **options)
    return caught.value.code


SAMPLE = {
    "tests_10042_0.json": TESTS_FILE,
    "tests_10042_1.json": b'{"tests": []}',
    "preconditions_10077_0.json": b'{"preconditions": [{"id": "9"}]}',
    "notes.txt": b"PK\x03\x04 is not a signature here; neither is PK\x01\x02." * 9,
}
WAYS = {
    "stored": build(SAMPLE, STORED),
    "deflated": build(SAMPLE),
    "stored, zip64": build(SAMPLE, STORED, zip64=True),
    "deflated, zip64": build(SAMPLE, zip64=True),
    "stored, sizes behind": build(SAMPLE, STORED, streamed=True),
    "deflated, sizes behind": build(SAMPLE, streamed=True),
    "stored, zip64, sizes behind": build(SAMPLE, STORED, streamed=True, zip64=True),
    "deflated, zip64, sizes behind": build(SAMPLE, streamed=True, zip64=True),
    "with a comment": build(SAMPLE, comment=b"made at night"),
}
EVERY_WAY = pytest.mark.parametrize("data", WAYS.values(), ids=WAYS.keys())


# ---------------------------------------------------------------------------------------- whole zips


@EVERY_WAY
@pytest.mark.parametrize("block", [1, 3, 64, None])
def test_a_whole_zip_is_reported_however_it_was_written_and_arrives(data: bytes, block: int | None) -> None:
    projects = frozenset({"10042", "10077"})
    assert inspect(data, block=block) == ZipReport(4, {"preconditions": 1, "tests": 3}, projects)
    assert inspect(data, content=False, block=block) == ZipReport(4, None, projects)


@BOTH_CHECKS
@pytest.mark.parametrize("comment", [b"", b"nothing happened"])
def test_a_zip_without_entries_is_whole(content: bool, comment: bytes) -> None:
    report = inspect(build({}, comment=comment), content=content)
    assert report == ZipReport(0, {} if content else None, frozenset())


def test_a_block_may_be_reused_once_it_was_fed() -> None:
    data, buffer = WAYS["deflated"], bytearray(64)
    for content in (True, False):
        inspector = ZipInspector(content=content)
        for piece in pieces(data, 64):
            buffer[: len(piece)] = piece
            inspector.feed(memoryview(buffer)[: len(piece)])
        assert inspector.finish().entries == 4


@pytest.mark.parametrize("signature", [b"", b"PK\7\x08"], ids=["without signature", "with signature"])
@pytest.mark.parametrize("form", ["<I2I", "<I2Q"], ids=["short sizes", "long sizes"])
@pytest.mark.parametrize("method", [STORED, DEFLATED])
@pytest.mark.parametrize("plain", [b"", b"some data", TESTS_FILE], ids=["nothing", "short", "json"])
@pytest.mark.parametrize("block", [1, 7, None])
def test_every_form_of_data_descriptor_is_understood(
    signature: bytes, form: str, method: int, plain: bytes, block: int | None
) -> None:
    packed = zlib.compress(plain, wbits=-15) if method else plain
    name = b"tests_1_0.json" if plain == TESTS_FILE else b"other"
    options: dict[str, Any] = {"method": method, "flags": 8, "packed": packed}
    first = local(name, plain, **options)
    first += signature + struct.pack(form, zlib.crc32(plain), len(packed), len(plain))
    second = local(b"second", b"x")
    directory = central(name, plain, 0, **options) + central(b"second", b"x", len(first))
    data = first + second + directory + end(2, len(directory), len(first + second))
    assert inspect(data, block=block).entries == 2


def test_a_zip_stored_inside_a_zip_with_its_size_behind_is_one_entry() -> None:
    inner = build({"a": b"1" * 40, "b": b"2"}, STORED, streamed=True)
    assert inspect(build({"inner.zip": inner, "c": inner}, STORED, streamed=True)).entries == 2


def test_the_directory_may_list_the_entries_in_another_order() -> None:
    one, two = local(b"one", b"1"), local(b"two", b"22")
    directory = central(b"two", b"22", len(one)) + central(b"one", b"1", 0)
    data = one + two + directory + end(2, len(directory), len(one + two))
    assert inspect(data).entries == inspect(data, content=False).entries == 2


@BOTH_CHECKS
def test_a_hundred_thousand_entries_are_no_trouble(content: bool) -> None:
    assert inspect(many_entries(100_000), content=content, block=1 << 20).entries == 100_000


@BOTH_CHECKS
def test_many_entries_need_little_memory(content: bool) -> None:
    data = many_entries(20_000)
    # The structure check keeps the end of the file, here the whole of it.
    kept = 0 if content else 2 * len(data)
    assert peak_of(lambda: inspect(data, content=content, block=1 << 20)) < 20_000 * 300 + kept


# ------------------------------------------------------------------------------- entities and projects


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("tests_10042_0.json", ("tests", "10042"), id="as documented"),
        pytest.param("TESTSETS_1_12.JSON", ("testSets", "1"), id="loud"),
        pytest.param("testrepository_1_0.json", ("testRepository", "1"), id="quiet"),
        pytest.param("data/issuehistory_1_0.json", ("issueHistory", "1"), id="in a folder"),
        pytest.param("testRuns_1_0.json", ("testRuns", "1"), id="unknown, kept as seen"),
        pytest.param("test_runs_1_0.json", ("test_runs", "1"), id="unknown, with underscore"),
        pytest.param("metadata_1_0.json", None, id="metadata"),
        pytest.param("Metadata_0.json", None, id="metadata, one number"),
        pytest.param("tests_10042_0.txt", None, id="no JSON"),
        pytest.param("tests_0.json", None, id="no project"),
        pytest.param("0a1b2c", None, id="an attachment"),
        pytest.param("tests_1_0.json\n", None, id="a line end"),
    ],
)
def test_the_name_of_an_entity_file_is_taken_apart(name: str, expected: tuple[str, str] | None) -> None:
    assert entity_file(name) == expected


@pytest.mark.parametrize(
    ("text", "entity", "count"),
    [
        pytest.param(TESTS_FILE, "tests", 3, id="an object with a list"),
        pytest.param(b"[1, [2], {}]", "tests", 3, id="a bare list"),
        pytest.param(b'{"tests": []}', "tests", 0, id="nothing"),
        pytest.param(
            b'{"total": 9, "of": {"a": [1]}, "tests": [1, "b", null, [[]], {}]}', "tests", 5, id="more keys"
        ),
        pytest.param(b'{"tests": [1], "others": [1, 2]}', "tests", 1, id="the first of two lists"),
        pytest.param(b'{"folders": {"name": "root", "children": [1, 2]}}', "testRepository", 1, id="one tree"),
        pytest.param(b"{}", "testRepository", 0, id="no tree"),
        pytest.param(b'{"folders": [{}, {}]}', "testRepository", 2, id="two trees"),
        pytest.param(b'{"error": "none"}', "tests", 0, id="an object without a list"),
        pytest.param(b'\xef\xbb\xbf{"tests": [1]}', "tests", 1, id="a byte order mark"),
    ],
)
@pytest.mark.parametrize("block", [1, 1000])
def test_the_elements_of_the_first_list_are_counted(text: bytes, entity: str, count: int, block: int) -> None:
    counter = EntityCounter(EntityFile(entity, "1"))
    for piece in pieces(text, block):
        counter.feed(piece)
    assert counter.finish() == count


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xef",
        b"[1,]",
        b"[1] x",
        b'["\xff"]',
        b"<html>",
        b"[NaN]",
    ],
)
@pytest.mark.parametrize("block", [1, 10_000])
def test_an_entity_file_that_is_no_json_is_not_counted_and_no_damage(
    text: bytes, block: int, caplog: pytest.LogCaptureFixture
) -> None:
    files = {"tests_1_0.json": TESTS_FILE, "tests_1_1.json": text, "datasets_1_0.json": b"[1]"}
    report = inspect(build(files), block=block)
    assert report == ZipReport(3, {"datasets": 1}, frozenset({"1"}), unread=frozenset({"tests"}))
    assert "'tests_1_1.json' cannot be read as JSON" in caplog.text


def test_many_entity_files_that_are_no_json_are_told_once_a_type(caplog: pytest.LogCaptureFixture) -> None:
    inspect(build({f"{kind}_1_{chunk}.json": b"" for kind in ("tests", "datasets") for chunk in range(9)}))
    assert len(caplog.records) == 2


@pytest.mark.parametrize("digits", [17, 18, 19, 20, 4301, 70_000])
@pytest.mark.parametrize("block", [1, 100_000])
def test_numbers_of_any_length_are_read_without_harm(digits: int, block: int) -> None:
    """The parser crashes the process on a number of more than 4,300 digits, were it given one."""
    one = b"7" * digits
    text = b'{"tests": [' + one + b", -" + one + b', "' + one + b'", {"a": "\\ud8' + one + b'"}, 1.' + one + b"]}"
    assert inspect(build({"tests_1_0.json": text}), block=block).entities == {"tests": 5}
    counter = EntityCounter(EntityFile("tests", "1"))
    for piece in pieces(text, block):
        counter.feed(piece)
    assert counter.finish() == 5


@pytest.mark.parametrize(("text", "count"), [(b"12", 0), (b"[3]4", None), (b"[1, 2", None)])
def test_digits_at_the_very_end_are_not_forgotten(text: bytes, count: int | None) -> None:
    counter = EntityCounter(EntityFile("tests", "1"))
    counter.feed(text)
    if count is None:
        with pytest.raises(ValueError, match=r"error|incomplete|premature|garbage"):
            counter.finish()
    else:
        assert counter.finish() == count


def test_a_broken_byte_in_a_json_file_is_told_as_the_damage_it_is() -> None:
    data = bytearray(build({"tests_1_0.json": TESTS_FILE}, STORED))
    data[data.index(b"{")] ^= 0xFF
    assert code_of(bytes(data)) == "crc"


def test_other_files_are_not_read_as_json() -> None:
    files = {"metadata_1_0.json": b"{", "17": b"{", "a.json": b"{"}
    assert inspect(build(files)).entities == {}


def test_names_in_an_attachments_zip_are_no_entities() -> None:
    report = inspect(build({"results_2024_1.json": b"{"}), entities=False)
    assert report == ZipReport(1, {}, frozenset())


def test_entities_are_summed_over_chunks_and_projects() -> None:
    files = {f"Tests_{project}_{chunk}.json": TESTS_FILE for project in (1, 2) for chunk in range(3)}
    assert inspect(build(files)) == ZipReport(6, {"tests": 18}, frozenset({"1", "2"}))


# ------------------------------------------------------------------------------------------- damage


@BOTH_CHECKS
@EVERY_WAY
def test_a_zip_cut_off_anywhere_is_never_accepted(data: bytes, content: bool) -> None:
    for length in range(len(data)):
        assert code_of(data[:length], content=content) in {"truncated", "trailing-data"}


@EVERY_WAY
def test_a_changed_byte_is_noticed_or_changes_nothing(data: bytes) -> None:
    whole = inspect(data)
    for at in range(len(data)):
        for mask in (0x01, 0x80, 0xFF):
            changed = bytearray(data)
            changed[at] ^= mask
            with contextlib.suppress(DamagedZipError):
                assert inspect(bytes(changed)) == whole
            with contextlib.suppress(DamagedZipError):
                inspect(bytes(changed), content=False)


LOCAL = {"signature": 4, "version": 2, "flags": 2, "method": 2, "time": 4, "crc": 4, "sizes": 8, "lengths": 4}
DIRECTORY = {"signature": 4, "made by": 2, "version": 2, "flags": 2, "method": 2, "time": 4, "crc": 4, "sizes": 8}
DIRECTORY |= {"lengths": 6, "disk": 2, "attributes": 6, "place": 4}
END = {"signature": 4, "disks": 4, "counts": 4, "size": 4, "place": 4, "length": 2, "comment": 5}
NOTHING_VOUCHES_FOR = {"version", "made by", "flags", "time", "attributes", "comment"}


def test_of_every_field_but_those_that_nothing_vouches_for_each_changed_byte_is_noticed() -> None:
    name, content = b"17.png", b"some data"
    first, record = local(name, content), central(name, content, 0)
    data = first + record + end(1, len(record), len(first), comment=b"night")
    parts = LOCAL | {"name": len(name), "content": len(content)}, DIRECTORY | {"name ": len(name)}, END
    fields = [field.strip() for part in parts for field, size in part.items() for _ in range(size)]
    assert len(fields) == len(data)

    passed = set()
    for at, field in enumerate(fields):
        for mask in (0x01, 0x02, 0x80, 0xFF):
            changed = bytearray(data)
            changed[at] ^= mask
            with contextlib.suppress(DamagedZipError):
                inspect(bytes(changed))
                passed.add(field)
    assert passed == NOTHING_VOUCHES_FOR


def flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 0x40
    return bytes(changed)


ONE = build({"a": b"some data"}, STORED)
TWO = build({"a": b"some data", "b": b"more"}, STORED)
PACKED = build({"a": bytes(range(256)) * 9})
AT = {"directory": ONE.index(b"PK\1\2"), "end": ONE.index(b"PK\5\6")}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(flipped(ONE, 0), "not-a-zip", id="first signature"),
        pytest.param(flipped(ONE, ONE.index(b"some")), "crc", id="stored data"),
        pytest.param(flipped(ONE, 14), "crc", id="CRC in the local header"),
        pytest.param(flipped(ONE, 22), "size", id="plain size in the local header"),
        pytest.param(flipped(PACKED, PACKED.index(b"PK\1\2") - 9), "deflate", id="deflated data"),
        pytest.param(flipped(ONE, 30), "central-directory", id="name in the local header"),
        pytest.param(flipped(ONE, AT["directory"]), "local-header", id="first record of the directory"),
        pytest.param(flipped(ONE, AT["directory"] + 16), "central-directory", id="CRC in the directory"),
        pytest.param(flipped(ONE, AT["directory"] + 24), "central-directory", id="size in the directory"),
        pytest.param(flipped(ONE, AT["directory"] + 42), "entry-outside", id="offset in the directory"),
        pytest.param(flipped(ONE, AT["end"]), "central-directory", id="end record"),
        pytest.param(flipped(ONE, AT["end"] + 12), "central-directory", id="size of the directory"),
        pytest.param(flipped(ONE, AT["end"] + 16), "central-directory", id="offset of the directory"),
        pytest.param(ONE + b"\0", "trailing-data", id="something behind the end"),
        pytest.param(b"MZ.." + ONE, "not-a-zip", id="something before the start"),
        pytest.param(b"<!DOCTYPE html><title>503</title>", "not-a-zip", id="an HTML page"),
        pytest.param(ONE[:40] + b"gap!" + ONE[40:], "local-header", id="a gap"),
        pytest.param(
            TWO[: AT["directory"]] + TWO[TWO.index(b"PK\1\2") :], "entry-outside", id="an entry left out"
        ),
        pytest.param(by_hand(b"a", flags=1), "encrypted", id="encrypted"),
        pytest.param(by_hand(b"a", flags=0x2001), "encrypted", id="strongly encrypted"),
        pytest.param(by_hand(b"a", method=12), "unsupported-method", id="bzip2"),
        pytest.param(by_hand(b"a", method=99), "unsupported-method", id="unknown method"),
        pytest.param(by_hand(b"a", packed=b"dat"), "size", id="stored and shorter"),
        pytest.param(by_hand(b"a", method=8, packed=b"\x03\x00"), "size", id="deflated and shorter"),
        pytest.param(
            by_hand(b"a", b"", method=8, packed=zlib.compress(b"x" * 999, wbits=-15)), "size", id="longer"
        ),
        pytest.param(
            by_hand(b"a", b"", method=8, packed=b"\x03\x00more"), "size", id="more behind the deflate end"
        ),
        pytest.param(by_hand(b"a", method=8, packed=b""), "deflate", id="deflated to nothing"),
    ],
)
def test_damage_is_called_by_its_name(data: bytes, code: str) -> None:
    assert code_of(data) == code
    assert code_of(data, block=1) == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(flipped(ONE, AT["directory"]), "central-directory", id="first record of the directory"),
        pytest.param(flipped(ONE, AT["directory"] + 20), "entry-outside", id="packed size in the directory"),
        pytest.param(flipped(ONE, AT["directory"] + 42), "entry-outside", id="offset in the directory"),
        pytest.param(flipped(ONE, AT["directory"] + 28), "central-directory", id="length of a name"),
        pytest.param(flipped(ONE, AT["end"]), "truncated", id="end record"),
        pytest.param(flipped(ONE, AT["end"] + 16), "central-directory", id="offset of the directory"),
        pytest.param(ONE + b"\0", "trailing-data", id="something behind the end"),
        pytest.param(b"MZ.." + ONE, "not-a-zip", id="something before the start"),
        pytest.param(ONE[:4] + b"four" + ONE[4:], "central-directory", id="bytes put in"),
        pytest.param(by_hand(b"a", flags=1), "encrypted", id="encrypted"),
    ],
)
def test_damage_of_the_structure_is_seen_without_reading_the_content(data: bytes, code: str) -> None:
    assert code_of(data, content=False) == code


@BOTH_CHECKS
@pytest.mark.parametrize(
    "name",
    [b"/etc/passwd", b"../up", b"a/../../up", b"a/..", b"..", b"a\\b", b"\\\\host\\share", b"C:/x", b"a\0b", b""],
)
def test_unsafe_names_are_refused(name: bytes, content: bool) -> None:
    assert code_of(by_hand(name), content=content) == "unsafe-name"


@BOTH_CHECKS
def test_a_name_that_is_not_the_utf8_it_claims_is_refused(content: bool) -> None:
    assert code_of(by_hand(b"\xff", flags=0x800), content=content) == "unsafe-name"


@BOTH_CHECKS
@pytest.mark.parametrize("name", [b"a..b", b"...", b".hidden", b"folder/", b"f/tests_1_0.json", b"\x82\x85"])
def test_names_that_only_look_unsafe_are_accepted(name: bytes, content: bool) -> None:
    data = b"[]" if name.endswith(b"json") else b""
    assert inspect(by_hand(name, data), content=content).entries == 1


@BOTH_CHECKS
def test_a_name_used_twice_is_refused(content: bool) -> None:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("a", b"1")
        archive.writestr("a", b"2")
    assert code_of(raw.getvalue(), content=content) == "duplicate-name"


@BOTH_CHECKS
def test_one_part_of_several_disks_is_refused(content: bool) -> None:
    first, directory = local(b"a", b""), central(b"a", b"", 0, disk=3)
    assert code_of(first + directory + end(1, len(directory), len(first)), content=content) == "multi-disk"


@BOTH_CHECKS
def test_an_end_record_inside_the_comment_of_another_is_refused(content: bool) -> None:
    first, directory = local(b"a", b""), central(b"a", b"", 0)
    data = first + directory + end(1, len(directory), len(first), comment=end(0, 0, 0))
    assert code_of(data, content=content) == "ambiguous-end"


def test_entries_that_share_their_bytes_are_refused() -> None:
    """The zip bomb that quotes one block of data many times."""
    first = local(b"a", b"data" * 50)
    directory = central(b"a", b"data" * 50, 0) + central(b"b", b"data", 40)
    data = first + directory + end(2, len(directory), len(first))
    assert code_of(data, content=False) == "overlap"
    assert code_of(data) == "entry-outside"


def test_an_entry_the_directory_does_not_list_is_refused() -> None:
    first, hidden = local(b"a", b"1"), local(b"hidden", b"2")
    directory = central(b"a", b"1", 0)
    data = first + hidden + directory + end(1, len(directory), len(first + hidden))
    assert code_of(data) == "central-directory"


def test_an_error_names_the_entry_and_is_raised_again() -> None:
    data = flipped(build({"tests_1_0.json": TESTS_FILE}, STORED), 60)
    inspector = ZipInspector(content=True)
    with pytest.raises(DamagedZipError, match=r"'tests_1_0\.json'.*CRC") as first:
        inspector.feed(data)
    for again in (lambda: inspector.feed(b"x"), inspector.finish):
        with pytest.raises(DamagedZipError) as second:
            again()
        assert (str(second.value), second.value.code) == (str(first.value), "crc")


def test_a_name_cannot_write_lines_of_its_own_into_a_message() -> None:
    with pytest.raises(DamagedZipError) as caught:
        inspect(by_hand(b"a\nERROR all is lost\x1b[2J" + b"x" * 5000, method=1))
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 500


# --------------------------------------------------------------------------------- bombs and big files


def zeros(size: int, **options: Any) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", DEFLATED) as archive, archive.open("zeros", "w") as entry:
        for _ in range(size >> 20):
            entry.write(bytes(1 << 20))
    return raw.getvalue()


def peak_of(action: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_what_deflate_can_honestly_do_is_accepted_in_flat_memory() -> None:
    data = zeros(256 << 20)
    assert len(data) < 300_000
    assert peak_of(lambda: inspect(data)) < 8 << 20


def test_an_entry_that_inflates_beyond_the_ratio_is_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipwalk, "RATIO_FREE", 1 << 20)
    data = zeros(4 << 20)
    assert code_of(data, max_ratio=500) == "bomb"
    assert inspect(data).entries == 1


def test_too_many_entries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipwalk, "MAX_ENTRIES", 3)
    assert code_of(build({str(number): b"" for number in range(4)})) == "too-many-entries"


def test_a_large_json_file_is_counted_in_flat_memory() -> None:
    one = json.dumps({"id": "10501", "steps": [{"action": "x" * 2000, "data": "y"}] * 5}).encode()
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", DEFLATED) as archive, archive.open("tests_1_0.json", "w") as entry:
        entry.write(b'{"tests": [' + one)
        for _ in range(2999):
            entry.write(b"," + one)
        entry.write(b"]}")
    data = raw.getvalue()
    assert inspect(data).entities == {"tests": 3000}
    assert peak_of(lambda: inspect(data, block=1 << 16)) < 8 << 20


def test_one_endless_string_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_xbackup.contents.entities._LONGEST_VALUE", 1 << 20)
    data = build({"tests_1_0.json": b'["' + b"x" * (3 << 20) + b'"]'})
    assert inspect(data).unread == {"tests"}


def test_the_structure_check_keeps_the_end_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipstructure, "WINDOW", 1 << 20)
    data = build({"a": random.Random(1).randbytes(24 << 20)}, STORED)
    for block in (1000, 1 << 20, 3_000_001):
        assert peak_of(lambda block=block: inspect(data, content=False, block=block)) < 9 << 20


def test_a_directory_larger_than_what_is_kept_asks_for_the_other_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipstructure, "WINDOW", 1 << 18)
    data = build({f"{'n' * 500}{number}": b"" for number in range(2000)}, STORED)
    with pytest.raises(DamagedZipError, match="check='content'") as caught:
        inspect(data, content=False, block=1 << 16)
    assert caught.value.code == "directory-too-large"
    assert inspect(data).entries == 2000


# ------------------------------------------------------------------------------------------ whatever


names = st.one_of(
    st.from_regex(r"(tests|Preconditions|testsets|odd)_[1-3]_[0-9]\.json", fullmatch=True),
    st.from_regex(r"[a-z0-9é]{1,8}(\.bin|/)?", fullmatch=True),
)
contents = st.one_of(
    st.binary(max_size=300),
    st.lists(st.sampled_from([b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\7\x08", b"\0\0\0\0", b"x"])).map(b"".join),
    st.integers(0, 3000).map(lambda size: b"a" * size),
)


@st.composite
def zips(draw: st.DrawFn) -> bytes:
    files = draw(st.dictionaries(names, contents, max_size=5))
    for name in files:
        if name.endswith("json"):
            files[name] = json.dumps({"list": list(range(draw(st.integers(0, 5))))}).encode()
    return build(
        files,
        draw(st.sampled_from([STORED, DEFLATED])),
        streamed=draw(st.booleans()),
        zip64=draw(st.booleans()),
        # Python's own reader takes the last such mark for the end record.
        comment=draw(st.binary(max_size=20).filter(lambda comment: b"PK\x05\x06" not in comment)),
    )


@given(zips(), st.lists(st.integers(1, 400), max_size=30))
@settings(deadline=None)
def test_the_report_does_not_depend_on_how_the_bytes_were_cut(data: bytes, cuts: list[int]) -> None:
    for content in (True, False):
        inspector = ZipInspector(content=content)
        at = 0
        for size in cuts:
            inspector.feed(data[at : at + size])
            at += size
        inspector.feed(data[at:])
        assert inspector.finish() == inspect(data, content=content) == inspect(data, content=content, block=1)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert inspect(data, content=content).entries == len(archive.infolist())


@given(zips(), st.data())
@settings(deadline=None)
def test_damage_anywhere_is_refused_or_changes_nothing_and_raises_nothing_else(
    data: bytes, draw: st.DataObject
) -> None:
    whole = inspect(data)
    changed = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 3))):
        changed[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    with contextlib.suppress(DamagedZipError):
        assert inspect(bytes(changed)) == whole
    with contextlib.suppress(DamagedZipError):
        inspect(bytes(changed), content=False, block=draw.draw(st.integers(1, 500)))


@given(st.binary(max_size=400).map(lambda tail: b"PK\3\4" + tail), st.booleans())
@settings(deadline=None)
def test_bytes_that_are_no_zip_are_refused_and_raise_nothing_else(data: bytes, content: bool) -> None:
    with pytest.raises(DamagedZipError):
        inspect(data, content=content)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(
    st.lists(json_values, max_size=6), st.dictionaries(st.sampled_from("ab"), st.text()), st.booleans(), st.data()
)
@settings(deadline=None)
def test_any_list_is_counted_and_any_other_bytes_are_told(
    elements: list[Any], before: dict[str, str], ascii_only: bool, draw: st.DataObject
) -> None:
    text = json.dumps({**before, "list": elements, "more": [1]}, ensure_ascii=ascii_only).encode()
    block = draw.draw(st.integers(1, len(text)))
    counter = EntityCounter(EntityFile("tests", "1"))
    for piece in pieces(text, block):
        counter.feed(piece)
    assert counter.finish() == len(elements)

    changed = bytearray(text)
    changed[draw.draw(st.integers(0, len(text) - 1))] = draw.draw(st.integers(0, 255))
    counter = EntityCounter(EntityFile("tests", "1"))
    for piece in pieces(bytes(changed), block):
        counter.feed(piece)
    with contextlib.suppress(ValueError):
        assert counter.finish() >= 0


@given(st.binary(max_size=60))
@settings(deadline=None)
def test_any_bytes_in_place_of_json_raise_nothing_else(data: bytes) -> None:
    counter = EntityCounter(EntityFile("tests", "1"))
    counter.feed(data)
    with contextlib.suppress(ValueError):
        assert counter.finish() >= 0


def test_the_parsers_of_many_json_files_do_not_pile_up_in_memory() -> None:
    script = textwrap.dedent(
        """
        import io, resource, zipfile
        from airflow_provider_xbackup.contents.zipcheck import ZipInspector

        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for chunk in range(40):
                archive.writestr(f"tests_1_{chunk}.json", '{"tests": [{"id": "' + "x" * (4 << 20) + '"}]}')
        data = buffer.getvalue()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        inspector = ZipInspector(content=True)
        inspector.feed(data)
        assert inspector.finish().entities == {"tests": 40}
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        """
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 60 * 1024
