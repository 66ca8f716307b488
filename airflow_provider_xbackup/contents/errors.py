"""What can be wrong inside a vendor's file."""

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
