"""What can be wrong with bytes on their way into a vault."""

from __future__ import annotations

from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.services.errors import CooldownError


class FileError(BackupError):
    """A file is not taken. Earlier backups are untouched.

    :param finding: what is wrong with the file
    :param advice: what became of it, and what to do
    """

    def __init__(self, finding: str, advice: str = "") -> None:
        super().__init__(finding, advice)
        self.finding = finding
        self.advice = advice

    def __str__(self) -> str:
        return " ".join(part for part in self.args if part)


class UntakenFileError(FileError):
    """A file could not be had whole, however often it was asked for."""


class RefusedFileError(FileError):
    """A file was served that is not the backup that was asked for."""


class StaleFileError(RefusedFileError):
    """The file is older than the job: the service still serves an earlier backup."""


class ForeignFileError(RefusedFileError):
    """The file belongs to another job or another scope: the tenant's one file was replaced."""

    retryable = False


class SupersededFileError(ForeignFileError):
    """The job's file was there, and a later backup's has taken its place: it cannot be had any more."""


class ReplacedFileError(RefusedFileError):
    """The file changed while it was being read, and nothing says that it is a later backup's."""


class WrongLengthError(BackupError):
    """The server announced a length of the file that is not its length: nobody knows what is missing."""


class CutOffBackupError(BackupError):
    """A bot's backup has no end, though its server sent no more: it was cut off before HTTP saw it."""


class ClockError(BackupError):
    """This machine's clock and the service's differ so much that ages cannot be judged."""

    retryable = False


class IncompleteBackupError(BackupError):
    """The data is stored, and a part that was asked for could not be had."""

    retryable = False


class ExpiredBackupError(BackupError):
    """The job's backup was stored and has expired since: it is on its way out and counts as gone."""

    retryable = False


class SpoolError(BackupError):
    """The folder in which an answer is kept until it is uploaded cannot be used."""

    retryable = False


class AnswerInHandError(BackupError):
    """A bot's answer could not be stored, and is kept: another try may store it, whatever was in the way."""


class SpentHourError(CooldownError):
    """The bot is not asked, because an answer that could not be used has probably spent its hour."""


class UnreadableSpoolError(SpoolError):
    """An answer that is kept cannot be read right now."""

    retryable = True
