"""What a transfer has been through, in numbers."""

from __future__ import annotations

import threading
from collections import Counter

from airflow_provider_xbackup.contents.errors import DamagedZipError
from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.transfer.errors import (
    CutOffBackupError,
    ForeignFileError,
    ReplacedFileError,
    StaleFileError,
    WrongLengthError,
)

#: What is said of a file that was looked at and not taken, in one word.
_REFUSALS: dict[type[BackupError], str] = {
    StaleFileError: "stale",
    ForeignFileError: "foreign",
    ReplacedFileError: "replaced",
    DamagedZipError: "damaged",
    WrongLengthError: "wrong-length",
    CutOffBackupError: "cut-off",
}
#: The words of :attr:`Tally.refused`.
REASONS = tuple(_REFUSALS.values())


class Tally:
    """Counts while a transfer is under way, in all its threads, and can be read however it ends.

    :ivar stored_bytes: bytes as stored of a backup that exists now and did not before
    :ivar resumed: how often a download went on after it had broken off
    :ivar repeated: how often a file was taken again from its beginning
    :ivar refused: the reasons why a file was not taken, each once a file, and how many files there were
    """

    def __init__(self) -> None:
        self.stored_bytes = 0
        self.resumed = 0
        self.repeated = 0
        self.refused: Counter[str] = Counter()
        self._lock = threading.Lock()

    def store(self, size: int) -> None:
        """Count a backup that was stored."""
        with self._lock:
            self.stored_bytes += size

    def resume(self) -> None:
        """Count a download that goes on."""
        with self._lock:
            self.resumed += 1

    def repeat(self) -> None:
        """Count a file that is taken again."""
        with self._lock:
            self.repeated += 1

    def refuse(self, reason: str) -> None:
        """Count a file that was not taken."""
        with self._lock:
            self.refused[reason] += 1


def refusal_of(error: BaseException) -> str | None:
    """Return why a file was refused, in a word of :data:`REASONS`; None for an error that refuses no file."""
    return next((reason for kind, reason in _REFUSALS.items() if isinstance(error, kind)), None)
