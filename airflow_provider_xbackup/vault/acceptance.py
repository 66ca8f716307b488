"""A person's word that a backup in doubt is what it should be."""

from __future__ import annotations

import shlex
from datetime import datetime

from pydantic import ValidationError

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault.catalog import Backup
from airflow_provider_xbackup.vault.errors import (
    BackupStateError,
    NoSuchBackupError,
    ObjectExistsError,
    ObjectMissingError,
    RecordError,
)
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.records import Acceptance, read_record
from airflow_provider_xbackup.vault.store import Store
from airflow_provider_xbackup.vault.url import VaultUrl
from airflow_provider_xbackup.vault.vault import Vault


def accept(vault: Vault, backup: Backup, who: str, why: str, now: datetime) -> Acceptance:
    """Release a backup in doubt: from now on others are compared with it and built on it.

    In doubt is one that was stored as suspect, and one of which a check found that it fell or is empty. Its
    manifest stays as it is; the word is a record beside it. The first word counts: accepting again changes
    nothing and returns it.

    :param vault: the vault
    :param backup: the backup
    :param who: who says so
    :param why: the reason, for whoever reads it later
    :param now: the instant
    :return: the word that counts, this one or an earlier one; :attr:`Acceptance.at` tells
    :raises InvalidArgumentError: when who or why is empty or too long
    :raises BackupStateError: when nothing doubts it, no word can mend it, or it has expired
    :raises NoSuchBackupError: when it was removed meanwhile
    :raises RecordError: when an earlier word is there and damaged
    :raises VaultError: when the store does not answer
    """
    given = _word(who, why, now)
    store, path = vault.store, backup.path
    if not backup.verdict.suspect and not backup.accepted:
        state = "damaged" if backup.damaged else backup.manifest.condition.state
        raise BackupStateError(f"The backup {backup.location} is {state}, not suspect. {_NOT_SUSPECT[state]}")
    if store.exists(path.tombstone):
        raise BackupStateError(
            f"The backup {backup.location} has expired and is about to be removed. Bring it back before you "
            "accept it."
        )
    if not store.exists(path.manifest):
        raise NoSuchBackupError(f"The backup {backup.location} was removed. There is nothing to accept any more.")
    try:
        store.create(path.accepted, given.to_json())
    except ObjectExistsError:
        return _read(store, path)
    return given


def read_acceptance(store: Store, path: BackupPath) -> Acceptance | None:
    """Read the word that released a backup.

    :param store: the vault's objects
    :param path: the backup's folder
    :return: the word, or None where nobody gave one
    :raises RecordError: when it is damaged
    :raises VaultError: when the store does not answer
    """
    try:
        return _read(store, path)
    except ObjectMissingError:
        return None


def how_to_accept(url: VaultUrl, backup_id: str) -> str:
    """Say how a suspect is looked at and released, as the log does that announces it.

    :param url: the vault
    :param backup_id: the backup
    :return: a sentence or two
    """
    words = f"{shlex.quote(str(url))} {backup_id}"
    return (
        f"`xbackup show {words}` tells more. Nothing is compared with it or built on it until somebody releases "
        f"it: `xbackup accept {words} --why '...'`."
    )


_NOT_SUSPECT = {
    "ok": "It needs nobody's word.",
    "damaged": "No word can mend it: take a new backup, or repair this one from a copy of the vault.",
    "incomplete": "A part that was asked for is missing, and no word can replace it: take a new backup.",
}


def _word(who: str, why: str, now: datetime) -> Acceptance:
    try:
        return Acceptance(who=who.strip(), why=why.strip(), at=now)
    except ValidationError as exc:
        field = exc.errors(include_url=False, include_input=False)[0]["loc"][0]
    raise InvalidArgumentError(f"Say {field}: one to 2,000 characters that whoever reads it later understands.")


def _read(store: Store, path: BackupPath) -> Acceptance:
    try:
        return read_record(store, path.accepted, Acceptance)
    except RecordError as exc:
        reason = str(exc)
    raise RecordError(
        f"The record {store.url.join(path.accepted)} cannot be read: {reason}. The backup counts as accepted; "
        "to say again who did it and why, remove the record and accept the backup again."
    )
