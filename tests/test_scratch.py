"""What is too much for memory goes to a temporary file."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import sqlite3
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_provider_xbackup.errors import ScratchError
from airflow_provider_xbackup.scratch import Scratch

TABLE = "CREATE TABLE notes (number INT PRIMARY KEY, text TEXT) WITHOUT ROWID"
COUNT = "SELECT count(*) FROM notes"
KIB = "x" * 1024


def fill(scratch: Scratch, start: int, end: int) -> None:
    """Write rows of a KiB each."""
    for first in range(start, end, 100):
        scratch.write("INSERT INTO notes VALUES (?, ?)", [(each, KIB) for each in range(first, first + 100)])


def temporary_files() -> list[str]:
    """What of it lies in files: names that SQLite gives, of files that have gone from their folder."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the listing's own
            found.append(os.readlink(link))
    return [name for name in found if "etilqs" in name]


@pytest.fixture
def no_room() -> Iterator[None]:
    """No file can be longer than 64 KiB, as if there were no room for more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_is_too_much_for_memory_lies_in_a_file_that_nobody_sees():
    with Scratch(TABLE, memory=1) as scratch:
        fill(scratch, 0, 100)
        assert temporary_files() == []

        fill(scratch, 100, 8000)

        (file,) = temporary_files()
        assert file.endswith(" (deleted)")
        assert list(scratch.ask("SELECT count(*), sum(length(text)) FROM notes")) == [(8000, 8000 * 1024)]
    assert temporary_files() == []


def test_rows_come_in_order_while_other_questions_are_asked_by_other_threads():
    with Scratch(TABLE) as scratch, ThreadPoolExecutor(8) as threads:
        scratch.write("INSERT INTO notes VALUES (?, ?)", [(each, str(each)) for each in range(5000)])

        def text_of(row: tuple[int]) -> str:
            ((text,),) = scratch.ask("SELECT text FROM notes WHERE number = ?", row)
            return str(text)

        ordered = scratch.ask("SELECT number FROM notes ORDER BY number DESC")

        assert list(threads.map(text_of, ordered)) == [str(each) for each in reversed(range(5000))]


@pytest.mark.usefixtures("no_room")
def test_where_there_is_no_room_somebody_is_told_what_to_do():
    with Scratch(TABLE, memory=1) as scratch, pytest.raises(ScratchError, match="TMPDIR") as told:
        fill(scratch, 0, 8000)

    assert told.value.retryable
    assert str(told.value).startswith("A temporary file could not be written in /")
    assert "\n" not in str(told.value)


@pytest.mark.usefixtures("no_room")
def test_what_could_not_be_written_whole_is_not_asked_any_more():
    with Scratch(TABLE, memory=1) as scratch:
        for use in (
            lambda: fill(scratch, 0, 8000),
            lambda: fill(scratch, 0, 100),
            lambda: list(scratch.ask(COUNT)),
        ):
            with pytest.raises(ScratchError, match="TMPDIR"):
                use()


@pytest.mark.usefixtures("no_room")
def test_where_there_is_no_room_to_sort_somebody_is_told_as_well():
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000)"
    with Scratch(TABLE, memory=1) as scratch, pytest.raises(ScratchError, match="TMPDIR"):
        list(scratch.ask(f"{many} SELECT i, printf('%01000d', i) FROM n ORDER BY 2 DESC"))


def test_a_mistake_in_a_statement_is_not_taken_for_want_of_room():
    with Scratch(TABLE) as scratch, pytest.raises(sqlite3.OperationalError, match="no such table"):
        list(scratch.ask("SELECT 1 FROM missing"))


def test_what_nobody_uses_any_more_is_closed():
    scratch = Scratch(TABLE, memory=1)
    fill(scratch, 0, 8000)
    gone = weakref.ref(scratch)

    del scratch
    gc.collect()

    assert gone() is None
    assert temporary_files() == []
