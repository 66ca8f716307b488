"""Folders that are read-only, full, or somewhere else."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kinds import Kind, stores

from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.errors import NoSpaceError, UnwritableFolderError

row = pytest.mark.row
pytestmark = pytest.mark.parametrize("kind", stores("disk"), indirect=True)
MIB = 1024 * 1024


def mount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount(folder, "size=4m,mode=0700")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may mount nothing")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@row("a read-only disk")
def test_a_read_only_disk_is_read_and_refused_at_every_write(
    kind: Kind, disk: Path, store_backup: Callable[..., Any]
) -> None:
    backup = store_backup(Vault.open(disk / "vault"))
    mount(disk, "remount,ro,size=4m")
    vault = Vault.open(disk / "vault")

    assert [each.manifest for each in vault.backups()] == [backup.manifest]
    assert b"".join(vault.store.open_stream(backup.path.file(backup.manifest.artifacts[0].name)))
    for call in (
        vault.prepare,
        lambda: vault.store.put("x", b"1"),
        lambda: vault.store.put_stream("x", [b"x" * (11 * MIB)]),
        lambda: vault.store.create("x", b"1"),
    ):
        with pytest.raises(UnwritableFolderError, match="Read-only file system"):
            call()


@row("a full disk")
@pytest.mark.parametrize("size", [5 * MIB, 25 * MIB], ids=["one part", "several parts"])
def test_a_full_disk_is_called_full_and_keeps_what_it_had(
    kind: Kind, disk: Path, store_backup: Callable[..., Any], size: int
) -> None:
    vault = Vault.open(disk / "vault")
    backup = store_backup(vault)
    before = sorted(disk.rglob("*"))

    with pytest.raises(NoSpaceError, match=r"is full .* Make room"):
        store_backup(vault, "20261124T014500Z-full-1a2b3c4d", blocks=[b"x" * size])

    assert sorted(disk.rglob("*")) == before
    assert [each.manifest for each in vault.backups()] == [backup.manifest]


@row("a folder behind a symbolic link")
def test_a_folder_behind_a_link_is_a_vault(kind: Kind, tmp_path: Path, store_backup: Callable[..., Any]) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    vault = Vault.open(tmp_path / "link" / "vault")

    backup = store_backup(vault)

    (seen,) = Vault.open(tmp_path / "real" / "vault").backups()
    assert seen.manifest == backup.manifest


@row("a folder behind a symbolic link")
def test_a_link_to_nothing_is_refused(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")

    with pytest.raises(UnwritableFolderError):
        Vault.open(tmp_path / "link").prepare()
