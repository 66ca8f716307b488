"""Files that get their name only when they are whole, and never take another's."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_xbackup.vault.errors import NoSpaceError, UnwritableFolderError, VaultError

#: What file systems without hard links say.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def place(temporary: Path, target: Path) -> None:
    """Give a finished file its name; the temporary name may stay.

    :param temporary: the file, flushed
    :param target: its name, in the same file system
    :raises FileExistsError: when something has that name; it is left as it is
    :raises OSError: when it cannot be done
    """
    try:
        os.link(temporary, target)
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        temporary.rename(target)


def fsync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def telling(folder: Path, then: str) -> Iterator[None]:
    """Tell of what the disk refuses; what a store refuses has been told.

    :param folder: where files are placed
    :param then: what happens after room was made, for the message
    :raises NoSpaceError: when the disk is full
    :raises UnwritableFolderError: when the folder cannot be written
    """
    try:
        yield
    except OSError as exc:
        said = exc.strerror or type(exc).__name__
        where = exc.filename or folder
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            error: VaultError = NoSpaceError(f"The disk of {folder} is full ({said}). Make room and {then}.")
        else:
            error = UnwritableFolderError(f"{where} cannot be written: {said}.")
    else:
        return
    raise error
