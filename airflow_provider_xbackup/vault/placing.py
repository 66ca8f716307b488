"""Files that get their name only when they are whole, and never take another's."""

from __future__ import annotations

import errno
import os
from pathlib import Path

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
