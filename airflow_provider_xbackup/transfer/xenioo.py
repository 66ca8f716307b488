"""Taking a bot's backup: from its one answer an hour to a whole backup in a vault, without losing it."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.http.errors import AnswerLostError, ConnectionFailedError
from airflow_provider_xbackup.http.sync import Client
from airflow_provider_xbackup.services.errors import AuthenticationError, CooldownError
from airflow_provider_xbackup.services.xenioo import COOLDOWN
from airflow_provider_xbackup.transfer.bot import open_backup
from airflow_provider_xbackup.transfer.errors import AnswerInHandError, SpentHourError, SpoolError
from airflow_provider_xbackup.transfer.spool import Spool, Spooled
from airflow_provider_xbackup.transfer.tally import Tally, refusal_of
from airflow_provider_xbackup.vault.acceptance import how_to_accept
from airflow_provider_xbackup.vault.catalog import Backup
from airflow_provider_xbackup.vault.chain import newest_reliable_full
from airflow_provider_xbackup.vault.drops import find_drops
from airflow_provider_xbackup.vault.encoding import Encoded, is_encoded_so
from airflow_provider_xbackup.vault.layout import digits_of, make_backup_id
from airflow_provider_xbackup.vault.locks import Lock
from airflow_provider_xbackup.vault.manifest import Condition, Manifest, Producer, Remote, RemoteBot, Scope
from airflow_provider_xbackup.vault.vault import Vault

log = logging.getLogger(__name__)

MAX_DROP = 0.5
"""The share by which a bot's backup may fall below its predecessor before it is suspect."""

_SIZE = "size of the bot's backup"


@dataclass(frozen=True, slots=True)
class XeniooTransfer:
    """One bot's backup on its way into a vault.

    :param client: the bot's client
    :param vault: where the backup goes
    :param account: the account's name
    :param producer: who makes the backup
    :param key_sha256: SHA-256 of the API key that the client's token is made of, where it is made of one
    :param spool_dir: private folder in which the answer is kept until it is uploaded
    :param recipients: age public keys to encrypt to
    :param compress: whether to compress with zstd; decompressed, the bytes are the vendor's
    :param asking: is entered while the bot is asked, until its answer is in hand
    :param lock: for how long, and how hard, the backup is locked
    :param assumed_wait: how long the bot's hour is taken to last where its service names no time
    :param tally: counts what happens
    """

    client: Client
    vault: Vault
    account: str
    producer: Producer
    spool_dir: Path
    key_sha256: str | None = None
    recipients: tuple[str, ...] = ()
    compress: bool = False
    asking: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    lock: Lock | None = None
    assumed_wait: timedelta = COOLDOWN
    tally: Tally = field(default_factory=Tally, repr=False, compare=False)

    def run(self) -> Backup:
        """Store the backup; what this task instance has in hand or in the vault is not asked for again.

        :return: the backup, whole
        :raises CooldownError: when the bot's hour is not over
        :raises AnswerInHandError: when the bot's answer is in hand and the vault is in the way
        :raises BackupError: when the service, the spool or the vault is in the way
        """
        spool = Spool(self.spool_dir)
        spooled = spool.find(self._key)
        spool.sweep(keep=spooled)
        if spooled is not None:
            log.info("The bot's answer of %s is still in hand; only its upload is done.", spooled.answered_at)
            return self._upload(spooled)
        self.vault.prepare(self.lock)
        self.vault.warn_of_little_room("xenioo", self.account)
        earlier = self._stored_this_hour()
        if earlier is not None:
            log.info("This run stored %s less than an hour ago; nothing has to be done.", earlier.location)
            self.vault.keep_locked(earlier, self.lock)
            return earlier
        self._respect_lost_answer(spool)
        log.info("Asking the bot at %s for its backup; it hands out one an hour.", self.client.endpoint.host)
        with self.asking():
            spooled = self._ask(spool)
        log.info(
            "The bot's answer is here: %d bytes, kept as %d bytes in %s until they are in the vault.",
            spooled.facts.size,
            spooled.facts.stored_size,
            self.spool_dir,
        )
        return self._upload(spooled)

    def outlook(self) -> str:
        """Say in a sentence what the next try of this task will find."""
        spool = Spool(self.spool_dir)
        if spool.holds(self._key):
            return f"The bot's answer is kept on {self._here}: the next try there uploads it, and asks no bot."
        if self._lost(spool) is not None:
            return "The bot's answer was lost, and has probably spent its hour: the next try waits for its end."
        return "No answer of the bot is in hand: the next try asks it, and its hour decides."

    def _ask(self, spool: Spool) -> Spooled:

        def note() -> None:
            # What went wrong with the answer matters more than a disk that does not take the note.
            with contextlib.suppress(SpoolError):
                spool.note_lost_answer(self._bot, datetime.now(UTC))

        with open_backup(self.client, unusable=note, assumed_wait=self.assumed_wait) as answer:
            encoded = Encoded(answer.blocks(), compress=self.compress, recipients=self.recipients)
            media_type = answer.file.media_type or "application/json"
            try:
                return spool.write(
                    self._key,
                    encoded,
                    answered_at=answer.answered_at,
                    media_type=media_type,
                    doubts=answer.doubts,
                    bot=lambda: self._identify(answer.name.text),
                )
            except (CooldownError, AuthenticationError):  # a refusal spends no hour
                raise
            except ConnectionFailedError as error:
                note()
                raise AnswerLostError(str(error)) from None
            except BaseException as error:  # an interrupt too: the bot has answered
                note()
                if reason := refusal_of(error):
                    self.tally.refuse(reason)
                raise

    def _identify(self, name: str | None) -> RemoteBot:
        """Say what is known of the bot."""
        return RemoteBot(name=name, key_sha256=self.key_sha256, connection_sha256=self.client.identity)

    def _respect_lost_answer(self, spool: Spool) -> None:
        """Ask no bot that answered in vain before its hour is over, whatever it counts as a call."""
        at = self._lost(spool)
        if at is None:
            return
        over = at + self.assumed_wait
        raise SpentHourError(
            f"The bot answered at {at:%Y-%m-%d %H:%M} UTC, its answer was lost or could not be used. It may "
            f"have spent the bot's hour: the next backup is possible by {over:%Y-%m-%d %H:%M} UTC.",
            available_at=over,
        )

    def _lost(self, spool: Spool) -> datetime | None:
        """Return when the bot answered in vain, while its hour lasts."""
        at = spool.find_lost_answer(self._bot)
        return at if at is not None and datetime.now(UTC) < at + self.assumed_wait else None

    def _upload(self, spooled: Spooled) -> Backup:
        log.info("Uploading the bot's answer to %s.", self.vault.url)
        try:
            backup = self._store(spooled)
        except SpoolError:
            raise
        except BackupError as error:
            raise AnswerInHandError(
                f"{error} The bot's answer is in hand all the same, kept on {self._here}: the next try of this "
                "task there, or the task cleared within a day, stores it without spending another hour."
            ) from None
        spooled.remove()
        self.tally.store(backup.stored_size)
        log.info("The bot's answer is in the vault: %d bytes in %s.", spooled.facts.stored_size, backup.location)
        return backup

    def _store(self, spooled: Spooled) -> Backup:
        backup_id = make_backup_id(spooled.answered_at, "full", digits_of(spooled.facts.sha256))
        condition = self._condition(spooled, backup_id)
        with self.vault.draft("xenioo", self.account, backup_id, lock=self.lock) as draft:
            draft.add_stored("bot", spooled.blocks(), spooled.facts, media_type=spooled.media_type)
            return draft.commit(
                requested_at=spooled.answered_at,
                condition=condition,
                remote=Remote(host=self.client.endpoint.host, bot=spooled.bot),
                producer=self.producer,
            )

    def _condition(self, spooled: Spooled, backup_id: str) -> Condition:
        earlier = newest_reliable_full(self.vault.backups("xenioo", self.account), Scope())
        drops: Sequence[str] = ()
        if earlier is not None:
            drops = find_drops({_SIZE: spooled.facts.size}, {_SIZE: earlier.manifest.size}, max_drop=MAX_DROP)
        reasons = (
            *spooled.doubts,
            *(f"The {drop}, against backup {earlier.backup_id}." for drop in drops if earlier),
        )
        if not reasons:
            return Condition()
        log.warning(
            "The backup is stored as suspect: %s Look at the bot. %s",
            " ".join(reasons),
            how_to_accept(self.vault.url, backup_id),
        )
        return Condition(state="suspect", reasons=reasons)

    def _stored_this_hour(self) -> Backup | None:
        """Return the backup that an earlier try of this very task instance stored, while the hour lasts.

        With another connection it may be of another bot, and with another encoding it is not what is wanted:
        then the bot is asked, whose own hour decides.
        """
        since = datetime.now(UTC) - COOLDOWN
        for backup in self.vault.backups("xenioo", self.account):
            if backup.instant < since:
                return None
            if backup.tombstoned or backup.damaged:
                continue
            if _task_of(backup.manifest.producer) == _task_of(self.producer) and self.producer.run_id:
                if self._is_wanted(backup.manifest):
                    return backup
                log.info(
                    "This run stored %s less than an hour ago, of another connection or in another encoding: the "
                    "bot is asked.",
                    backup.location,
                )
        return None

    def _is_wanted(self, manifest: Manifest) -> bool:
        bot, (artifact,) = manifest.remote.bot, manifest.artifacts
        same_connection = bot is None or bot.connection_sha256 in (None, self.client.identity)
        return same_connection and is_encoded_so(artifact, self.recipients, compress=self.compress)

    @property
    def _here(self) -> str:
        return f"this machine ({socket.gethostname()}, {self.spool_dir})"

    @property
    def _bot(self) -> str:
        return repr(("bot", self.account, self.client.endpoint.url))

    @property
    def _key(self) -> str:
        # Spooled bytes are encoded already: other keys or another format need other bytes. Another vault
        # needs none: whoever corrects a wrong one still has the answer in hand.
        encoding = (self.compress, sorted(self.recipients))
        return repr((self._bot, encoding, *_task_of(self.producer)))


def _task_of(producer: Producer) -> tuple[str | None, str | None, str | None, int | None]:
    return producer.dag_id, producer.run_id, producer.task_id, producer.map_index
