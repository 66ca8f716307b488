"""Some entries of a zip are read: as a stream, or only where they lie; both alike."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_xbackup.contents.errors import DamagedZipError
from airflow_provider_xbackup.contents.zipsource import RangedZip, StreamedZip


class Reads:
    """Bytes that can be read in ranges, which are noted."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.ranges: list[tuple[int, int]] = []

    def __call__(self, begin: int, end: int) -> Iterator[bytes]:
        self.ranges.append((begin, end))
        for start in range(begin, min(end, len(self.data)), 100_000):
            yield self.data[start : min(start + 100_000, end)]

    @property
    def bytes_read(self) -> int:
        return sum(min(end, len(self.data)) - begin for begin, end in self.ranges)


class Kept:
    """Keeps what an entry holds."""

    def __init__(self, name: str, into: dict[str, bytes]) -> None:
        self._name, self._into, self._data = name, into, b""

    def feed(self, data: bytes | memoryview) -> None:
        self._data += data

    def finish(self) -> None:
        self._into[self._name] = self._data


class _Pipe(io.RawIOBase):
    """A file that cannot be sought, so that zipfile puts sizes behind the data."""

    def __init__(self, target: io.BytesIO) -> None:
        self._target = target

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._target.write(data)


def made(
    entries: dict[str, bytes], *, streamed: bool = False, method: int = zipfile.ZIP_DEFLATED, comment: bytes = b""
) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(_Pipe(target) if streamed else target, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
        archive.comment = comment
    return target.getvalue()


def ranged(data: bytes) -> RangedZip:
    return RangedZip(len(data), Reads(data))


def streamed(data: bytes) -> StreamedZip:
    return StreamedZip(lambda: Reads(data)(0, len(data)))


def take(source: RangedZip | StreamedZip, *names: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for _ in source.read(lambda name: name in names, lambda name: Kept(name, found)):
        pass
    return found


ENTRIES = {f"tests_{number}_0.json": bytes([number]) * 5000 * number for number in range(1, 9)}

both = pytest.mark.parametrize("open_zip", [ranged, streamed], ids=["ranged", "streamed"])


@both
@pytest.mark.parametrize("piped", [False, True], ids=["sizes before", "sizes behind"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
@pytest.mark.parametrize(
    "names",
    [
        pytest.param([1], id="the first"),
        pytest.param([8], id="the last"),
        pytest.param([2, 3, 7], id="some"),
        pytest.param(range(1, 9), id="all"),
        pytest.param([], id="none"),
    ],
)
def test_just_the_entries_that_are_wanted_are_read(open_zip: Any, piped: bool, method: int, names: list[int]):
    wanted = [f"tests_{number}_0.json" for number in names]
    data = made(ENTRIES, streamed=piped, method=method, comment=b"a job")
    assert take(open_zip(data), *wanted) == {name: ENTRIES[name] for name in wanted}


def test_what_lies_far_from_what_is_wanted_is_not_read():
    entries = {f"{number}.bin": bytes(3 << 20) for number in range(8)}
    data = made(entries | {"tests_1_0.json": b"{}"} | {"late.bin": bytes(3 << 20)}, method=zipfile.ZIP_STORED)
    reads = Reads(data)
    assert take(RangedZip(len(data), reads), "tests_1_0.json") == {"tests_1_0.json": b"{}"}
    # The end of the zip, and the entry.
    assert reads.bytes_read < 1.2 * (1 << 20)


def test_what_lies_between_two_that_are_wanted_is_not_read_where_that_is_much():
    entries = {"tests_1_0.json": b"{}", "a": bytes(8 << 20), "tests_2_0.json": b"[]", "b": bytes(8 << 20)}
    reads = Reads(made(entries, method=zipfile.ZIP_STORED))
    found = take(RangedZip(len(reads.data), reads), "tests_1_0.json", "tests_2_0.json")
    assert found == {"tests_1_0.json": b"{}", "tests_2_0.json": b"[]"}
    assert reads.bytes_read < 1.2 * (1 << 20)


def test_what_lies_close_together_is_read_at_once():
    data = made({f"tests_{number}_0.json": b"{}" for number in range(1000)})
    reads = Reads(data)
    assert (
        len(take(RangedZip(len(data), reads), *(f"tests_{number}_0.json" for number in range(0, 1000, 2)))) == 500
    )
    assert len(reads.ranges) == 2


def test_the_names_are_those_of_the_directory():
    assert list(ranged(made(ENTRIES)).names()) == list(ENTRIES)


def test_a_directory_longer_than_the_last_mebibyte_is_read():
    data = made({f"{'x' * 200}{number}": b"" for number in range(9000)} | {"tests_1_0.json": b"{}"})
    assert take(ranged(data), "tests_1_0.json") == {"tests_1_0.json": b"{}"}


def test_a_zip_with_long_sizes_is_read():
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive, archive.open("tests_1_0.json", "w", force_zip64=True) as entry:
        entry.write(b"{}")
    assert take(ranged(target.getvalue()), "tests_1_0.json") == {"tests_1_0.json": b"{}"}


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


STORED = made({"a": b"a" * 100, "tests_1_0.json": b"b" * 100, "c": b"c" * 100}, method=zipfile.ZIP_STORED)


@both
@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(flipped(STORED, STORED.index(b"bbbb")), "crc", id="a byte turned"),
        pytest.param(STORED[:-40], "truncated", id="cut off"),
        pytest.param(b"<html>" * 100, None, id="no zip"),
        pytest.param(b"", None, id="nothing"),
        pytest.param(made({"../tests_1_0.json": b"{}"}), "unsafe-name", id="a name that climbs"),
        pytest.param(
            made({"tests_1_0.json": b"{}"}, method=zipfile.ZIP_LZMA), "unsupported-method", id="a method"
        ),
        pytest.param(
            STORED.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"), None, id="crypt"
        ),
    ],
)
def test_a_damaged_zip_is_refused(open_zip: Any, data: bytes, code: str | None):
    with pytest.raises(DamagedZipError) as refused:
        take(open_zip(data), "tests_1_0.json")
    if code is not None:
        assert refused.value.code == code


def test_damage_of_what_is_not_wanted_does_not_matter_where_only_the_rest_is_read():
    entries = {"a": bytes(3 << 20), "tests_1_0.json": b"{}"}
    data = flipped(made(entries, method=zipfile.ZIP_STORED), 1000)
    assert take(ranged(data), "tests_1_0.json") == {"tests_1_0.json": b"{}"}


def test_an_entry_that_is_not_what_the_directory_says_is_refused():
    data = bytearray(made({"tests_1_0.json": b"{}"}))
    at = data.index(b"tests_1_0.json")
    data[at : at + 14] = b"tests_2_0.json"
    with pytest.raises(DamagedZipError, match="does not lie where it says"):
        take(ranged(bytes(data)), "tests_1_0.json")


@both
def test_a_bomb_is_refused_before_it_has_gone_off(open_zip: Any):
    data = bytearray(made({"tests_1_0.json": bytes(300 << 20)}))
    # It says it is small; a reader that believes it reserves little and inflates all.
    local = data.index(b"PK\x03\x04")
    data[local + 22 : local + 26] = struct.pack("<I", 1000)
    central = data.index(b"PK\x01\x02")
    data[central + 24 : central + 28] = struct.pack("<I", 1000)
    fed: list[int] = []

    class Counting(Kept):
        def feed(self, block: bytes | memoryview) -> None:
            fed.append(len(block))

    with pytest.raises(DamagedZipError) as refused:
        for _ in open_zip(bytes(data)).read(lambda name: True, lambda name: Counting(name, {})):
            pass
    assert refused.value.code == "size"
    assert sum(fed) < 1 << 20


def test_what_was_read_can_be_taken_after_every_few_megabytes():
    data = made({"tests_1_0.json": bytes(100 << 20)})
    sizes, held = [], [0]

    class Counting(Kept):
        def feed(self, block: bytes | memoryview) -> None:
            held[0] += len(block)

    for _ in ranged(data).read(lambda name: True, lambda name: Counting(name, {})):
        sizes.append(held[0])
        held[0] = 0
    assert max(sizes) <= 17 << 20
