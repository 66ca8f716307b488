"""Opening the backup of a Xenioo bot: one answer, at most one an hour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.http.errors import ConnectionFailedError
from airflow_provider_xbackup.http.sync import Client, Stream
from airflow_provider_xbackup.services.errors import ServerFaultError, UnreadableAnswerError
from airflow_provider_xbackup.services.instants import whole_seconds
from airflow_provider_xbackup.services.xenioo import BotFile, backup_request, check_start, read_backup
from airflow_provider_xbackup.transfer.download import decoded

_START = 64 << 10


@dataclass(frozen=True, slots=True)
class OpenBackup:
    """A bot's backup whose headers are read and whose bytes are still on their way. To be closed.

    :param file: what the headers say
    :param answered_at: the service's instant, in whole seconds
    :param stream: the open answer
    """

    file: BotFile
    answered_at: datetime
    stream: Stream

    def blocks(self) -> Iterator[bytes]:
        """Read the backup, byte for byte as it was made.

        :raises UnreadableAnswerError: when it is empty or a web page
        :raises ConnectionFailedError: when it breaks off; the bot's hour may be spent then
        """
        start, checked = b"", False
        for block in decoded(self._counted(), self.file.encoding):
            if checked:
                yield block
                continue
            start += block
            if len(start) >= _START:
                check_start(start)
                checked = True
                yield start
        if not checked:
            check_start(start)
            yield start

    def _counted(self) -> Iterator[bytes]:
        received = 0
        for block in self.stream.blocks():
            received += len(block)
            yield block
        if self.file.length not in (None, received):
            raise ConnectionFailedError(
                f"The bot's backup ended after {received} of {self.file.length} announced bytes."
            )

    def close(self) -> None:
        """Close the connection."""
        self.stream.close()

    def __enter__(self) -> OpenBackup:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_backup(client: Client, unusable: Callable[[], None] = lambda: None) -> OpenBackup:
    """Ask for the bot's backup; this may spend its hour.

    :param client: the client of the bot's connection
    :param unusable: called when the bot answered, and neither with a backup nor with a refusal: the hour
        may be spent then
    :raises CooldownError: when the hour is not over
    :raises ServiceError: on anything else that is not a backup
    :raises AnswerLostError: when no answer came: the hour may be spent
    """
    stream = client.open(backup_request())
    try:
        return OpenBackup(read_backup(stream.answer), whole_seconds(stream.answer.date), stream)
    except (UnreadableAnswerError, ServerFaultError):
        stream.close()
        unusable()
        raise
    except BackupError:
        stream.close()
        raise
