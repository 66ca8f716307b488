"""Waiting for calls in other threads: what ends a wait, and what is kept of a call that failed."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.ahead import read_ahead
from airflow_provider_xbackup.vault.waiting import handed_over, interruptible

Make = Callable[[], bytes]


class Bytes(bytearray):
    """Bytes of which one can see whether they are still there."""


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Nothing goes that refers to itself: a busy process collects its garbage late."""
    gc.disable()
    yield
    gc.enable()


def fail(*_: object) -> None:
    raise ValueError("failed")


def a_call(make: Make, folder: Path) -> None:
    body = make()
    interruptible(lambda: fail(body))


def a_store_that_takes_one_block(make: Make, folder: Path) -> None:
    handed_over((make() for _ in range(9)), lambda blocks: fail(next(blocks)))


def blocks_that_break_off(make: Make, folder: Path) -> None:
    handed_over(broken_off(make, 2), lambda blocks: sum(map(len, blocks)))


def reads(make: Make, folder: Path) -> None:
    def read(key: int) -> int:
        body = make()
        return len(body) // (key - 3)

    for _ in read_ahead(read, range(20), 2):
        pass


def a_refused_object(make: Make, folder: Path) -> None:
    Vault.open(folder).store.put("../outside", make())


def a_small_object(make: Make, folder: Path) -> None:
    Vault.open(folder).store.put_stream("small", broken_off(make, 1))


def a_large_object(make: Make, folder: Path) -> None:
    Vault.open(folder).store.put_stream("large", broken_off(make, 12))


def a_changed_object(make: Make, folder: Path) -> None:
    store = Vault.open(folder).store
    store.put("changed", bytes(20 << 20))
    blocks = store.open_stream("changed")
    body = make()
    next(blocks)
    store.put("changed", body)
    for _ in blocks:
        pass


def broken_off(make: Make, after: int) -> Iterator[bytes]:
    for _ in range(after):
        yield make()
    fail()


@pytest.mark.parametrize(
    "failing",
    [
        a_call,
        a_store_that_takes_one_block,
        blocks_that_break_off,
        reads,
        a_refused_object,
        a_small_object,
        a_large_object,
        a_changed_object,
    ],
)
def test_nothing_is_kept_of_what_failed(uncollected: None, tmp_path: Path, failing: Callable[[Make, Path], None]):
    kept: list[weakref.ref[Bytes]] = []

    def make() -> bytes:
        made = Bytes(1 << 20)
        kept.append(weakref.ref(made))
        return made  # type: ignore[return-value]

    with pytest.raises(Exception) as caught:  # noqa: PT011 - of whatever kind
        failing(make, tmp_path)
    del caught

    assert kept
    end = time.monotonic() + 10  # threads may just be about to let go
    while any(made() is not None for made in kept) and time.monotonic() < end:
        threading.Event().wait(0.01)
    assert [made for made in kept if made() is not None] == []


def test_no_more_threads_read_than_were_asked_for():
    threads = set()

    def read(key: int) -> int:
        threads.add(threading.get_ident())
        return key

    assert [result for _, result in read_ahead(read, range(200), 3)] == list(range(200))
    assert len(threads) <= 3


def test_an_error_is_raised_when_the_reads_under_way_have_ended():
    second, ended = threading.Event(), threading.Event()

    def read(key: int) -> None:
        if key:
            second.set()
            threading.Event().wait(0.1)
            ended.set()
        else:
            second.wait()
            fail()

    with pytest.raises(ValueError, match="failed"):
        list(read_ahead(read, range(2), 2))

    assert ended.is_set()


def test_who_takes_no_more_results_waits_for_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("airflow_provider_xbackup.vault.ahead.GRACE", 3600)
    answered = threading.Event()
    reads = read_ahead(lambda key: key and answered.wait(), range(9), 4)
    assert next(reads) == (0, 0)

    closing = threading.Thread(target=reads.close, daemon=True)
    closing.start()
    closing.join(10)

    assert not closing.is_alive()
    answered.set()


def test_what_is_still_queued_when_no_more_is_taken_is_not_read():
    begun: list[int] = []
    go_on = threading.Event()

    def read(key: int) -> None:
        begun.append(key)
        if key:
            go_on.wait()

    others = threading.enumerate()
    reads = read_ahead(read, range(9), 2)
    next(reads)
    readers = [thread for thread in threading.enumerate() if thread not in others]
    reads.close()
    go_on.set()
    for reader in readers:
        reader.join()

    assert len(readers) == 2
    assert set(begun) <= {0, 1, 2}
