"""What every store has to do with objects, the same tests for all."""

from __future__ import annotations

import asyncio
import threading
import unicodedata
from collections.abc import Callable, Iterator

import pytest
from kinds import PREFIX, Kind, stores

from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.errors import ObjectExistsError, ObjectMissingError, VaultError
from airflow_provider_xbackup.vault.store import PART_SIZE

MIB = 1024 * 1024
row = pytest.mark.row


class Broken(FileNotFoundError):  # noqa: N818
    """An error of a source that could be mistaken for one of a store."""


def pattern(size: int) -> bytes:
    """Bytes of which no part is like another."""
    return b"".join(number.to_bytes(8, "big") for number in range(size // 8 + 1))[:size]


def in_blocks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@row("put, and put again")
def test_a_put_stores_and_replaces(kind: Kind, vault: Vault, bucket: str) -> None:
    for data in (b"first", b"", b"the last"):
        assert vault.store.put("a/b.json", data, media_type="application/json").size == len(data)
        assert vault.store.read("a/b.json") == data
    assert kind.keys(bucket) == [f"{PREFIX}/a/b.json"]


@row("streaming put, in one part and in several")
@pytest.mark.parametrize(
    "size",
    [
        pytest.param(0, id="nothing"),
        pytest.param(1, id="a byte"),
        pytest.param(PART_SIZE - 1, id="a byte less than a part"),
        pytest.param(PART_SIZE, id="a part"),
        pytest.param(PART_SIZE + 1, id="a byte more than a part"),
        pytest.param(2 * PART_SIZE, id="two parts"),
        pytest.param(2 * PART_SIZE + 1, id="a byte more than two parts"),
    ],
)
def test_a_stream_is_stored_as_it_is(kind: Kind, vault: Vault, bucket: str, size: int) -> None:
    data = pattern(size)

    stored = vault.store.put_stream("a/b.zip", in_blocks(data, 3 * MIB), media_type="application/zip")

    assert stored.size == size == vault.store.head("a/b.zip").size
    assert b"".join(vault.store.open_stream("a/b.zip")) == data
    assert kind.unfinished(bucket) == []


@row("failing put: nothing stays, no open upload, no temporary file")
@pytest.mark.parametrize(
    "count",
    [
        pytest.param(0, id="at the first block"),
        pytest.param(3, id="within the first part"),
        pytest.param(11, id="at the second part"),
        pytest.param(25, id="at the last block"),
    ],
)
def test_an_error_of_the_source_leaves_nothing(kind: Kind, vault: Vault, bucket: str, count: int) -> None:
    def blocks() -> Iterator[bytes]:
        for _ in range(count):
            yield b"x" * MIB
        raise Broken("the download broke")

    with pytest.raises(Broken, match="the download broke"):
        vault.store.put_stream("a/b.zip", blocks())

    assert not vault.store.exists("a/b.zip")
    assert kind.keys(bucket) == []
    assert kind.unfinished(bucket) == []


@row("create-only: what exists is not created again")
def test_what_exists_is_not_created_again(vault: Vault) -> None:
    vault.store.create("a/m.json", b"first")

    with pytest.raises(ObjectExistsError, match=r"m\.json exists already"):
        vault.store.create("a/m.json", b"second")

    assert vault.store.read("a/m.json") == b"first"


@row("race of two creators: one wins, or the last one's bytes stay whole")
def test_of_creators_at_the_same_instant_one_wins(
    kind: Kind, vault: Vault, outcome_note: Callable[[str], None]
) -> None:
    if "conditions" in kind.lacks:
        outcome_note(f"{kind.lacks['conditions']}: more than one may win, and the last one's bytes stay")
    rounds, bodies = 25, [letter * 50_000 for letter in (b"a", b"b", b"c")]
    barrier = threading.Barrier(len(bodies))
    won: list[set[bytes]] = [set() for _ in range(rounds)]
    lost: list[BaseException] = []

    def create(body: bytes) -> None:
        for number in range(rounds):
            barrier.wait(60)
            try:
                vault.store.create(f"race/{number}.json", body)
            except ObjectExistsError as exc:
                lost.append(exc)
            else:
                won[number].add(body)

    threads = [threading.Thread(target=create, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(map(len, won)) + len(lost) == rounds * len(bodies)
    for number, winners in enumerate(won):
        assert len(winners) == 1 or (winners and "conditions" in kind.lacks)
        assert vault.store.read(f"race/{number}.json") in winners


@row("list of 10,000 objects")
@pytest.mark.parametrize("kind", stores(slow=("moto", "google")), indirect=True)
def test_ten_thousand_objects_are_all_listed(vault: Vault) -> None:
    import obstore

    names = [f"many/{number % 7}/{number:05}" for number in range(10_000)]
    vault.store.put("other", b"")
    raw = vault.store._raw(write=True)

    async def fill() -> None:
        places = asyncio.Semaphore(32)

        async def put(name: str) -> None:
            async with places:
                await obstore.put_async(raw, name, b"", use_multipart=False)

        await asyncio.gather(*map(put, names))

    asyncio.run(fill())

    assert sorted(found.path for found in vault.store.list("many")) == sorted(names)
    assert vault.store.list_folders("many") == tuple("0123456")
    assert len(list(vault.store.list())) == 10_001


@row("ranged read")
@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param(0, 1, id="the first byte"),
        pytest.param(5, 6, id="one byte"),
        pytest.param(7 * MIB, 10 * MIB, id="over a request's end"),
        pytest.param(16 * MIB, None, id="to the end"),
        pytest.param(17 * MIB - 1, 99 * MIB, id="past the end"),
        pytest.param(3, 3, id="nothing"),
    ],
)
def test_a_range_is_read(vault: Vault, start: int, end: int | None) -> None:
    data = pattern(17 * MIB)
    vault.store.put("x", data)

    assert b"".join(vault.store.open_stream("x", start, end)) == data[start:end]


@row("delete, of what is there and of what is not")
def test_what_was_deleted_is_gone_and_deleting_it_again_harms_nothing(
    kind: Kind, vault: Vault, bucket: str
) -> None:
    for name in ("a/1", "a/2"):
        vault.store.put(name, b"x")

    assert vault.store.delete("a/1") is True
    vault.store.delete("a/1")
    vault.store.delete("never/was")

    assert kind.keys(bucket) == [f"{PREFIX}/a/2"]


@row("missing: said so by every read")
def test_what_is_missing_is_said_to_be_missing(vault: Vault) -> None:
    vault.store.put("other", b"")

    for call in (vault.store.head, vault.store.read, lambda path: list(vault.store.open_stream(path))):
        with pytest.raises(ObjectMissingError, match="no/such"):
            call("no/such")
    assert not vault.store.exists("no/such")
    assert list(vault.store.list("no")) == []
    assert vault.store.list_folders("no") == ()


@row("unicode and awkward names")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("two words", id="a space"),
        pytest.param(" both ends ", id="spaces at the ends"),
        pytest.param("a+b", id="plus"),
        pytest.param("100%", id="percent"),
        pytest.param("%2F%20%zz", id="like an escape"),
        pytest.param("#1 of 2", id="number sign"),
        pytest.param("name#17", id="like an unfinished file's"),
        pytest.param("who?when=now&then", id="like a query"),
        pytest.param("a;b=c:d@e!$*'(),", id="punctuation"),
        pytest.param("~`^|<>{}[]'\"", id="more punctuation"),
        pytest.param("dots...", id="trailing dots"),
        pytest.param(".hidden", id="a leading dot"),
        pytest.param("ünïcödé", id="umlauts"),
        pytest.param(unicodedata.normalize("NFD", "ünïcödé"), id="umlauts of two characters each"),
        pytest.param("日本語", id="Japanese"),
        pytest.param("🤖🔒", id="emoji"),
        pytest.param("n" * 200, id="200 characters"),
        pytest.param("ü" * 100, id="200 bytes of umlauts"),
    ],
)
def test_an_account_can_be_called_so(kind: Kind, vault: Vault, bucket: str, name: str) -> None:
    """A name stands in the place of an account's: a folder, at most 200 bytes of UTF-8."""
    path = f"xray/{name}/20261123T014500Z-full-1a2b3c4d/manifest.json"

    vault.store.create(path, name.encode())

    assert vault.store.read(path) == name.encode()
    assert kind.keys(bucket) == [f"{PREFIX}/{path}"]
    assert [found.path for found in vault.store.list(f"xray/{name}")] == [path]
    assert vault.store.list_folders("xray") == (name,)
    vault.store.put_stream(path, [b"again"])
    assert vault.store.delete(path)
    assert kind.keys(bucket) == []


@row("unicode and awkward names")
def test_two_spellings_of_one_name_are_two_names(vault: Vault) -> None:
    composed, decomposed = (unicodedata.normalize(form, "ü") for form in ("NFC", "NFD"))
    vault.store.put(f"xray/{composed}/a", b"composed")
    vault.store.put(f"xray/{decomposed}/a", b"decomposed")

    assert vault.store.read(f"xray/{composed}/a") == b"composed"
    assert vault.store.list_folders("xray") == tuple(sorted((composed, decomposed)))


@row("an object too large to be a record is not read")
def test_an_object_too_large_to_be_a_record_is_not_read(vault: Vault) -> None:
    vault.store.put("manifest.json", b"x" * 1001)

    with pytest.raises(VaultError, match="1001 bytes"):
        vault.store.read("manifest.json", limit=1000)


@row("the store's clock")
def test_the_clock_of_a_store_is_read_and_nothing_stays(
    kind: Kind, vault: Vault, bucket: str, open_vault: Callable[..., Vault]
) -> None:
    import datetime

    vault.store.put("x", b"")
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)

    told = vault.store.clock("xray/clock.1a2b3c4d")

    assert before <= told <= datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)
    assert kind.keys(bucket) == [f"{PREFIX}/x"]
