"""The keys of a new bot: a place is reserved for them before the bot is made, and they are never lost after."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.transfer.errors import SpoolError
from airflow_provider_xbackup.transfer.spool import Spool

log = logging.getLogger(__name__)

_UNDER_WAY = "under way"
_SECRETS = ("account_api_key", "bot_api_key", "bot_api_secret", "proxy")


class KeyPlaceError(BackupError):
    """The place for the keys cannot be read or written."""


class KeyPlaceTakenError(BackupError):
    """The place for the keys holds something, which is never overwritten."""

    retryable = False


class UnknownOutcomeError(BackupError):
    """A bot was asked for and nobody knows whether there is one: a person has to look."""

    retryable = False


class KeysNotPlacedError(BackupError):
    """The bot was made, and its keys could not be put where they belong."""

    retryable = False


class KeyPlace(Protocol):
    """Where keys are put. Its text is what messages call it."""

    def read(self) -> str | None:
        """Return what is there, or None where nothing is.

        :raises KeyPlaceError: when nobody can tell
        """

    def create(self, text: str) -> None:
        """Put something where nothing is.

        :raises KeyPlaceTakenError: when something is there
        :raises KeyPlaceError: when it is not there afterwards
        """

    def replace(self, text: str) -> None:
        """Put something in the place of what is there.

        :raises KeyPlaceError: when it is not there afterwards
        """

    def remove(self) -> None:
        """Remove what is there.

        :raises KeyPlaceError: when that is not possible
        """


@dataclass(frozen=True, slots=True)
class VariablePlace:
    """An Airflow Variable.

    :param name: its name
    """

    name: str

    def __str__(self) -> str:
        return f"the Airflow Variable {self.name!r}"

    def read(self) -> str | None:
        """Return the Variable's value, or None where there is no such Variable."""
        from airflow.providers.common.compat.sdk import Variable

        with self._speaking("read"):
            value = Variable.get(self.name, default=None)
            # A server that does not answer looks like a Variable that is not there.
            hidden = value is None and self._exists()
        if hidden:
            raise KeyPlaceError(f"{self} exists and could not be read.")
        return None if value is None else str(value)

    def _exists(self) -> bool:
        from airflow.providers.common.compat.sdk import Variable

        if hasattr(Variable, "keys"):  # Airflow 3.3
            return self.name in Variable.keys(prefix=self.name)
        from airflow.sdk.execution_time import task_runner
        from airflow.sdk.execution_time.comms import GetVariable, VariableResult

        supervisor = getattr(task_runner, "SUPERVISOR_COMMS", None)
        # Raises what Variable.get passes over: that the server failed.
        return supervisor is not None and isinstance(supervisor.send(GetVariable(key=self.name)), VariableResult)

    def create(self, text: str) -> None:
        """Make the Variable."""
        if self.read() is not None:
            raise _taken(self)
        self.replace(text)

    def replace(self, text: str) -> None:
        """Set the Variable, and read it back: Airflow may look elsewhere first."""
        from airflow.providers.common.compat.sdk import Variable

        with self._speaking("written"):
            Variable.set(self.name, text, description="The connection to a restored Xenioo bot")
        if self.read() != text:
            raise KeyPlaceError(f"{self} has another value than it was given a moment ago.")

    def remove(self) -> None:
        """Delete the Variable."""
        from airflow.providers.common.compat.sdk import Variable

        with self._speaking("deleted"):
            Variable.delete(self.name)

    @contextlib.contextmanager
    def _speaking(self, done: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - Airflow raises whatever its API server answered
            # Its text may quote the value.
            kind = type(error).__name__
        else:
            return
        raise KeyPlaceError(f"{self} could not be {done} ({kind}).")


@dataclass(frozen=True, slots=True)
class FilePlace:
    """A file on the worker, for its user's eyes only (0600).

    :param path: the file
    """

    path: Path

    def __str__(self) -> str:
        return f"the file {self.path} on {socket.gethostname()}"

    def read(self) -> str | None:
        """Return the file's text, or None where there is none."""
        try:
            return self.path.read_text()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise self._failed("read", error) from None

    def create(self, text: str) -> None:
        """Make the file."""
        try:
            self._write(self.path, text)
        except FileExistsError:
            raise _taken(self) from None
        except OSError as error:
            raise self._failed("written", error) from None

    def replace(self, text: str) -> None:
        """Put another file in its place."""
        new = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        try:
            self._write(new, text)
            new.replace(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise self._failed("written", error) from None

    def remove(self) -> None:
        """Remove the file."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise self._failed("removed", error) from None

    def _write(self, path: Path, text: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())

    def _failed(self, done: str, error: Exception) -> KeyPlaceError:
        said = error.strerror if isinstance(error, OSError) else "it holds no text"
        return KeyPlaceError(f"{self} could not be {done} ({said}).")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a restored bot comes from, as its connection's description says.

    :param backup_id: the backup it was made of
    :param account: whose backup that is
    :param owner: the task that made it
    """

    backup_id: str
    account: str
    owner: str

    def __str__(self) -> str:
        return f"Restored from backup {self.backup_id} of {self.account}, by {self.owner}"

    @classmethod
    def of(cls, text: str, owner: str) -> Origin | None:
        """Read the origin of a bot that a certain task has made.

        :param text: the connection to the bot
        :param owner: the task
        :return: None where it is anything else
        """
        try:
            described = str(json.loads(text)["description"])
        except (ValueError, TypeError, KeyError):
            return None
        end = re.escape(f", by {owner}")
        match = re.fullmatch(rf"Restored from backup (?P<backup_id>\S+) of (?P<account>.+){end}", described)
        return match and cls(match["backup_id"], match["account"], owner)


class NewKeys:
    """The keys of the one bot that a task makes.

    :param place: where they belong
    :param owner: what the task is called, the same in every try
    :param spool_dir: the worker's private folder, for keys that cannot be put where they belong
    """

    def __init__(self, place: KeyPlace, owner: str, spool_dir: Path) -> None:
        self._place = place
        self._owner = owner
        self._spool_dir = spool_dir
        name = hashlib.sha256(repr((owner, str(place))).encode()).hexdigest()[:40]
        # Named unlike a spooled backup: nobody sweeps keys.
        self._spare = FilePlace(spool_dir / f"{name}.keys")
        self._reservation = ""

    def find(self) -> Origin | None:
        """Look for what an earlier try has left, and put into its place what could not be put there.

        :return: the bot that was made; None where the place is free
        :raises UnknownOutcomeError: when an earlier try does not know whether it made one
        :raises KeyPlaceTakenError: when the place holds something else
        :raises KeyPlaceError: when it cannot be read or written
        """
        held, spare = self._place.read(), self._spare.read()
        if spare is not None and (held is None or _is_reservation(held)):
            self._settle(spare)
            return Origin.of(spare, self._owner)
        if held is None:
            return None
        origin = Origin.of(held, self._owner)
        if origin is None:
            raise self._unknown(held) if _is_reservation(held) else _taken(self._place)
        return origin

    def reserve(self) -> None:
        """Reserve the place, right before the bot is asked for.

        :raises KeyPlaceTakenError: when it holds something
        :raises KeyPlaceError: when it cannot be written: nothing is lost yet
        """
        since = datetime.now(UTC).replace(microsecond=0)
        self._reservation = json.dumps(
            {
                "restore": _UNDER_WAY,
                "by": self._owner,
                "since": since.isoformat(),
                "attempt": secrets.token_hex(4),
            }
        )
        self._place.create(self._reservation)

    def release(self) -> None:
        """Give the place back: no bot was made."""
        try:
            self._place.remove()
        except KeyPlaceError as error:
            log.warning("%s Remove it: it says that a restore is under way, and none is.", error)

    def keep(self, text: str) -> None:
        """Put the keys into their place; where that fails, into the spool folder.

        :param text: the connection to the bot
        :raises KeysNotPlacedError: when they are not in their place; the text says where they are
        """
        mask(text)
        # Before anything else: from here on not even a killed process loses them.
        spared = self._put_aside(text)
        problem: BackupError | None = None
        try:
            if self._place.read() != self._reservation:
                raise _taken(self._place)
            self._settle(text)
        except (KeyPlaceError, KeyPlaceTakenError) as error:
            problem = error
        if problem is not None:
            raise self._not_placed(problem, spared)

    def _settle(self, text: str) -> None:
        mask(text)
        self._place.replace(text)
        with contextlib.suppress(KeyPlaceError):
            self._spare.remove()

    def _put_aside(self, text: str) -> bool:
        try:
            Spool(self._spool_dir)
            self._spare.create(text)
        except (SpoolError, KeyPlaceError, KeyPlaceTakenError) as error:
            log.warning("The keys of the new bot cannot be put aside before they go to %s: %s", self._place, error)
            return False
        return True

    def _not_placed(self, problem: BackupError, spared: bool) -> KeysNotPlacedError:
        if spared:
            return KeysNotPlacedError(
                f"The bot was made, and its keys could not be put into {self._place}: {problem} They are in "
                f'{self._spare}, as a connection: airflow connections add NAME --conn-json "$(cat FILE)". Or '
                "clear this task to try again on that machine; no second bot is made."
            )
        return KeysNotPlacedError(
            f"The bot was made, and its keys could be put neither into {self._place} ({problem}) nor into the "
            "spool folder: they are lost here. The bot is in the account, and the product shows its keys."
        )

    def _unknown(self, held: str) -> UnknownOutcomeError:
        said = json.loads(held)
        return UnknownOutcomeError(
            f"{said.get('by')} asked for a new bot at {said.get('since')}, and whether there is one is not known. "
            f"Look for it in the account. If it is there, its keys are too; if it is not, remove {self._place} "
            "and clear this task. It is not asked for again on its own: that could make a second one."
        )


def mask(text: str) -> None:
    """Let Airflow hide every secret of a connection, in all that the task says from here on.

    :param text: the connection, as JSON
    """
    from airflow.sdk.log import mask_secret

    with contextlib.suppress(ValueError, TypeError, AttributeError):
        extra = json.loads(text).get("extra", {})
        for name in _SECRETS:
            if extra.get(name):
                mask_secret(str(extra[name]))


def _is_reservation(text: str) -> bool:
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and value.get("restore") == _UNDER_WAY


def _taken(place: KeyPlace) -> KeyPlaceTakenError:
    return KeyPlaceTakenError(
        f"{place} exists already and is never overwritten: it may hold the keys of another bot. Import them and "
        "remove it, or choose another name."
    )
