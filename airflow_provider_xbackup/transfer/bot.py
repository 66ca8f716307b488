"""Opening the backup of a Xenioo bot: one answer, at most one an hour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from airflow_provider_xbackup.contents.botname import BotName
from airflow_provider_xbackup.contents.jsonend import JsonEnd, may_begin_json
from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.http.errors import ConnectionFailedError
from airflow_provider_xbackup.http.sync import Client, Stream
from airflow_provider_xbackup.services.instants import whole_seconds
from airflow_provider_xbackup.services.xenioo import (
    COOLDOWN,
    BotFile,
    backup_request,
    check_short,
    check_start,
    read_backup,
)
from airflow_provider_xbackup.transfer.download import decoded
from airflow_provider_xbackup.transfer.errors import CutOffBackupError

_START = 64 << 10


@dataclass(frozen=True, slots=True)
class OpenBackup:
    """A bot's backup whose headers are read and whose bytes are still on their way. To be closed.

    :param file: what the headers say
    :param answered_at: the service's instant, in whole seconds
    :param stream: the open answer
    :param doubts: sentences that say why the bytes may not be whole; complete when they were read
    :param name: what the bot calls itself, once that was read
    :param assumed_wait: how long a refusal that names no time is taken to last
    """

    file: BotFile
    answered_at: datetime
    stream: Stream
    doubts: list[str] = field(default_factory=list)
    name: BotName = field(default_factory=BotName)
    assumed_wait: timedelta = COOLDOWN

    def blocks(self) -> Iterator[bytes]:
        """Read the backup, byte for byte as it was made.

        :raises CooldownError: when it is a refusal under the status of a backup
        :raises AuthenticationError: when it is such a refusal, of the token
        :raises UnreadableAnswerError: when it is empty or a web page
        :raises ConnectionFailedError: when it breaks off; the bot's hour may be spent then
        :raises CutOffBackupError: when its JSON has no end, whatever HTTP says; the same
        """
        return self._followed(self._named(self._checked()))

    def _checked(self) -> Iterator[bytes]:
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
            check_short(self.stream.answer, start, assumed_wait=self.assumed_wait)
            yield start

    def _named(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self.name.feed(block)
            yield block

    def _followed(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Look for the end in the content: an answer that HTTP ends in order may have been cut off before."""
        start = next(blocks)
        json_end, received = JsonEnd(start), len(start)
        yield start
        for block in blocks:
            json_end.feed(block)
            received += len(block)
            yield block
        if json_end.is_cut_off():
            raise CutOffBackupError(
                f"The bot's backup ends after {received} bytes in the middle of its JSON: it was cut off, though "
                "HTTP does not tell. Nothing of it is stored. The call has probably spent the bot's hour."
            )
        if json_end.is_complete():
            return
        if may_begin_json(start):
            self.doubts.append(
                "The bot's backup begins as JSON and cannot be followed to its end as such: nothing proves that "
                "it is whole."
            )
        elif not self.file.end_is_told:
            self.doubts.append(
                "The server announced neither the length nor the end of the bot's backup, and its content is not "
                "JSON: nothing proves that it is whole."
            )

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


def open_backup(
    client: Client, unusable: Callable[[], None] = lambda: None, *, assumed_wait: timedelta = COOLDOWN
) -> OpenBackup:
    """Ask for the bot's backup; this may spend its hour.

    :param client: the client of the bot's connection
    :param unusable: called when the bot may have answered, and neither with a backup nor with a refusal: the
        hour may be spent then
    :param assumed_wait: how long a refusal that names no time is taken to last
    :raises CooldownError: when the hour is not over
    :raises ServiceError: on anything else that is not a backup
    :raises AnswerLostError: when no answer came: the hour may be spent
    """
    stream = client.open(backup_request())
    try:
        file = read_backup(stream.answer, assumed_wait=assumed_wait)
        return OpenBackup(file, whole_seconds(stream.answer.date), stream, assumed_wait=assumed_wait)
    except BackupError:
        stream.close()
        # A refusal spends no hour, and a redirect or a firewall's page is no word of the bot.
        if stream.status == 200 or stream.status >= 500:
            unusable()
        raise
