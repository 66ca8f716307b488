"""What can be wrong with bytes on their way into a vault."""

from __future__ import annotations

from airflow_provider_xbackup.errors import BackupError


class DamagedZipError(BackupError):
    """A zip is not whole, or is built in a way that an honest service does not build one.

    Not final: the next download may bring a whole one.

    :param message: which entry, and what is wrong with it
    :param code: the kind of damage in one kebab-case word, for tables and tests: ``not-a-zip``,
        ``truncated``, ``trailing-data``, ``local-header``, ``crc``, ``size``, ``deflate``,
        ``encrypted``, ``unsupported-method``, ``unsafe-name``, ``duplicate-name``, ``bomb``,
        ``too-many-entries``, ``central-directory``, ``directory-too-large``, ``entry-outside``,
        ``overlap``, ``multi-disk``, ``ambiguous-end``
    """

    def __init__(self, message: str, code: str = "damaged") -> None:
        super().__init__(message, code)
        self.code = code

    def __str__(self) -> str:
        return str(self.args[0])


class RefusedFileError(BackupError):
    """A file was served that is not the backup that was asked for. Earlier backups are untouched.

    :param finding: what is wrong with the file
    :param advice: what became of it, and what to do
    """

    def __init__(self, finding: str, advice: str = "") -> None:
        super().__init__(finding, advice)
        self.finding = finding

    def __str__(self) -> str:
        return " ".join(part for part in self.args if part)


class StaleFileError(RefusedFileError):
    """The file is older than the job: the service still serves an earlier backup."""


class ForeignFileError(RefusedFileError):
    """The file belongs to another job or another scope: the tenant's one file was replaced."""

    retryable = False


class ReplacedFileError(RefusedFileError):
    """The file changed while it was being read."""


class ClockError(BackupError):
    """This machine's clock and the service's differ so much that ages cannot be judged."""

    retryable = False


class IncompleteBackupError(BackupError):
    """The data is stored, and a part that was asked for could not be had."""

    retryable = False


class SpoolError(BackupError):
    """The folder in which an answer is kept until it is uploaded cannot be used."""

    retryable = False
