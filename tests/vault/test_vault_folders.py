"""The folders of a vault, in an order that no store lists them in."""

from __future__ import annotations

import gc
import random
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_xbackup.vault.folders import Folders, Order
from airflow_provider_xbackup.vault.layout import BackupPath

OLD, NEW, NEWEST = (f"2026110{day}T000000Z-full-0000000{day}" for day in (1, 2, 3))
LISTED = [
    f"xray/b/{OLD}/manifest.json",
    f"xray/a/{NEW}/backup.1a2b3c4d.zip",
    f"xray/a/{NEW}/manifest.json",
    f"xenioo/a/{NEW}/manifest.json",
    f"xray/a/{NEW}/checks/20261105T000000Z-1a2b3c4d.json",
    f"xray/a b/{NEWEST}/manifest.json",
    f"xray/a/{NEWEST}/manifest.json",
    f"xray/a/{NEWEST}/tombstone.json",
    f"xray/a/{OLD}/tombstone.json",
    f"xray/a/{OLD}/backup.1a2b3c4d.zip",
    "xray/a/no-backup/manifest.json",
    "notes.txt",
]


@pytest.fixture(params=range(3))
def listed(request: pytest.FixtureRequest) -> list[str]:
    """All of them, in several orders."""
    listed = list(LISTED)
    random.Random(request.param).shuffle(listed)
    return listed


def names(folders: Folders) -> list[str]:
    return [path.folder for path, _ in folders]


def test_the_newest_come_first(listed: list[str]):
    assert names(Folders(listed)) == [
        f"xray/a b/{NEWEST}",
        f"xray/a/{NEWEST}",
        f"xray/a/{NEW}",
        f"xenioo/a/{NEW}",
        f"xray/b/{OLD}",
    ]


def test_accounts_come_one_after_the_other(listed: list[str]):
    assert names(Folders(listed, Order.BY_ACCOUNT)) == [
        f"xenioo/a/{NEW}",
        f"xray/a/{NEWEST}",
        f"xray/a/{NEW}",
        f"xray/a b/{NEWEST}",
        f"xray/b/{OLD}",
    ]


@pytest.mark.parametrize("order", Order)
def test_a_folder_comes_with_all_that_it_holds(listed: list[str], order: Order):
    held = {path.folder: set(held) for path, held in Folders(listed, order)}

    assert held[f"xray/a/{NEW}"] == {
        "manifest.json",
        "backup.1a2b3c4d.zip",
        "checks/20261105T000000Z-1a2b3c4d.json",
    }
    assert held[f"xray/a/{NEWEST}"] == {"manifest.json", "tombstone.json"}


@pytest.mark.parametrize("order", Order)
def test_it_is_told_which_are_there_and_which_are_half_removed(listed: list[str], order: Order):
    folders = Folders(listed, order)

    assert BackupPath("xray", "a", NEW) in folders
    assert BackupPath("xray", "a", OLD) not in folders  # no manifest
    assert BackupPath("xray", "b", NEW) not in folders
    assert folders.half_removed() == (BackupPath("xray", "a", OLD),)


def test_what_is_listed_twice_is_there_once():
    assert len(list(Folders([*LISTED, *LISTED]))) == 5


def test_one_may_be_looked_for_while_they_are_listed(listed: list[str]):
    folders = Folders(listed)

    assert all(path in folders for path, _ in folders)


def test_whoever_still_asks_when_nobody_lists_any_more_gets_an_answer():
    """Readers go on where a listing is given up: closing the database under them would end the process."""
    names = [f"xray/a/20261101T{hour:02}0000Z-full-00000001/manifest.json" for hour in range(24)]
    path = BackupPath("xray", "a", "20261101T000000Z-full-00000001")
    started = threading.Barrier(9)

    def ask(folders: Folders) -> int:
        started.wait(15)
        return sum(path in folders for _ in range(2000))

    with ThreadPoolExecutor(8) as threads:
        folders = Folders(names)
        asked = [threads.submit(ask, folders) for _ in range(8)]
        listing = iter(folders)
        next(listing)
        started.wait(15)
        del folders, listing
        gc.collect()

        assert [each.result(60) for each in asked] == [2000] * 8


@pytest.mark.parametrize("order", Order)
def test_memory_does_not_grow_with_the_number_of_folders(order: Order):
    def listed(number: int) -> Iterator[str]:
        start = datetime(2020, 1, 1, tzinfo=UTC)
        for each in range(number):
            folder = f"xray/account-{each % 7}/{start + timedelta(hours=each):%Y%m%dT%H%M%SZ}-full-{each:08x}"
            yield from (f"{folder}/backup.{each:08x}.zip", f"{folder}/manifest.json")

    tracemalloc.start()
    try:
        assert sum(1 for _ in Folders(listed(500), order)) == 500
        few = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        assert sum(1 for _ in Folders(listed(20_000), order)) == 20_000
        assert tracemalloc.get_traced_memory()[1] < few + (1 << 20)
    finally:
        tracemalloc.stop()
