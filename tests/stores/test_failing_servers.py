"""Servers that fail, stall and lose bytes, in front of every store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from kinds import Kind, stores
from servers.proxy import (
    Proxy,
    Request,
    Rule,
    When,
    answer_with,
    anything,
    break_off_towards,
    cut_answer,
    flip_a_bit,
    lose_half,
    reset_after,
    reset_before,
    slowly,
    stall,
)

from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.checks import Level
from airflow_provider_xbackup.vault.errors import StoreUnavailableError, VaultError
from airflow_provider_xbackup.vault.examination import Examination, Subject, Wanted
from airflow_provider_xbackup.vault.manifest import Producer
from airflow_provider_xbackup.vault.store import Store

row = pytest.mark.row
MIB = 1024 * 1024
DATA = bytes(range(256)) * (21 * MIB // 256)
FOLDER = "xray/acme/20261123T014500Z-full-1a2b3c4d"


def with_body(request: Request) -> bool:
    """The requests that carry an object, or a part of one."""
    return request.method == "PUT" and len(request.body) > 100 and b"<?xml" not in request.body[:5]


def begins_upload(request: Request) -> bool:
    return request.method == "POST" and "uploads" in request.target


def a_read(request: Request) -> bool:
    return request.method == "GET"


def read_all(store: Store, path: str) -> bytes:
    return b"".join(store.open_stream(path))


def put_and_read(store: Store) -> None:
    store.put("a/small", b"small" * 100)
    store.put_stream("a/large", iter([DATA]))
    assert store.read("a/small") == b"small" * 100
    assert read_all(store, "a/large") == DATA
    assert sorted(found.path for found in store.list("a")) == ["a/large", "a/small"]
    assert store.list_folders() == ("a",)
    store.delete("a/small")
    assert not store.exists("a/small")


# Each is what a client has to survive, at the worst request for it.
PASSING = [
    pytest.param(anything, lambda _: reset_before, 3, id="resets before the request arrived"),
    pytest.param(a_read, lambda _: reset_after, 3, id="resets after a read"),
    pytest.param(with_body, lambda _: reset_after, 3, id="resets after a write"),
    pytest.param(anything, lambda _: answer_with(500, "InternalError"), 5, id="500, five times"),
    pytest.param(anything, lambda _: answer_with(503, "SlowDown"), 5, id="503 SlowDown, five times"),
    pytest.param(a_read, lambda _: cut_answer, 3, id="answers that are cut off"),
    pytest.param(with_body, lambda proxy: break_off_towards(proxy.upstream), 3, id="uploads that are cut off"),
]


@row("passing faults: resets, 500, SlowDown, cut off answers and uploads")
@pytest.mark.parametrize(("where", "fault", "times"), PASSING)
def test_a_fault_that_passes_is_survived(
    between: Proxy, beyond: Vault, quick_retries: None, where: Callable[[Request], bool],
    fault: Callable[[Proxy], Rule], times: int,
) -> None:  # fmt: skip
    between.rules.append(When(where, fault(between), times=times))

    put_and_read(beyond.store)


@row("passing faults: resets, 500, SlowDown, cut off answers and uploads")
@pytest.mark.parametrize("fault", [reset_before, answer_with(503, "SlowDown")], ids=["resets", "SlowDown"])
def test_a_store_that_fails_at_every_request_once_is_survived(
    kind: Kind, between: Proxy, beyond: Vault, quick_retries: None, fault: Rule
) -> None:
    met: set[tuple[str, str, int]] = set()

    def first_time(request: Request) -> bool:
        if begins_upload(request) and "repeated beginnings" in kind.lacks:
            return False
        key = (request.method, request.target, len(request.body))
        return key not in met and not met.add(key)  # type: ignore[func-returns-value]

    between.rules.append(When(first_time, fault))

    put_and_read(beyond.store)


@row("a reset as an upload begins is survived")
def test_a_reset_as_an_upload_begins_is_survived(
    kind: Kind, need: Callable[..., None], between: Proxy, beyond: Vault, bucket: str, quick_retries: None
) -> None:
    need("beginnings", "repeated beginnings")
    between.rules.append(When(begins_upload, reset_before, times=1))

    beyond.store.put_stream("a/b.zip", iter([DATA]))

    assert read_all(beyond.store, "a/b.zip") == DATA
    assert kind.unfinished(bucket) == []


@row("a reset as an upload begins: an error, and the next try stores it")
@pytest.mark.parametrize("kind", stores("google"), indirect=True)
def test_a_reset_as_an_upload_begins_ends_the_attempt(
    kind: Kind, between: Proxy, beyond: Vault, bucket: str, quick_retries: None
) -> None:
    """obstore repeats no request to GCS that may have made something that nobody would know of."""
    between.rules.append(When(begins_upload, reset_before, times=1))

    with pytest.raises(StoreUnavailableError):
        beyond.store.put_stream("a/b.zip", iter([DATA]))
    assert kind.unfinished(bucket) == []
    beyond.store.put_stream("a/b.zip", iter([DATA]))

    assert read_all(beyond.store, "a/b.zip") == DATA


@row("an answer to the manifest's write that is lost: the backup exists, once")
def test_a_lost_answer_to_the_manifest_leaves_one_backup(
    kind: Kind, between: Proxy, beyond: Vault, bucket: str, quick_retries: None,
    store_backup: Callable[..., Any],
) -> None:  # fmt: skip
    def manifest(request: Request) -> bool:
        return request.method == "PUT" and unquote(request.target).endswith("/manifest.json")

    between.rules.append(When(manifest, reset_after, times=1))

    backup = store_backup(beyond)

    assert [each.manifest for each in beyond.backups()] == [backup.manifest]
    assert len(kind.keys(bucket)) == 2


@row("a lost answer at the end of an upload: the object is there, and whole")
def test_a_lost_answer_to_the_last_request_of_an_upload_is_survived(
    kind: Kind, between: Proxy, beyond: Vault, bucket: str, quick_retries: None
) -> None:
    def completes(request: Request) -> bool:
        return (request.method == "POST" and "uploadId" in request.target) or "comp=blocklist" in request.target

    between.rules.append(When(completes, reset_after, times=1))

    assert beyond.store.put_stream("a/b.zip", iter([DATA])).size == len(DATA)

    assert read_all(beyond.store, "a/b.zip") == DATA
    assert kind.unfinished(bucket) == []


@row("slow answers are waited for, and asked for once")
def test_a_slow_store_is_waited_for(between: Proxy, beyond: Vault) -> None:
    put_and_read(beyond.store)
    requests = len(between.seen)
    between.rules.append(When(anything, slowly(between, pause=0.1)))

    put_and_read(beyond.store)

    assert len(between.seen) == 2 * requests


@row("a slow answer that takes longer than the patience for one request: given up with a clear error")
def test_a_store_that_is_slower_than_the_patience_is_given_up(
    between: Proxy, beyond: Vault, short_of_patience: None
) -> None:
    beyond.store.put("x", b"0123456789")
    between.rules.append(When(a_read, slowly(between, pause=0.5)))

    with pytest.raises(StoreUnavailableError, match="does not answer"):
        beyond.store.read("x")


@row("a stall ends with a clear error")
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda store: store.prepare(), id="prepare"),
        pytest.param(lambda store: store.put("x", b"1"), id="put"),
        pytest.param(lambda store: store.create("x", b"1"), id="create"),
        pytest.param(lambda store: store.put_stream("x", iter([DATA])), id="streaming put"),
        pytest.param(lambda store: store.read("x"), id="read"),
        pytest.param(lambda store: list(store.list()), id="list"),
        pytest.param(lambda store: store.delete("x"), id="delete"),
    ],
)
def test_a_store_that_says_nothing_is_given_up(
    between: Proxy, beyond: Vault, short_of_patience: None, call: Callable[[Store], object]
) -> None:
    between.rules.append(When(anything, stall(between)))

    with pytest.raises(StoreUnavailableError, match=r"does not answer \(timed out\)") as caught:
        call(beyond.store)

    assert caught.value.retryable


@row("a store that goes on failing: a clear error, nothing half written")
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        pytest.param(answer_with(503, "SlowDown"), "503, SlowDown", id="SlowDown"),
        pytest.param(answer_with(500, "InternalError"), "500, InternalError", id="500"),
        pytest.param(reset_before, "does not answer", id="resets"),
    ],
)
def test_a_store_that_goes_on_failing_is_told(
    kind: Kind, between: Proxy, beyond: Vault, bucket: str, short_of_patience: None, fault: Rule, says: str
) -> None:
    between.rules.append(When(with_body, fault))

    for call in (
        lambda: beyond.store.put("a/small", b"small" * 100),
        lambda: beyond.store.put_stream("a/b.zip", iter([DATA])),
    ):
        with pytest.raises(StoreUnavailableError, match=says):
            call()

    assert kind.keys(bucket) == []
    assert kind.unfinished(bucket) == []


@row("bytes that are lost on the way to the store make no backup")
@pytest.mark.parametrize("size", [pytest.param(MIB, id="one part"), pytest.param(21 * MIB, id="several parts")])
def test_half_an_upload_makes_no_backup(
    between: Proxy, beyond: Vault, short_of_patience: None, store_backup: Callable[..., Any], size: int
) -> None:
    between.rules.append(When(with_body, lose_half, times=1))

    with pytest.raises(VaultError):
        store_backup(beyond, blocks=[DATA[:size]])

    assert list(beyond.backups()) == []
    assert store_backup(beyond, blocks=[DATA[:size]]).manifest.stored_size == size


@row("a bit that flips on the way to the store: refused, or found by verification")
def test_a_bit_that_flips_on_the_way_is_found(
    kind: Kind, between: Proxy, beyond: Vault, short_of_patience: None, store_backup: Callable[..., Any],
    outcome_note: Callable[[str], None],
) -> None:  # fmt: skip
    between.rules.append(When(with_body, flip_a_bit, times=1))
    if "digests" in kind.lacks:
        outcome_note(f"{kind.lacks['digests']}: found by verification")

    if "digests" not in kind.lacks:
        with pytest.raises(VaultError):
            store_backup(beyond)
        assert list(beyond.backups()) == []
    else:
        backup = store_backup(beyond)
        wanted = Wanted(Level.DIGEST, Producer(package_version="0"))
        check = Examination(beyond.store, Subject(backup), wanted).run()
        assert [finding.code for finding in check.findings] == ["stored-digest"]
