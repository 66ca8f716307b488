"""Files that come over several connections: the same bytes in the same order, and the same judgement of faults."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest
from stand_in import DATA, STORAGE

from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.hooks.xray import XrayHook
from airflow_provider_xbackup.services.xray import Artifact
from airflow_provider_xbackup.simulator import Simulator
from airflow_provider_xbackup.transfer import download, parts
from airflow_provider_xbackup.transfer.download import Download, Resume
from airflow_provider_xbackup.transfer.errors import RefusedFileError
from airflow_provider_xbackup.transfer.parts import Budget, NoPartsError, Parts

PART = 200_000
CONNECTIONS = 4


@pytest.fixture(autouse=True)
def slow(several_connections: None) -> None:
    """Every connection counts as slow."""


@pytest.fixture
def content(sim: Simulator, finished_job: Callable[..., Any], served: Callable[..., bytes]) -> bytes:
    sim.settings.xray.tenants["demo-client"].data.padding_bytes = 4_000_000
    sim.settings.xray.download.link_one_time = False
    finished_job()
    content = served()
    sim.journal.clear()
    return content


def begin(connections: int = CONNECTIONS, budget: Budget | None = None) -> Download:
    return Download(XrayHook("acme").client, Artifact.DATA, connections, budget)


def read(download: Download) -> bytes:
    with download:
        return b"".join(download.blocks())


def parts_of(sim: Simulator) -> list[Any]:
    """The requests for parts that reached the storage."""
    return [entry for entry in sim.journal.entries(path="/_storage/…") if "range" in entry.headers]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Resume]:
    """What was asked for, in the order of the asking."""
    asked: list[Resume] = []

    def note(client: Any, artifact: Artifact, resume: Resume | None = None, link: str | None = None) -> Any:
        asked.extend([resume] if resume else [])
        return open_file(client, artifact, resume, link)

    open_file = download.open_file
    monkeypatch.setattr(download, "open_file", note)
    return asked


def test_a_slow_file_comes_in_parts_each_of_them_asked_for_once(content: bytes, asked: list[Resume]):
    begun = begin()

    assert read(begun) == content
    spans = sorted((resume.offset, resume.end) for resume in asked)
    assert len(spans) > 10
    assert spans[-1][1] == len(content)
    assert all(after[0] == before[1] for before, after in itertools.pairwise(spans))
    assert begun.resumed == 0


def test_every_part_names_the_file_that_it_is_to_be_of(sim: Simulator, content: bytes):
    read(begin())

    assert all("if-range" in entry.headers for entry in parts_of(sim))


def test_as_many_parts_as_there_are_connections_are_under_way():
    reached = threading.Barrier(CONNECTIONS)

    def wait(start: int, end: int) -> Any:
        reached.wait(20)
        raise NoPartsError("That was all.")

    with pytest.raises(NoPartsError):
        list(Parts(wait, CONNECTIONS, PART).blocks(0, 100 * PART))


@pytest.mark.parametrize("redirect", [pytest.param(True, id="links"), pytest.param(False, id="no links")])
def test_the_connections_of_two_files_are_kept_open(
    sim: Simulator, content: bytes, caplog: pytest.LogCaptureFixture, redirect: bool
):
    sim.settings.xray.download.redirect = redirect
    client = XrayHook("acme").client

    opened = [download.open_file(client, Artifact.DATA) for _ in range(2 * parts.MOST_CONNECTIONS)]
    for one in opened:
        assert sum(map(len, one.blocks())) == len(content)

    assert "pool is full" not in caplog.text


def test_a_part_that_is_longer_than_announced_is_not_used():
    class Longer:
        def blocks(self, size: int) -> Any:
            yield bytes(PART)
            yield b"!"

        abort = MagicMock()

    with pytest.raises(NoPartsError, match="longer than was announced"):
        list(Parts(lambda start, end: contextlib.nullcontext(Longer()), 1, PART).blocks(0, PART))  # type: ignore[arg-type]


@pytest.mark.parametrize("wanted", [1, 2, 3, 8, 16])
@pytest.mark.parametrize("files", [1, 2])
@pytest.mark.parametrize("costly", [False, True])
def test_the_parts_of_all_files_fit_into_the_memory(wanted: int, files: int, costly: bool):
    budget = Budget(files)
    connections = budget.connections(wanted, costly=costly)

    assert 1 <= connections <= max(2, wanted)
    assert 0.9 * parts.MEMORY < files * connections * budget.part_size(connections) <= parts.MEMORY


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        pytest.param("ranges", False, id="no ranges"),
        pytest.param("etag", "weak", id="weak ETag"),
        pytest.param("etag", "none", id="a time that has not passed yet"),
        pytest.param("content_length", False, id="no length"),
        pytest.param("gzip", True, id="encoded"),
    ],
)
def test_what_cannot_be_had_in_parts_comes_over_one_connection(
    sim: Simulator, content: bytes, setting: str, value: Any
):
    setattr(sim.settings.xray.download, setting, value)
    begun = begin()

    assert read(begun) == content
    assert (parts_of(sim), begun.resumed) == ([], 0)


def test_a_time_that_has_passed_identifies_a_file(sim: Simulator, content: bytes):
    sim.settings.xray.download.etag = "none"
    sim.settings.xray.download.last_modified_offset = -120

    assert read(begin()) == content
    assert len(parts_of(sim)) > 10


def test_one_connection_is_enough_where_it_is_fast(
    sim: Simulator, content: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(parts, "ENOUGH", 1)

    assert read(begin()) == content
    assert parts_of(sim) == []


def test_one_connection_is_all_where_no_more_are_allowed(sim: Simulator, content: bytes):
    assert read(begin(connections=1)) == content
    assert parts_of(sim) == []


# Links and the vendor's budget


def test_a_lasting_link_is_asked_for_once(sim: Simulator, content: bytes):
    read(begin())

    assert len(sim.journal.entries(path=DATA)) == 1


def test_links_that_are_good_for_once_are_asked_for_anew(sim: Simulator, content: bytes):
    sim.settings.xray.download.link_one_time = True
    begun = begin()

    assert read(begun) == content
    assert len(sim.journal.entries(path=DATA)) > 10
    assert begun.resumed == 0


@pytest.mark.parametrize("redirect", [pytest.param(True, id="one-time links"), pytest.param(False, id="no links")])
def test_when_the_services_requests_are_spent_one_connection_goes_on(
    sim: Simulator, content: bytes, redirect: bool
):
    sim.settings.xray.download.link_one_time = True
    sim.settings.xray.download.redirect = redirect
    begun = begin(budget=Budget(left=5))

    assert read(begun) == content
    assert len(sim.journal.entries(path=DATA)) == 1 + 5 + 1
    assert begun.resumed == 1


# Faults


FAULTS = [
    pytest.param({"action": "reset", "after_bytes": 100_000}, id="reset"),
    pytest.param({"action": "reset"}, id="reset before anything"),
    pytest.param({"action": "truncate", "after_bytes": 100_000}, id="early end under its length"),
    pytest.param({"action": "truncate", "after_bytes": 100_000, "length": "chunked"}, id="without a length"),
    pytest.param({"action": "truncate", "after_bytes": 100_000, "length": "silent"}, id="without a word"),
    pytest.param({"action": "stall", "after_bytes": 100_000}, id="stall"),
    pytest.param({"action": "wrong_length", "difference": -500}, id="shorter"),
    pytest.param({"action": "wrong_length", "difference": 500}, id="longer"),
    pytest.param({"action": "status", "status": 403}, id="a link that is refused"),
    pytest.param({"action": "status", "status": 404, "body": "{}"}, id="404"),
    pytest.param({"action": "status", "status": 416}, id="416"),
    pytest.param({"action": "status", "status": 429}, id="429"),
    pytest.param({"action": "status", "status": 503}, id="503"),
    pytest.param({"action": "status", "status": 200, "body": "x"}, id="another file"),
    pytest.param({"action": "status", "status": 206, "body": "x"}, id="206 without its range"),
    pytest.param({"action": "headers", "set": {"content-range": "bytes 0-5/6"}}, id="206 from elsewhere"),
    pytest.param({"action": "headers", "set": {"etag": '"another"'}}, id="another ETag"),
    pytest.param(
        {"action": "headers", "set": {"last-modified": "Mon, 05 Jan 2026 00:00:00 GMT"}}, id="another day"
    ),
    pytest.param({"action": "gzip"}, id="encoded"),
    pytest.param({"action": "html", "status": 200}, id="a page"),
]


@pytest.mark.parametrize("after", [pytest.param(0, id="first part"), pytest.param(6, id="a later part")])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_goes_wrong_with_a_part_once_is_made_good(
    sim: Simulator, content: bytes, fault: dict[str, Any], after: int
):
    sim.add_fault(path=STORAGE, header="range", after=after, **fault)

    assert read(begin()) == content


@pytest.mark.parametrize("fault", FAULTS)
def test_what_goes_wrong_with_many_parts_yields_the_file_or_an_error(
    sim: Simulator, content: bytes, fault: dict[str, Any]
):
    sim.add_fault(path=STORAGE, header="range", times=9, **fault)

    with contextlib.suppress(BackupError):
        assert read(begin()) == content


def test_a_part_that_breaks_is_gone_on_with_where_it_broke(sim: Simulator, content: bytes, asked: list[Resume]):
    sim.add_fault(action="reset", path=STORAGE, header="range", after_bytes=100_000)
    begun = begin()

    assert read(begun) == content
    starts = sorted(resume.offset for resume in asked)
    assert any(after - before == 100_000 for before, after in itertools.pairwise(starts))
    assert begun.resumed == 0


def test_a_server_that_stands_fewer_connections_gets_fewer(sim: Simulator, content: bytes):
    sim.add_fault(action="status", status=429, path=STORAGE, header="range", times=5 * CONNECTIONS)
    begun = begin()

    assert read(begun) == content
    assert begun.resumed >= 1


def test_a_file_that_is_replaced_meanwhile_is_never_spliced(sim: Simulator, content: bytes):
    sim.add_fault(action="replace_file", path=STORAGE, header="range", after=3)

    with pytest.raises(RefusedFileError):
        read(begin())


def test_who_stops_reading_leaves_no_connection_behind(sim: Simulator, content: bytes):
    sim.add_fault(action="stall", path=STORAGE, header="range", after_bytes=10, after=1, times=None)
    with begin() as begun, contextlib.closing(begun.blocks()) as blocks:
        next(blocks)
        alone = begun.received
        while begun.received == alone:
            next(blocks)

    for thread in [thread for thread in threading.enumerate() if thread.name == "xbackup-store"]:
        thread.join(0.5)  # a stall would last a second
        assert not thread.is_alive()
