"""Keeping an answer that cannot be had again until it is safe in the vault.

A bot's backup comes once an hour. It is written here first, as the very bytes the vault will hold
(compressed and encrypted where that was asked for), so that an upload that fails can be tried again.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from airflow_provider_xbackup.services.instants import format_instant, parse_instant
from airflow_provider_xbackup.transfer.errors import SpoolError, UnreadableSpoolError
from airflow_provider_xbackup.vault.draft import StoredBytes
from airflow_provider_xbackup.vault.encoding import Encoded
from airflow_provider_xbackup.vault.manifest import RemoteBot
from airflow_provider_xbackup.vault.private import make_private

log = logging.getLogger(__name__)

LEFTOVER_AGE = timedelta(days=1)
"""After this time what nobody came back for is removed: the bot's next backup replaced it long ago."""

_BLOCK = 1 << 20
_RECORD, _NEW_RECORD, _BODY, _LOST = ".json", ".new", ".body", ".lost"


@dataclass(frozen=True, slots=True)
class Spooled:
    """An answer on this machine's disk, complete.

    :param record: the file that makes the answer exist: these fields as JSON
    :param body: the file with the bytes to store
    :param answered_at: the service's instant of the answer
    :param media_type: of the plain bytes
    :param facts: sizes and digests
    :param doubts: sentences that say why the answer may not be whole
    :param bot: what is known of the bot
    """

    record: Path
    body: Path
    answered_at: datetime
    media_type: str
    facts: StoredBytes
    doubts: tuple[str, ...] = ()
    bot: RemoteBot | None = None

    def blocks(self) -> Iterator[bytes]:
        """Read the bytes to store.

        :raises UnreadableSpoolError: when the disk does not give them
        """
        try:
            yield from _read(self.body)
        except OSError as error:
            raise _unreadable(self.body, error) from None

    def remove(self) -> None:
        """Remove the answer: its bytes are in the vault. What the disk does not let go is swept later."""
        _unlink(self.record, self.body)


class Spool:
    """A private folder of spooled answers.

    :param folder: the folder; made if missing
    :raises SpoolError: when it is not a folder of this user's alone
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            private = make_private(folder)
        except OSError as error:
            raise SpoolError(
                f"The spool folder {folder} cannot be used ({error.strerror}). "
                "Set [xbackup] spool_dir to a folder that the Airflow worker can write."
            ) from None
        if not private:
            raise SpoolError(
                f"The spool folder {folder} must be a real folder of the worker's user that nobody else can "
                "enter (mode 0700): bots' backups lie in it. Correct it, or set [xbackup] spool_dir."
            )

    def find(self, key: str) -> Spooled | None:
        """Return what was spooled under a key and not removed since.

        :param key: what identifies the task instance
        :return: the complete answer, or None; a file that is not whole is removed
        :raises UnreadableSpoolError: when the disk does not tell; nothing is removed then
        """
        record = self._path(key, _RECORD)
        body = None
        try:
            values = json.loads(record.read_bytes())
            body = self._folder / Path(values["body"]).name
            answered_at = parse_instant(values["answered_at"], "answered_at")
            facts, doubts = StoredBytes(**values["facts"]), tuple(values["doubts"])
            # An earlier release knew nothing of the bot.
            bot = RemoteBot.model_validate(values["bot"]) if values.get("bot") else None
            spooled = Spooled(record, body, answered_at, values["media_type"], facts, doubts, bot)
            digest = hashlib.sha256()
            for block in _read(body):
                digest.update(block)
            if digest.hexdigest() == spooled.facts.stored_sha256:
                return spooled
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(record, error) from None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            pass
        log.warning("A spooled answer of this task is damaged and was removed.")
        _unlink(record)
        if body is not None and body.suffix == _BODY:
            _unlink(body)
        return None

    def holds(self, key: str) -> bool:
        """Tell whether something was spooled under a key; whether it is whole, :meth:`find` tells.

        :param key: what identifies the task instance
        """
        return self._path(key, _RECORD).exists()

    def note_lost_answer(self, bot: str, at: datetime) -> None:
        """Note that a bot answered and that what it sent cannot be used: its hour may be spent.

        :param bot: what identifies the bot
        :param at: when it answered, by this machine's clock
        :raises SpoolError: when the disk does not take it
        """
        self._write_file(self._path(bot, _LOST), [format_instant(at).encode()])

    def find_lost_answer(self, bot: str) -> datetime | None:
        """Return when a bot's last unusable answer came, or None where none is noted."""
        try:
            return parse_instant(self._path(bot, _LOST).read_text(), "the note")
        except (OSError, ValueError):
            return None

    def write(
        self,
        key: str,
        encoded: Encoded,
        *,
        answered_at: datetime,
        media_type: str,
        doubts: Sequence[str] = (),
        bot: Callable[[], RemoteBot | None] = lambda: None,
    ) -> Spooled:
        """Write an answer; it is there completely, also after a crash, or not at all.

        :param key: what identifies the task instance
        :param encoded: the answer on its way to stored bytes
        :param answered_at: the service's instant
        :param media_type: of the plain bytes
        :param doubts: sentences that say why the answer may not be whole; looked at after its last byte
        :param bot: tells what is known of the bot; asked after the last byte
        :raises SpoolError: when the disk does not take it
        """
        # Each attempt has a file of its own: one that was thought dead cannot write into another's.
        attempt = secrets.token_hex(4)
        body = self._path(key, f".{attempt}{_BODY}")
        new_record = self._path(key, f".{attempt}{_NEW_RECORD}")
        try:
            self._write_file(body, encoded)
            facts, record = StoredBytes.of(encoded), self._path(key, _RECORD)
            spooled = Spooled(record, body, answered_at, media_type, facts, tuple(doubts), bot())
            self._write_file(new_record, [_to_json(spooled)])
        except BaseException:
            _unlink(new_record, body)
            raise
        # From here on nothing is removed: a disk may have done what it reports as failed.
        with self._disk():
            new_record.replace(spooled.record)
        try:
            self._sync_folder()
        except OSError as error:
            # The answer is here, and on its way to the vault in a moment.
            log.warning("The spool folder %s could not be flushed (%s).", self._folder, error.strerror)
        return spooled

    def sweep(self, keep: Spooled | None = None) -> None:
        """Remove what has lain here for more than a day.

        :param keep: an answer that somebody did come back for, however old it is
        """
        oldest = time.time() - LEFTOVER_AGE.total_seconds()
        kept = (keep.record, keep.body) if keep is not None else ()
        # Another task may sweep at the same time, and no leftover is worth failing for.
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                if path in kept or path.suffix not in (_RECORD, _NEW_RECORD, _BODY, _LOST):
                    continue
                with contextlib.suppress(OSError):
                    if path.lstat().st_mtime < oldest:
                        path.unlink(missing_ok=True)

    def _write_file(self, path: Path, blocks: Iterable[bytes]) -> None:
        with self._disk():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            # Unbuffered: nothing is left to be written, and to fail, when the file is closed.
            file = os.fdopen(descriptor, "wb", buffering=0)
        with file:
            for block in blocks:
                with self._disk():
                    _write_all(file, block)
            with self._disk():
                os.fsync(file.fileno())

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SpoolError(
                f"The bot's backup cannot be written to the spool folder {self._folder} "
                f"({error.strerror}). Make room there, or set [xbackup] spool_dir."
            ) from None

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _path(self, key: str, suffix: str) -> Path:
        return self._folder / (hashlib.sha256(key.encode()).hexdigest()[:40] + suffix)


def _read(body: Path) -> Iterator[bytes]:
    with body.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _unlink(*paths: Path) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s could not be removed (%s); it is removed later.", path, error.strerror)


def _unreadable(path: Path, error: OSError) -> UnreadableSpoolError:
    return UnreadableSpoolError(
        f"The bot's backup cannot be read from the spool folder {path.parent} ({error.strerror}). It is kept: "
        "look at that disk, then run the task again."
    )


def _write_all(file: io.FileIO, block: bytes) -> None:
    left = memoryview(block)
    while left:
        left = left[file.write(left) :]


def _to_json(spooled: Spooled) -> bytes:
    return json.dumps(
        {
            "body": spooled.body.name,
            "answered_at": format_instant(spooled.answered_at),
            "media_type": spooled.media_type,
            "facts": asdict(spooled.facts),
            "doubts": spooled.doubts,
            "bot": spooled.bot and spooled.bot.model_dump(),
        }
    ).encode()
