"""What failed attempts and killed processes leave in a vault, and what of it goes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from s3_gate import Gate

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import Vault, connect
from airflow_provider_xbackup.vault.errors import (
    MissingBucketError,
    StoreUnavailableError,
    UnwritableFolderError,
    VaultAccessError,
)
from airflow_provider_xbackup.vault.garbage import Collection, collect_garbage, find_garbage
from airflow_provider_xbackup.vault.records import Hold

BACKUP_ID = "20261123T014500Z-full-1a2b3c4d"
FOLDER = f"xray/acme/{BACKUP_ID}"
OTHER = f"{FOLDER}/backup.00000000.zip"
CHECK = f"{FOLDER}/checks/20261124T000000Z-00ff00ff.json"
AT_ONCE = timedelta(0)
LATER = datetime(2100, 1, 1, tzinfo=UTC)
EARLIER = datetime(2026, 1, 1, tzinfo=UTC)


def grow_old(vault: Vault, days: float = 8, *paths: str) -> None:
    """Let the store believe that everything, or some objects, were written long ago."""
    ago = timedelta(days=days)
    if vault.url.scheme == "file":
        root = Path(vault.url.prefix)
        instant = (datetime.now(UTC) - ago).timestamp()
        for path in [root / path for path in paths] or [*root.rglob("*")]:
            os.utime(path, (instant, instant))
        return
    from moto.s3.models import s3_backends

    (backends,) = s3_backends.values()
    bucket = backends["aws"].buckets[vault.url.bucket]
    parts = [part for upload in bucket.multiparts.values() for part in upload.parts.values()]
    wanted = {f"{vault.url.prefix}/{path}" for path in paths}
    for stored in [*bucket.keys.values(), *parts]:
        if not wanted or stored.name in wanted:
            stored.last_modified -= ago


def names(vault: Vault) -> list[str]:
    return sorted(found.path for found in vault.store.list())


def found(vault: Vault, **options: Any) -> list[tuple[str, str]]:
    return sorted((garbage.path, garbage.what) for garbage in find_garbage(vault, **options))


def hold(until: datetime | None = None) -> bytes:
    return Hold(who="ada", why="an audit", at=EARLIER, until=until).to_json()


# -- files of attempts -------------------------------------------------------------------------------------


def test_the_file_of_another_attempt_goes_after_its_age_and_not_before(vault: Vault, take) -> None:
    take(vault)
    before = names(vault)
    vault.store.put(OTHER, b"other")
    assert found(vault) == []
    assert collect_garbage(vault) == Collection()
    grow_old(vault)
    assert found(vault) == [(OTHER, "attempt")]
    collected = collect_garbage(vault)
    assert [garbage.path for garbage in collected.removed] == [OTHER]
    assert collected.bytes == 5
    assert names(vault) == before
    assert collect_garbage(vault) == Collection()


def test_a_whole_backup_and_what_was_said_about_it_are_never_touched(vault: Vault, take, commit) -> None:
    take(vault)
    draft = vault.draft("xenioo", "welcome", BACKUP_ID)
    draft.add("bot", [b"{}"], media_type="application/json", compress=True)
    commit(draft)
    for name in ("hold.json", "accepted.json", "tombstone.json"):
        vault.store.put(f"{FOLDER}/{name}", b"{}")
    vault.store.put(CHECK, b"{}")
    vault.store.put(f"xenioo/welcome/{BACKUP_ID}/bot.00000000.json", b"of an attempt: a reason to look closer")
    before = {name: vault.store.read(name) for name in names(vault)}
    grow_old(vault, 3000)
    (gone,) = collect_garbage(vault, older_than=AT_ONCE).removed
    del before[gone.path]
    assert gone.path.endswith("bot.00000000.json")
    assert {name: vault.store.read(name) for name in names(vault)} == before


@pytest.mark.parametrize(
    ("objects", "stay"),
    [
        pytest.param({"backup.00000000.zip": b"", "attachments.00000001.zip.age": b""}, False, id="attempts"),
        pytest.param(
            {"backup.00000000.zip": b"", "accepted.json": b"{}", "checks/20261124T000000Z-00ff00ff.json": b"{}"},
            False,
            id="records of a backup that is gone",
        ),
        pytest.param({"backup.00000000.zip": b"", "hold.json": hold()}, True, id="held"),
        pytest.param({"backup.00000000.zip": b"", "hold.json": hold(LATER)}, True, id="still held"),
        pytest.param({"backup.00000000.zip": b"", "hold.json": hold(EARLIER)}, False, id="held no longer"),
        pytest.param({"backup.00000000.zip": b"", "hold.json": b"half"}, True, id="held, the record damaged"),
        pytest.param(
            {"backup.00000000.zip": b"", "accepted.json": b"", "tombstone.json": b""}, True, id="half removed"
        ),
        pytest.param(
            {"notes.txt": b"", "backup.zip": b"", "backup.00000000.json": b"", "backup.00000000.zip.part": b"",
             "checks/mine.json": b"", "more/backup.00000000.zip": b""},
            True,
            id="names that are not ours",
        ),
    ],
)  # fmt: skip
def test_in_a_folder_without_a_manifest(vault: Vault, objects: dict[str, bytes], stay: bool) -> None:
    for name, data in objects.items():
        vault.store.put(f"{FOLDER}/{name}", data)
    before = names(vault)
    assert collect_garbage(vault).removed == ()
    grow_old(vault)
    paths = [path for path, _ in found(vault)]
    collect_garbage(vault)
    assert (paths, names(vault)) == ([], before) if stay else (before, [])


def test_foreign_objects_are_never_touched(vault: Vault) -> None:
    paths = ["backup.00000000.zip", "xray/backup.00000000.zip", "xray/acme/notes/backup.00000000.zip",
             f"other/acme/{BACKUP_ID}/backup.00000000.zip", "xray/clock.txt", "clock.00000000"]  # fmt: skip
    for path in paths:
        vault.store.put(path, b"x")
    grow_old(vault)
    assert collect_garbage(vault, older_than=AT_ONCE) == Collection()
    assert names(vault) == sorted(paths)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"schema": "xbackup/manifest/v2"}', id="of a later release"),
        pytest.param(None, id="of another backup"),
    ],
)
def test_under_a_damaged_manifest_nothing_is_garbage(vault: Vault, take, data: bytes | None) -> None:
    if data is None:
        data = vault.store.read(take(vault, account="other").path.manifest)
    vault.store.put(f"{FOLDER}/manifest.json", data)
    for name in ("backup.00000000.zip", "backup.00000001.zip", "accepted.json"):
        vault.store.put(f"{FOLDER}/{name}", b"x")
    if vault.url.scheme == "file":
        Path(vault.url.prefix, f"{FOLDER}/manifest.json#1").write_bytes(b"half")
    grow_old(vault)
    before = names(vault)
    assert collect_garbage(vault, older_than=AT_ONCE) == Collection()
    assert names(vault) == before


def test_beside_a_backup_that_lost_a_file_another_attempts_copy_stays(vault: Vault, take) -> None:
    backup = take(vault)
    vault.store.put(OTHER, b"something")
    vault.store.put(f"{FOLDER}/backup.00000001.zip", b"something")
    vault.store.delete(backup.path.file(backup.manifest.artifacts[0].name))
    grow_old(vault)
    assert collect_garbage(vault) == Collection()


def test_an_attempt_is_as_young_as_its_last_file(vault: Vault) -> None:
    files = [
        f"{FOLDER}/{name}" for name in ("backup.00000000.zip", "attachments.00000000.zip", "backup.11111111.zip")
    ]
    for path in files:
        vault.store.put(path, b"x")
    grow_old(vault, 8, files[0], files[2])
    assert found(vault) == [(files[2], "attempt")]


def test_a_vault_in_good_order_is_listed_and_nothing_more(
    vault: Vault, take, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(vault)
    take(vault, "other")
    grow_old(vault)

    def refuse(*_: object) -> None:
        raise AssertionError

    for name in ("read", "head", "put", "delete", "clock"):
        monkeypatch.setattr(vault.store, name, refuse)
    assert collect_garbage(vault) == Collection()


def test_a_store_is_not_asked_for_its_clock_while_nothing_looks_old(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.store.put(OTHER, b"x")

    def refuse(path: str) -> datetime:
        raise AssertionError

    monkeypatch.setattr(vault.store, "clock", refuse)
    assert collect_garbage(vault) == Collection()


# -- beside others -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("listing", ["xray", FOLDER])
def test_a_backup_committed_after_a_listing_keeps_its_files(vault: Vault, commit, listing: str) -> None:
    draft = vault.draft("xray", "acme", BACKUP_ID)
    draft.add("backup", [b"slow"], media_type="application/zip")
    grow_old(vault)
    real = vault.store.list

    def listed(prefix: str = "") -> Iterator[Any]:
        yield from list(real(prefix))
        if prefix == listing:
            vault.store.list = real  # type: ignore[method-assign]
            commit(draft)

    vault.store.list = listed  # type: ignore[method-assign]
    assert collect_garbage(vault) == Collection()
    backup = vault.find("xray", "acme", BACKUP_ID)
    assert backup is not None
    assert vault.store.read(backup.path.file(backup.manifest.artifacts[0].name)) == b"slow"


@pytest.mark.parametrize("days", [-3000, 3000])
def test_a_wrong_clock_here_makes_nothing_old(vault: Vault, days: int) -> None:
    vault.store.put(OTHER, b"x")
    now = datetime.now(UTC) + timedelta(days=days)
    if days < 0:
        grow_old(vault)
    assert collect_garbage(vault, now=lambda: now) == Collection()
    assert found(vault, now=lambda: now) == []
    assert names(vault) == [OTHER]


def test_the_object_that_told_the_clock_goes_if_a_process_died_with_it(vault: Vault) -> None:
    vault.store.put("xray/clock.1a2b3c4d", b"")
    assert found(vault) == []
    grow_old(vault)
    assert found(vault) == [("xray/clock.1a2b3c4d", "clock")]
    collect_garbage(vault)
    assert names(vault) == []


_COLLECT = """
    import os, signal, sys
    from airflow_provider_xbackup.vault import Vault
    from airflow_provider_xbackup.vault.garbage import collect_garbage
    vault = Vault.open(sys.argv[1])
    real, gone = vault.store.delete, []

    def delete(path):
        if path.rpartition("/")[2].startswith("backup.") and len(gone) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        gone.append(path)
        return real(path)

    vault.store.delete = delete
    collect_garbage(vault)
"""


def test_a_killed_collection_goes_on_where_it_was(vault: Vault, take) -> None:
    take(vault)
    before = names(vault)
    for number in range(5):
        vault.store.put(f"{FOLDER}/backup.0000000{number}.zip", b"x")
    grow_old(vault)
    command = [sys.executable, "-c", textwrap.dedent(_COLLECT), str(vault.url)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    left = set(names(vault)) - set(before)
    assert 0 < len(left) < 5
    assert {garbage.path for garbage in collect_garbage(vault).removed} == left
    assert names(vault) == before


def test_an_age_below_nothing_is_refused(local: Vault) -> None:
    with pytest.raises(InvalidArgumentError, match="negative"):
        collect_garbage(local, older_than=timedelta(days=-1))


# -- uploads that were killed ------------------------------------------------------------------------------

_UPLOAD = """
    import sys, time
    from airflow_provider_xbackup.vault import Vault
    store = Vault.open(sys.argv[1]).store

    def blocks():
        for _ in range(30):
            yield b"x" * 1_000_000
        while not any(leftover.size for leftover in store.leftovers("xray")):
            time.sleep(0.01)
        print("under way", flush=True)
        sys.stdin.read()

    store.put_stream(sys.argv[2], blocks())
"""


@pytest.fixture
def kill_an_upload(vault: Vault) -> Callable[[str], None]:
    """Kill a process in the middle of an upload."""

    def kill_an_upload(path: str) -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(_UPLOAD), str(vault.url), path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "under way\n"
            process.send_signal(signal.SIGKILL)

    return kill_an_upload


def test_what_a_killed_upload_leaves_goes_after_its_age_and_not_before(
    vault: Vault, take, kill_an_upload: Callable[[str], None]
) -> None:
    take(vault)
    before = names(vault)
    kill_an_upload(OTHER)
    assert names(vault) == before
    assert collect_garbage(vault) == Collection()
    (leftover,) = vault.store.leftovers("xray")
    assert leftover.size > 0
    assert leftover.last_modified.tzinfo is UTC
    grow_old(vault)
    path, what = (leftover.path, "temporary") if vault.url.scheme == "file" else (OTHER, "upload")
    assert leftover.target == OTHER
    assert found(vault) == [(path, what)]
    collected = collect_garbage(vault)
    assert [garbage.path for garbage in collected.removed] == [path]
    assert collected.bytes == leftover.size
    assert list(vault.store.leftovers("xray")) == []
    assert names(vault) == before
    assert collect_garbage(vault, older_than=AT_ONCE) == Collection()


@pytest.mark.parametrize("name", ["manifest.json", "accepted.json", "checks/20261124T000000Z-00ff00ff.json"])
def test_a_small_file_that_was_never_finished_goes(local: Vault, take, name: str) -> None:
    take(local)
    half = Path(local.url.prefix, FOLDER, f"{name}#123456789")
    half.parent.mkdir(exist_ok=True)
    half.write_bytes(b"{")
    assert found(local) == []
    grow_old(local)
    assert collect_garbage(local).bytes == 1
    assert not half.exists()
    assert local.find("xray", "acme", BACKUP_ID) is not None


def test_files_that_only_look_unfinished_stay(local: Vault) -> None:
    for path in (f"{FOLDER}/notes.txt#1", "xray/backup.00000000.zip#1", f"{OTHER}#1a", "backup.00000000.zip#1"):
        file = Path(local.url.prefix, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    local.store.put(f"{FOLDER}/tombstone.json", b"")
    Path(local.url.prefix, f"{OTHER}#1").write_bytes(b"of a removal that is not finished")
    grow_old(local)
    files = sorted(path for path in Path(local.url.prefix).rglob("*"))
    assert collect_garbage(local) == Collection()
    assert sorted(path for path in Path(local.url.prefix).rglob("*")) == files


def test_a_temporary_file_that_goes_on_growing_stays(local: Vault) -> None:
    local.store.put(OTHER, b"x")
    growing = Path(local.url.prefix, f"{OTHER}#1")
    growing.write_bytes(b"x")
    grow_old(local)
    (leftover,) = local.store.leftovers("xray")
    os.utime(growing)
    assert local.store.clear(leftover) is False
    assert growing.exists()
    growing.unlink()
    assert local.store.clear(leftover) is False


def test_folders_that_were_made_for_nothing_go_with_those_above_them(local: Vault) -> None:
    root = Path(local.url.prefix)
    (root / FOLDER / "checks").mkdir(parents=True)
    assert found(local) == []
    grow_old(local)
    assert found(local) == [(f"{FOLDER}/checks", "folder")]
    collect_garbage(local)
    assert list(root.iterdir()) == []


def test_folders_that_somebody_made_stay(local: Vault) -> None:
    root = Path(local.url.prefix)
    for path in ("xray/prepared", "xenioo/welcome/notes", f"{FOLDER}/mine", "other"):
        (root / path).mkdir(parents=True)
    grow_old(local)
    assert collect_garbage(local, older_than=AT_ONCE) == Collection()


def test_what_lies_behind_a_link_is_found(local: Vault, tmp_path: Path) -> None:
    (tmp_path / "disk 2" / BACKUP_ID).mkdir(parents=True)
    (tmp_path / "disk 2" / BACKUP_ID / "backup.00000000.zip#1").write_bytes(b"x")
    account = Path(local.url.prefix, "xray", "acme")
    account.parent.mkdir(parents=True)
    account.symlink_to(tmp_path / "disk 2")
    os.utime(account / BACKUP_ID / "backup.00000000.zip#1", (0, 0))
    assert found(local) == [(f"{OTHER}#1", "temporary")]


def test_a_record_is_written_though_its_empty_folder_is_removed_in_that_instant(
    local: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.mkdir
    folder = Path(local.url.prefix, FOLDER)
    removed: list[Path] = []

    def mkdir(path: Path, *args: Any, **kwargs: Any) -> None:
        real(path, *args, **kwargs)
        if path == folder and not removed:
            removed.append(path)
            path.rmdir()

    monkeypatch.setattr(Path, "mkdir", mkdir)
    local.store.create(f"{FOLDER}/manifest.json", b"{}")
    assert removed
    assert local.store.read(f"{FOLDER}/manifest.json") == b"{}"


def test_uploads_of_others_are_never_aborted(s3) -> None:
    vault = Vault.open(s3.url)
    keys = ["elsewhere", f"{vault.url.prefix}/notes.zip", f"{vault.url.prefix} 2/{OTHER}",
            f"{vault.url.prefix}/{FOLDER}/notes.zip", f"{vault.url.prefix}/inner/{OTHER}"]  # fmt: skip
    for key in keys:
        s3.client.create_multipart_upload(Bucket=s3.bucket, Key=key)
    assert collect_garbage(vault, older_than=AT_ONCE) == Collection()
    assert sorted(upload["Key"] for upload in s3.uploads()) == sorted(keys)


def test_an_upload_that_ends_meanwhile_is_no_garbage(s3) -> None:
    vault = Vault.open(s3.url)
    key = f"{vault.url.prefix}/{OTHER}"
    upload = s3.client.create_multipart_upload(Bucket=s3.bucket, Key=key)["UploadId"]
    (leftover,) = vault.store.leftovers("xray")
    s3.client.abort_multipart_upload(Bucket=s3.bucket, Key=key, UploadId=upload)
    assert vault.store.clear(leftover) is False


def test_uploads_are_found_below_their_folder_only(s3) -> None:
    vault = Vault.open(s3.url)
    for path in (OTHER, OTHER.replace("xray", "xray2"), OTHER.replace("xray", "xenioo")):
        s3.client.create_multipart_upload(Bucket=s3.bucket, Key=f"{vault.url.prefix}/{path}")
    assert [leftover.path for leftover in vault.store.leftovers("xray")] == [OTHER]


def test_uploads_of_a_vault_without_a_prefix_are_found(s3) -> None:
    vault = Vault.open(f"s3://{s3.bucket}")
    s3.client.create_multipart_upload(Bucket=s3.bucket, Key=OTHER)
    assert found(vault) == [(OTHER, "upload")]  # the emulator says that it began in 2010
    assert [garbage.path for garbage in collect_garbage(vault).removed] == [OTHER]
    assert s3.uploads() == []


# -- refusals ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write everywhere, so be somebody else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def guarded() -> Iterator[Vault]:
    """A vault on disk with garbage of two folders, of which the first cannot be written."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        os.chmod(name, 0o777)
        vault = Vault.open(Path(name))
        for account in ("a", "b"):
            vault.store.put(OTHER.replace("acme", account), b"x")
        for folder in ("xray", "xray/b", f"xray/b/{BACKUP_ID}"):
            os.chmod(Path(name, folder), 0o777)
        grow_old(vault)
        yield vault


def test_what_a_disk_refuses_to_remove_is_told_and_the_rest_goes(guarded: Vault) -> None:
    with as_nobody():
        collected = collect_garbage(guarded)
    (refused,) = collected.refused
    assert refused.path == OTHER.replace("acme", "a")
    assert "may not remove" in refused.reason
    assert [garbage.path for garbage in collected.removed] == [OTHER.replace("acme", "b")]


def test_who_may_only_read_a_folder_may_look_for_garbage(guarded: Vault) -> None:
    os.chmod(guarded.url.prefix, 0o755)
    with as_nobody():
        assert len(found(guarded)) == 2
        with pytest.raises(UnwritableFolderError):
            collect_garbage(guarded)


def test_what_a_bucket_refuses_to_remove_is_told_and_goes_the_next_time(s3, gate: Gate) -> None:
    vault = Vault.open(s3.url)
    vault.store.put(OTHER, b"x")
    s3.client.create_multipart_upload(Bucket=s3.bucket, Key=f"{vault.url.prefix}/{OTHER}")
    grow_old(vault)
    gate.refused = lambda method, query: method == "DELETE" or (method == "POST" and "delete" in query)
    collected = collect_garbage(vault)
    assert collected.removed == ()
    assert [refused.path for refused in collected.refused] == [OTHER, OTHER]
    for refused, word in zip(collected.refused, ("remove", "abort the upload of"), strict=True):
        assert f"refused to {word} {vault.url}/{OTHER}: HTTP 403, AccessDenied, No." in refused.reason
        assert "very-secret" not in refused.reason
    gate.refused = lambda method, query: False
    assert len(collect_garbage(vault).removed) == 2
    assert s3.uploads() == []


def test_a_store_that_goes_away_ends_the_collection(s3, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "WORKING", connect.Patience(connect=1, request=5, retries=0, total=1))
    vault = Vault.open(s3.url)
    for number in range(3):
        vault.store.put(f"{FOLDER}/backup.0000000{number}.zip", b"x")
    grow_old(vault)
    gate.refused = lambda method, query: method == "DELETE" or (method == "POST" and "delete" in query)
    gate.status, gate.code = 503, "SlowDown"
    with pytest.raises(StoreUnavailableError, match="SlowDown"):
        collect_garbage(vault, older_than=AT_ONCE)
    gate.refused = lambda method, query: False
    assert len(collect_garbage(vault).removed) == 3


def test_credentials_that_may_not_see_uploads_are_told_after_the_rest_was_collected(s3, gate: Gate) -> None:
    vault = Vault.open(s3.url)
    vault.store.put(OTHER, b"x")
    grow_old(vault)
    gate.refused = lambda method, query: "uploads" in query
    collected = collect_garbage(vault)
    assert [garbage.path for garbage in collected.removed] == [OTHER]
    (refused,) = collected.refused
    assert "list the open uploads of" in refused.reason
    with pytest.raises(VaultAccessError):
        list(find_garbage(vault))


def test_a_store_that_cannot_list_uploads_has_none_to_collect(s3, gate: Gate) -> None:
    gate.refused = lambda method, query: "uploads" in query
    gate.status, gate.code = 501, "NotImplemented"
    assert collect_garbage(Vault.open(s3.url)) == Collection()
    assert any("uploads" in seen for seen in gate.seen)


def test_an_upload_that_ends_before_it_is_looked_at_is_passed_over(s3, gate: Gate) -> None:
    vault = Vault.open(s3.url)
    s3.client.create_multipart_upload(Bucket=s3.bucket, Key=f"{vault.url.prefix}/{OTHER}")
    gate.refused = lambda method, query: "uploadId" in query
    gate.status, gate.code = 404, "NoSuchUpload"
    assert list(vault.store.leftovers("xray")) == []
    assert any("uploadId" in seen for seen in gate.seen)


def test_who_may_only_read_a_bucket_may_look_for_garbage(s3, gate: Gate) -> None:
    vault = Vault.open(s3.url)
    vault.store.put(OTHER, b"x")
    grow_old(vault)
    gate.refused = lambda method, query: method != "GET"
    assert found(vault) == [(OTHER, "attempt")]
    with pytest.raises(VaultAccessError):
        collect_garbage(vault)
    assert names(vault) == [OTHER]


def test_a_bucket_that_is_not_there_is_said_to_be_missing(s3) -> None:
    with pytest.raises(MissingBucketError):
        collect_garbage(Vault.open("s3://not-there/p"))
    with pytest.raises(MissingBucketError):
        list(Vault.open("s3://not-there/p").store.leftovers("xray"))


def test_a_store_that_is_gone_ends_the_search_for_uploads(
    aws_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(StoreUnavailableError, match="AWS_ENDPOINT_URL"):
        list(Vault.open("s3://bucket/p").store.leftovers("xray"))
