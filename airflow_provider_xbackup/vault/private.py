"""Folders that nobody but this process's user can enter."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def make_private(folder: Path) -> bool:
    """Make a folder, with those above it, where there is none.

    :param folder: the folder
    :return: whether it is a real folder of this user that nobody else can enter
    :raises OSError: when it cannot be made
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077
