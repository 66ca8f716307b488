from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_provider_xbackup.transfer.errors import SpoolError, UnreadableSpoolError
from airflow_provider_xbackup.transfer.spool import Spool, Spooled
from airflow_provider_xbackup.vault.encoding import Encoded
from airflow_provider_xbackup.vault.manifest import RemoteBot

AT = datetime(2026, 11, 23, 1, 45, tzinfo=UTC)


def write(spool: Spool, content: bytes = b"{}", key: str = "key") -> Spooled:
    return spool.write(key, Encoded([content]), answered_at=AT, media_type="application/json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spool(folder: Path) -> Spool:
    return Spool(folder)


def read(spooled: Spooled | None) -> bytes | None:
    return None if spooled is None else b"".join(spooled.blocks())


def test_what_was_written_is_found_by_another_process(spool: Spool, folder: Path):
    written = write(spool, b"content")

    found = Spool(folder).find("key")

    assert found == written
    assert (read(found), found.answered_at) == (b"content", AT)


def test_what_is_known_of_the_bot_when_all_was_read_is_found_with_it(spool: Spool, folder: Path):
    known: list[str] = []

    def content() -> Iterator[bytes]:
        yield b"{}"
        known.append("welcome")

    spool.write(
        "key",
        Encoded(content()),
        answered_at=AT,
        media_type="application/json",
        bot=lambda: RemoteBot(name=known[0], key_sha256="1" * 64),
    )

    found = Spool(folder).find("key")
    assert found is not None
    assert found.bot == RemoteBot(name="welcome", key_sha256="1" * 64)


def test_an_answer_that_an_earlier_release_spooled_is_found(spool: Spool, folder: Path):
    record = write(spool).record
    values = json.loads(record.read_bytes())
    del values["bot"]
    record.write_text(json.dumps(values))

    assert read(Spool(folder).find("key")) == b"{}"


def test_nothing_is_found_under_another_key(spool: Spool):
    write(spool)

    assert spool.find("other") is None


def test_what_was_removed_is_gone(spool: Spool, folder: Path):
    write(spool).remove()

    assert spool.find("key") is None
    assert list(folder.iterdir()) == []


def test_folder_and_files_are_the_users_alone(spool: Spool, folder: Path):
    write(spool)

    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def readable(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o750)


def link(folder: Path) -> None:
    (folder.parent / "real").mkdir(mode=0o700)
    folder.symlink_to(folder.parent / "real")


def plain_file(folder: Path) -> None:
    folder.write_text("")


def below_a_file(folder: Path) -> None:
    folder.symlink_to(folder.parent / "nowhere" / "at all")


@pytest.mark.parametrize("make", [readable, link, plain_file, below_a_file])
def test_a_folder_that_is_not_the_users_alone_is_refused(folder: Path, make):
    make(folder)

    with pytest.raises(SpoolError, match="spool_dir"):
        Spool(folder)


def test_a_folder_of_somebody_else_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch):
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)

    with pytest.raises(SpoolError, match="worker's user"):
        Spool(folder)


class CrashError(BaseException):
    """The process is killed: no handler may help."""


def test_a_process_that_died_before_the_record_left_nothing_to_find(
    spool: Spool, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def die(*_: object) -> None:
        raise CrashError

    monkeypatch.setattr(Path, "replace", die)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # the dead clean nothing up
    with pytest.raises(CrashError):
        write(spool)
    monkeypatch.undo()

    assert list(folder.iterdir())
    assert Spool(folder).find("key") is None


def test_after_a_crash_the_next_try_writes_its_own(spool: Spool, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as crash:
        crash.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(CrashError):
            spool.write("key", Encoded(dying()), answered_at=AT, media_type="application/json")

    write(spool, b"second")

    assert read(spool.find("key")) == b"second"


def dying() -> Iterator[bytes]:
    yield b"half"
    raise CrashError


def test_an_answer_that_breaks_off_leaves_nothing(spool: Spool, folder: Path):
    with pytest.raises(CrashError):
        spool.write("key", Encoded(dying()), answered_at=AT, media_type="application/json")

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"contenT", id="changed"),
        pytest.param(b"con", id="shorter"),
        pytest.param(b"", id="empty"),
    ],
)
def test_damaged_bytes_are_never_handed_out_and_are_removed(spool: Spool, folder: Path, content: bytes):
    write(spool, b"content").body.write_bytes(content)

    assert spool.find("key") is None
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="broken JSON"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"body": 1}', id="other fields"),
        pytest.param(b"\xff", id="no text"),
    ],
)
def test_a_damaged_record_is_removed(spool: Spool, record: bytes):
    written = write(spool)
    written.record.write_bytes(record)

    assert spool.find("key") is None
    assert not written.record.exists()


def test_a_record_leads_to_no_file_outside_the_spool(spool: Spool, folder: Path):
    outside = folder.parent / "outside.body"
    outside.write_bytes(b"{}")
    written = write(spool)
    written.record.write_text(written.record.read_text().replace(written.body.name, "../outside.body"))

    assert spool.find("key") is None
    assert outside.exists()


def test_a_record_without_its_bytes_is_nothing(spool: Spool):
    write(spool).body.unlink()

    assert spool.find("key") is None


def test_two_attempts_at_once_leave_one_whole_answer(spool: Spool, folder: Path):
    contents = [bytes([65 + number]) * 300_000 for number in range(8)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write(Spool(folder), content), contents))

    assert read(spool.find("key")) in contents


def test_a_slow_attempt_does_not_write_into_the_answer_of_a_quick_one(spool: Spool):
    def slow() -> Iterator[bytes]:
        yield b"slow "
        write(spool, b"quick")
        assert read(spool.find("key")) == b"quick"
        yield b"answer"

    spool.write("key", Encoded(slow()), answered_at=AT, media_type="application/json")

    assert read(spool.find("key")) == b"slow answer"


def test_what_nobody_came_back_for_is_swept(spool: Spool, folder: Path):
    write(spool)
    spool.note_lost_answer("bot", AT)
    for path in folder.iterdir():
        os.utime(path, (time.time() - 90_000,) * 2)

    spool.sweep()

    assert list(folder.iterdir()) == []


def test_what_somebody_came_back_for_is_kept_however_old(spool: Spool, folder: Path):
    mine = write(spool, b"mine", "mine")
    write(spool, b"another's", "another's")
    for path in folder.iterdir():
        os.utime(path, (0, 0))

    spool.sweep(keep=mine)

    assert read(spool.find("mine")) == b"mine"
    assert sorted(folder.iterdir()) == sorted([mine.record, mine.body])


def test_doubts_that_come_up_while_the_answer_passes_are_kept(spool: Spool, folder: Path):
    doubts: list[str] = []

    def doubted() -> Iterator[bytes]:
        yield b"content"
        doubts.append("Nothing proves that it is whole.")

    spool.write("key", Encoded(doubted()), answered_at=AT, media_type="text/plain", doubts=doubts)

    found = Spool(folder).find("key")
    assert found is not None
    assert found.doubts == ("Nothing proves that it is whole.",)


def test_what_is_young_or_not_ours_stays(spool: Spool, folder: Path):
    write(spool)
    stranger = folder / "notes.txt"
    stranger.write_text("keep me")
    os.utime(stranger, (0, 0))

    spool.sweep()

    assert spool.find("key")
    assert stranger.exists()


def test_a_full_disk_is_told_and_leaves_nothing(spool: Spool, folder: Path, monkeypatch: pytest.MonkeyPatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(SpoolError, match=r"No space left on device.*Make room"):
        write(spool)

    assert list(folder.iterdir()) == []


def broken(*_: object, **__: object) -> None:
    raise OSError(5, "Input/output error")


def test_an_answer_that_cannot_be_read_right_now_is_kept(spool: Spool, monkeypatch: pytest.MonkeyPatch):
    write(spool, b"content")

    with monkeypatch.context() as fault:
        fault.setattr(Path, "open", broken)
        with pytest.raises(UnreadableSpoolError, match=r"Input/output error.*It is kept"):
            spool.find("key")

    assert read(spool.find("key")) == b"content"


def test_an_answer_whose_bytes_break_off_on_their_way_to_the_vault_is_told_and_kept(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
):
    spooled = write(spool, b"content")

    with monkeypatch.context() as fault:
        fault.setattr(Path, "open", broken)
        with pytest.raises(UnreadableSpoolError, match="It is kept"):
            read(spooled)

    assert read(spool.find("key")) == b"content"


def test_an_answer_is_kept_where_the_disk_did_what_it_reports_as_failed(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
):
    replace = Path.replace

    def replace_and_fail(path: Path, target: Path) -> None:
        replace(path, target)
        broken()

    with monkeypatch.context() as fault:
        fault.setattr(Path, "replace", replace_and_fail)
        with pytest.raises(SpoolError, match="Input/output error"):
            write(spool, b"content")

    assert read(spool.find("key")) == b"content"


def test_an_answer_is_flushed_before_its_record_names_it_and_the_folder_afterwards(
    spool: Spool, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[tuple[str, str, bytes]] = []
    fsync, replace = os.fsync, Path.replace

    def see_fsync(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)
        seen.append(("flushed", path.suffix, b"" if path == folder else path.read_bytes()))

    def see_replace(path: Path, target: Path) -> Path:
        seen.append(("renamed", target.suffix, path.read_bytes()))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", see_fsync)
    monkeypatch.setattr(Path, "replace", see_replace)

    written = write(spool, b"content")

    record = written.record.read_bytes()
    assert seen == [
        ("flushed", ".body", b"content"),
        ("flushed", ".new", record),
        ("renamed", ".json", record),
        ("flushed", "", b""),  # the folder
    ]


def test_an_answer_goes_on_to_the_vault_though_its_folder_cannot_be_flushed(
    spool: Spool, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    fsync = os.fsync

    def fsync_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            broken()
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync_files)

    assert read(write(spool, b"content")) == b"content"
    assert f"The spool folder {folder} could not be flushed (Input/output error)." in caplog.text


def test_what_cannot_be_removed_or_swept_is_no_reason_to_fail(
    spool: Spool, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    spooled = write(spool)
    for path in folder.iterdir():
        os.utime(path, (0, 0))

    with monkeypatch.context() as fault:
        fault.setattr(Path, "unlink", broken)
        spooled.remove()
        spool.sweep()
        fault.setattr(Path, "iterdir", broken)
        spool.sweep()
    assert list(folder.iterdir())

    spool.sweep()
    assert list(folder.iterdir()) == []


def test_a_lost_answer_is_noted_by_bot(spool: Spool, folder: Path):
    spool.note_lost_answer("bot", AT)

    assert Spool(folder).find_lost_answer("bot") == AT
    assert spool.find_lost_answer("another") is None


def test_a_damaged_note_is_no_note(spool: Spool, folder: Path):
    spool.note_lost_answer("bot", AT)
    for path in folder.iterdir():
        path.write_text("soon")

    assert spool.find_lost_answer("bot") is None
