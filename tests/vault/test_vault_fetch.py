"""Getting files out of a vault: whole, once, and never over another's."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage
import pytest

from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.errors import (
    BusyFolderError,
    DamagedBackupError,
    DecryptionError,
    DifferentFileError,
    MissingIdentityError,
    NoSpaceError,
    StoreUnavailableError,
    UnwritableFolderError,
    WrongIdentityError,
)
from airflow_provider_xbackup.vault.fetch import Fetched, fetch
from airflow_provider_xbackup.vault.identities import Identities
from airflow_provider_xbackup.vault.layout import parse_backup_id

IDENTITY = pyrage.x25519.Identity.generate()
KEYS = Identities([IDENTITY])
ID = "20261101T000000Z-full-00000001"
DATA, BLOBS, BOT = os.urandom(20_000_000), os.urandom(3_000), b'{"name": "welcome"}' * 1000


def store(vault: Vault, *, encrypt: bool = False, data: bytes = DATA, blobs: bytes | None = BLOBS) -> Any:
    draft = vault.draft("xray", "acme", ID)
    recipients = (str(IDENTITY.to_public()),) if encrypt else ()
    draft.add("backup", [data], media_type="application/zip", recipients=recipients)
    if blobs is not None:
        draft.add("attachments", [blobs], media_type="application/zip", recipients=recipients)
    return draft.commit(requested_at=parse_backup_id(ID).instant, producer={"package_version": "1"})


def store_bot(vault: Vault, encrypt: bool = True) -> Any:
    draft = vault.draft("xenioo", "welcome", ID)
    recipients = (str(IDENTITY.to_public()),) if encrypt else ()
    draft.add("bot", [BOT], media_type="application/json", compress=True, recipients=recipients)
    return draft.commit(requested_at=parse_backup_id(ID).instant, producer={"package_version": "1"})


def artifact_path(vault: Vault, backup: Any, role: str = "backup") -> Path:
    name = next(one.name for one in backup.manifest.artifacts if one.role == role)
    return Path(vault.url.prefix) / backup.path.folder / name


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def resumed(found: Fetched) -> dict[str, int]:
    return {file.role: file.resumed for file in found.files}


def count_reads(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Note what is read of which artifact, and from where."""
    reads: list[tuple[str, int]] = []
    inner = vault.store.open_stream

    def open_stream(path: str, start: int = 0, end: int | None = None) -> Any:
        reads.append((path.rsplit("/", 1)[1].split(".")[0], start))
        return inner(path, start, end)

    monkeypatch.setattr(vault.store, "open_stream", open_stream)
    return reads


@pytest.mark.parametrize("encrypt", [False, True], ids=["clear", "encrypted"])
def test_the_files_lie_under_plain_names_beside_their_manifest(
    vault: Vault, tmp_path: Path, encrypt: bool
) -> None:
    backup = store(vault, encrypt=encrypt)
    found = fetch(vault, backup, tmp_path / "out", KEYS)
    assert found.folder == tmp_path / "out" / ID
    assert names(found.folder) == ["attachments.zip", "backup.zip", "manifest.json"]
    assert (found.folder / "backup.zip").read_bytes() == DATA
    assert (found.folder / "attachments.zip").read_bytes() == BLOBS
    assert (found.folder / "manifest.json").read_bytes() == vault.store.read(backup.path.manifest)
    assert [(file.role, file.size, file.sha256) for file in found.files] == [
        ("backup", len(DATA), hashlib.sha256(DATA).hexdigest()),
        ("attachments", len(BLOBS), hashlib.sha256(BLOBS).hexdigest()),
    ]


@pytest.mark.parametrize("encrypt", [False, True], ids=["clear", "encrypted"])
def test_a_bot_is_decompressed(local: Vault, tmp_path: Path, encrypt: bool) -> None:
    found = fetch(local, store_bot(local, encrypt), tmp_path, KEYS)
    assert names(found.folder) == ["bot.json", "manifest.json"]
    assert (found.folder / "bot.json").read_bytes() == BOT


def test_what_is_fetched_is_for_its_owner_alone(local: Vault, tmp_path: Path) -> None:
    found = fetch(local, store(local), tmp_path)
    assert found.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in found.folder.iterdir()} == {0o600}


def test_fetching_again_reads_nothing_from_the_vault(
    local: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = store(local, encrypt=True)
    fetch(local, backup, tmp_path, KEYS)
    reads = count_reads(local, monkeypatch)
    assert resumed(fetch(local, backup, tmp_path, KEYS)) == {"backup": len(DATA), "attachments": len(BLOBS)}
    assert reads == []


@pytest.mark.parametrize("name", ["backup.zip", "attachments.zip", "manifest.json"])
@pytest.mark.parametrize("content", [b"mine", b""], ids=["other", "empty"])
def test_another_file_is_never_overwritten(local: Vault, tmp_path: Path, name: str, content: bytes) -> None:
    backup = store(local)
    mine = tmp_path / ID / name
    mine.parent.mkdir()
    mine.write_bytes(content)
    with pytest.raises(DifferentFileError, match="left as it is"):
        fetch(local, backup, tmp_path)
    assert mine.read_bytes() == content


def test_a_file_of_the_same_size_is_another_all_the_same(local: Vault, tmp_path: Path) -> None:
    mine = tmp_path / ID / "attachments.zip"
    mine.parent.mkdir()
    mine.write_bytes(b"x" * len(BLOBS))
    with pytest.raises(DifferentFileError):
        fetch(local, store(local), tmp_path)
    assert mine.read_bytes() == b"x" * len(BLOBS)


def test_a_backup_of_another_account_under_the_same_id_is_told_before_anything_is_fetched(
    local: Vault, tmp_path: Path, take: Callable[..., Any]
) -> None:
    fetch(local, take(local, "other", ID), tmp_path)
    before = names(tmp_path / ID)
    with pytest.raises(DifferentFileError, match="manifest"):
        fetch(local, store(local), tmp_path)
    assert names(tmp_path / ID) == before


def test_a_link_in_the_way_is_not_followed(local: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = store(local)
    folder = tmp_path / ID
    folder.mkdir()
    (folder / "backup.zip").symlink_to(tmp_path / "nowhere")
    reads = count_reads(local, monkeypatch)
    with pytest.raises(DifferentFileError):
        fetch(local, backup, tmp_path)
    assert not (tmp_path / "nowhere").exists()
    assert reads == []


# -- interrupted -----------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.choose import find_by_id
from airflow_provider_xbackup.vault.fetch import fetch
from airflow_provider_xbackup.vault.identities import identities_from_environment
left = int(sys.argv[3])
def progress(size):
    global left
    left -= size
    if left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
vault = Vault.open(sys.argv[1])
fetch(vault, find_by_id(vault, "20261101"), sys.argv[2], identities_from_environment(), progress)
"""


def killed_after(vault: Vault, folder: Path, size: int) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, str(vault.url), str(folder), str(size)],
        env={**os.environ, "XBACKUP_AGE_IDENTITY": str(IDENTITY)},
        timeout=120,
        check=False,
    )
    assert ran.returncode == -signal.SIGKILL


def test_a_killed_fetch_goes_on_where_it_was(
    local: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = store(local)
    killed_after(local, tmp_path, 12_000_000)
    (partial,) = (tmp_path / ID).iterdir()
    there = partial.stat().st_size
    assert 0 < there < len(DATA)
    reads = count_reads(local, monkeypatch)
    found = fetch(local, backup, tmp_path)
    assert reads == [("backup", there), ("attachments", 0)]
    assert resumed(found) == {"backup": there, "attachments": 0}
    assert (found.folder / "backup.zip").read_bytes() == DATA
    assert names(found.folder) == ["attachments.zip", "backup.zip", "manifest.json"]


def test_a_fetch_killed_after_its_first_file_does_not_fetch_it_again(
    local: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = store(local, encrypt=True)
    killed_after(local, tmp_path, len(DATA) + 1)
    assert "manifest.json" not in names(tmp_path / ID)
    reads = count_reads(local, monkeypatch)
    found = fetch(local, backup, tmp_path, KEYS)
    assert reads == [("attachments", 0)]
    assert names(found.folder) == ["attachments.zip", "backup.zip", "manifest.json"]


def test_what_is_encrypted_is_fetched_from_its_beginning(local: Vault, tmp_path: Path) -> None:
    backup = store(local, encrypt=True)
    killed_after(local, tmp_path, 12_000_000)
    found = fetch(local, backup, tmp_path, KEYS)
    assert resumed(found) == {"backup": 0, "attachments": 0}
    assert (found.folder / "backup.zip").read_bytes() == DATA
    assert names(found.folder) == ["attachments.zip", "backup.zip", "manifest.json"]


@pytest.mark.parametrize(
    "left",
    [
        pytest.param(b"x" * 1_000_000, id="other bytes"),
        pytest.param(DATA + b"x", id="too many"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_was_left_and_is_not_a_beginning_is_thrown_away(local: Vault, tmp_path: Path, left: bytes) -> None:
    backup = store(local)
    folder = tmp_path / ID
    folder.mkdir()
    digest = backup.manifest.artifacts[0].stored_sha256[:16]
    (folder / f".backup.zip.{digest}.partial").write_bytes(left)
    found = fetch(local, backup, tmp_path)
    assert resumed(found)["backup"] == 0
    assert (found.folder / "backup.zip").read_bytes() == DATA


def test_all_bytes_that_were_left_are_read_again_and_placed(local: Vault, tmp_path: Path) -> None:
    backup = store(local)
    folder = tmp_path / ID
    folder.mkdir()
    digest = backup.manifest.artifacts[0].stored_sha256[:16]
    (folder / f".backup.zip.{digest}.partial").write_bytes(DATA)
    assert resumed(fetch(local, backup, tmp_path))["backup"] == len(DATA)


def test_a_name_left_beside_the_finished_file_is_cleared_away(local: Vault, tmp_path: Path) -> None:
    backup = store(local)
    found = fetch(local, backup, tmp_path)
    digest = backup.manifest.artifacts[0].stored_sha256[:16]
    (found.folder / f".backup.zip.{digest}.partial").hardlink_to(found.folder / "backup.zip")
    fetch(local, backup, tmp_path)
    assert names(found.folder) == ["attachments.zip", "backup.zip", "manifest.json"]


def test_a_store_that_went_away_leaves_what_was_fetched(
    local: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = store(local)
    inner = local.store.open_stream

    def broken(path: str, start: int = 0, end: int | None = None) -> Any:
        yield next(iter(inner(path, start, end)))
        raise StoreUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(local.store, "open_stream", broken)
        with pytest.raises(StoreUnavailableError):
            fetch(local, backup, tmp_path)
    assert resumed(fetch(local, backup, tmp_path))["backup"] > 0


def test_two_fetches_into_one_folder_do_not_write_into_one_file(local: Vault, tmp_path: Path) -> None:
    backup = store(local)
    folder = tmp_path / ID
    folder.mkdir()
    digest = backup.manifest.artifacts[0].stored_sha256[:16]
    with open(folder / f".backup.zip.{digest}.partial", "wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BusyFolderError, match="Another process") as caught:
            fetch(local, backup, tmp_path)
    assert caught.value.retryable
    assert fetch(local, backup, tmp_path).files


def test_a_file_that_appears_while_its_bytes_are_fetched_stays(local: Vault, tmp_path: Path) -> None:
    mine = tmp_path / ID / "backup.zip"
    with pytest.raises(DifferentFileError):
        fetch(local, store(local), tmp_path, progress=lambda _: mine.write_bytes(b"mine") and None)
    assert mine.read_bytes() == b"mine"


def test_a_file_that_another_fetch_finishes_in_the_same_instant_is_not_written_into(
    local: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = store(local)
    inner = fcntl.flock

    def lock_late(file: Any, how: int) -> None:
        (partial,) = (tmp_path / ID).glob(".backup.zip.*.partial")
        partial.rename(tmp_path / ID / "backup.zip")
        inner(file, how)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    with pytest.raises(BusyFolderError, match="this instant"):
        fetch(local, backup, tmp_path)
    assert (tmp_path / ID / "backup.zip").read_bytes() == b""


# -- damaged ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encrypt", [False, True], ids=["clear", "encrypted"])
@pytest.mark.parametrize(
    ("damage", "word"),
    [
        pytest.param(lambda data: data[:9000] + b"\0" * 9 + data[9009:], "holds other bytes", id="damaged"),
        pytest.param(lambda data: bytes([data[0] ^ 1]) + data[1:], "holds other bytes", id="first byte"),
        pytest.param(lambda data: data[:-1], "should have", id="cut off"),
        pytest.param(lambda data: data + b"x", "should have", id="longer"),
        pytest.param(None, "is not there", id="deleted"),
    ],
)
def test_nothing_that_is_damaged_is_placed(
    local: Vault, tmp_path: Path, damage: Callable[[bytes], bytes] | None, word: str, encrypt: bool
) -> None:
    backup = store(local, encrypt=encrypt)
    path = artifact_path(local, backup)
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DamagedBackupError, match=word):
        fetch(local, backup, tmp_path, KEYS)
    assert names(tmp_path / ID) == []


def rewritten(local: Vault, backup: Any, **changes: Any) -> Any:
    value = json.loads(local.store.read(backup.path.manifest))
    value["artifacts"][0].update(changes)
    local.store.put(backup.path.manifest, json.dumps(value).encode())
    return local.find(backup.path.service, backup.path.account, backup.backup_id)


@pytest.mark.parametrize("encrypt", [False, True], ids=["clear", "encrypted"])
def test_plain_bytes_that_are_not_what_was_backed_up_are_not_placed(
    local: Vault, tmp_path: Path, encrypt: bool
) -> None:
    backup = rewritten(local, store(local, encrypt=encrypt, blobs=None), sha256="0" * 64)
    with pytest.raises(DamagedBackupError, match="not what was backed up"):
        fetch(local, backup, tmp_path, KEYS)
    assert names(tmp_path / ID) == []


@pytest.mark.parametrize("role", ["../../etc/passwd", "report", ""])
def test_a_manifest_cannot_choose_where_files_go(local: Vault, tmp_path: Path, role: str) -> None:
    backup = rewritten(local, store(local, blobs=None), role=role)
    with pytest.raises(DamagedBackupError, match="does not know"):
        fetch(local, backup, tmp_path)
    assert not (tmp_path / ID).exists()


@pytest.mark.parametrize(
    ("keys", "error"),
    [(None, MissingIdentityError), (Identities([pyrage.x25519.Identity.generate()]), WrongIdentityError)],
    ids=["none", "another"],
)
def test_without_the_right_key_nothing_is_placed(
    local: Vault, tmp_path: Path, keys: Identities | None, error: type[DecryptionError]
) -> None:
    with pytest.raises(error):
        fetch(local, store(local, encrypt=True), tmp_path, keys)
    assert names(tmp_path / ID) == []


# -- the disk --------------------------------------------------------------------------------------------------


def test_a_disk_without_room_is_told_before_anything_is_fetched(
    local: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = store(local)
    reads = count_reads(local, monkeypatch)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(NoSpaceError, match="20003000 bytes more, and 1000 are free"):
        fetch(local, backup, tmp_path)
    assert reads == []


def test_a_folder_that_cannot_be_written_is_told(local: Vault, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnwritableFolderError, match="cannot be written"):
        fetch(local, store(local), tmp_path / "file")
