"""A disk that takes no more: of the vault, of the spool, at any byte."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from killpoint_world import Scenario, Trial, World, refuse_accidents, try_all

XRAY = Scenario("xray", "disk")
XENIOO = Scenario("xenioo", "disk")
XENIOO_IN_HAND = Scenario("xenioo", "disk", before=({"at": "open bot.", "mode": "fail from"},))

SIZES = (0, 1, 700, 30_000, 80_000)
"""What fits into one file: less than the data, the attachments and the bot have."""

SPOOL_SIZES = (70_000, 80_000, 120_000)
"""The same, and what is written to try the vault's disk fits."""


@pytest.mark.parametrize(
    ("scenario", "sizes", "error"),
    [
        pytest.param(XRAY, SIZES, "NoSpaceError", id="the vault's, under an Xray backup"),
        pytest.param(XENIOO, SIZES[:4], "NoSpaceError", id="the vault's, before the bot is asked"),
        pytest.param(XENIOO, SPOOL_SIZES, "SpoolError", id="the spool's"),
        pytest.param(XENIOO_IN_HAND, SIZES, "AnswerInHandError", id="the vault's, under a bot in hand"),
    ],
)
def test_a_full_disk_is_told_and_left_as_it_was_and_with_room_the_next_try_converges(
    world: World, scenario: Scenario, sizes: tuple[int, ...], error: str
):
    def check(trial: Trial, fault: Mapping[str, Any]) -> None:
        in_hand = trial.in_hand()
        ending = trial.run("transfer", kills=False, log="/dev/null", **fault)
        refuse_accidents(ending)
        assert (ending.get("error"), ending["signal"]) == (error, 0), ending
        assert "room" in ending["message"]
        assert trial.store.files() == world.earlier
        assert trial.in_hand() == in_hand
        trial.converge(set(), in_hand=in_hand)

    try_all(world, scenario, {f"after {size} bytes": {"limit": size} for size in sizes}, check)


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """A file system of its own, mounted on a folder."""
    folder.mkdir(mode=0o700)
    options = f"size={kilobytes}k,mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def can_mount() -> bool:
    """Most users may not, nor may root in most containers."""
    if os.geteuid() != 0:
        return False
    script = "mount -t tmpfs -o size=4k tmpfs /mnt"
    return (
        subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, check=False).returncode
        == 0
    )


@pytest.mark.skipif(not can_mount(), reason="this user may mount nothing; the test above fills no real disk")
@pytest.mark.parametrize(
    ("scenario", "disk", "errors"),
    [
        pytest.param(XRAY, "vault", {"NoSpaceError"}, id="the vault's, under an Xray backup"),
        pytest.param(XENIOO, "vault", {"NoSpaceError", "AnswerInHandError"}, id="the vault's, under a bot"),
        pytest.param(XENIOO, "spool", {"SpoolError"}, id="the spool's"),
    ],
)
def test_a_small_disk_that_fills_up_keeps_what_it_has_and_converges_once_it_grows(
    world: World, scenario: Scenario, disk: str, errors: set[str]
):
    seen = set()

    def fits(kilobytes: int) -> bool:
        with world.trial(scenario, lambda folder: small_disk(folder / disk, kilobytes)) as trial:
            ending = trial.run("transfer")
            refuse_accidents(ending)
            new = trial.new_backups()
            if "error" in ending:
                assert new == set(), (kilobytes, ending)
                seen.add(ending["error"])
            room = ["mount", "-o", "remount,size=4m", str(trial.folder / disk)]
            subprocess.run(room, check=True, capture_output=True)
            trial.converge(new)
        return "error" not in ending

    # The earlier backups take 56 KiB. In big steps to where all fits, then page by page around the manifest.
    enough = next(size for size in itertools.count(64, 32) if fits(size))

    assert enough > 96
    fitted = [fits(size) for size in range(enough - 28, enough, 4)]
    assert not all(fitted)
    assert seen == errors
