"""Check records: what each verification of a backup found, and whether the backup counts as verified."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby
from typing import Annotated, Literal

from pydantic import Field

from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.catalog import CLOCK_TOLERANCE, Backup
from airflow_provider_xbackup.vault.errors import ObjectMissingError, RecordError
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.manifest import Instant, Producer, Size
from airflow_provider_xbackup.vault.records import Record, read_record
from airflow_provider_xbackup.vault.store import Store


class Level(StrEnum):
    """How deep a verification looks; each level holds those before it."""

    PRESENCE = "presence"
    DIGEST = "digest"
    CONTENT = "content"
    SOURCE = "source"


#: How deep a verification came, in ascending order. Encrypted bytes without a key end at the second.
Depth = Literal["none", "presence", "stored-digest", "digest", "content", "source"]
DEPTHS: tuple[Depth, ...] = ("none", "presence", "stored-digest", "digest", "content", "source")

#: Findings that are a judgement: a person may say that the backup is what it should be all the same.
JUDGEMENTS = frozenset(("drop", "empty", "suspect"))

#: From this depth on a passed check makes a backup a verified one.
_PROOF = DEPTHS.index("stored-digest")


class CheckFinding(Record):
    """Something a verification saw.

    :param code: what it is, for scripts, for example ``missing-object``
    :param kind: an ``error`` fails the check, a ``warning`` does not
    :param object: the object it is about, in the backup's folder; None where it is about the whole
    :param text: what it is, for people
    """

    code: str
    kind: Literal["error", "warning"] = "error"
    object: str | None = None
    text: str


class Check(Record):
    """The record of one verification.

    :param schema_: the format, ``xbackup/check/v1``; called ``schema`` in the JSON
    :param at: when it ended
    :param vault: the vault it looked at, without the connection: a copy of the record proves nothing elsewhere
    :param level: how deep it was to look
    :param reached: how deep it came in every file
    :param passed: whether it found no error
    :param findings: what it saw
    :param objects: how many objects it looked at
    :param bytes_: how many stored bytes it read; called ``bytes`` in the JSON
    :param entities: counts by type, where the content was read
    :param producer: the program, and the task where there is one
    """

    schema_: Annotated[str, Field(pattern=r"^xbackup/check/v1(\.\d+)?$")] = Field(
        default="xbackup/check/v1", alias="schema"
    )
    at: Instant
    vault: str
    level: Level
    reached: Depth
    passed: bool
    findings: tuple[CheckFinding, ...] = ()
    objects: Size
    bytes_: Size = Field(alias="bytes")
    entities: dict[str, Size] | None = None
    producer: Producer

    @property
    def doubts(self) -> bool:
        """Whether it failed by a judgement, over which a person's word goes."""
        return any(found.kind == "error" and found.code in JUDGEMENTS for found in self.findings)

    @property
    def proves(self) -> bool:
        """Whether the stored bytes were read whole and are the manifest's."""
        return self.passed and DEPTHS.index(self.reached) >= _PROOF


def write_check(store: Store, path: BackupPath, check: Check) -> str:
    """Append a check record to a backup.

    :param store: the vault's objects
    :param path: the backup
    :param check: the record
    :return: its path
    :raises ObjectMissingError: when the backup was removed meanwhile; nothing is written
    :raises VaultError: when the store does not take it
    """
    # A record in a folder that retention has emptied would be garbage.
    store.head(path.manifest)
    written = path.check(check.at, layout.new_nonce())
    store.create(written, check.to_json())
    return written


def read_checks(store: Store, backup: Backup) -> Iterator[Check]:
    """Read the check records of a backup, newest first, one request each as they are asked for.

    :param store: the vault's objects
    :param backup: the backup; the names of its records are those found when it was listed
    :return: the records
    :raises RecordError: when one cannot be read
    :raises VaultError: when the store does not answer
    """
    # Names tell the second; within one the records themselves tell, and a failed one goes first.
    for _, names in groupby(_names(backup), key=_second):
        found = [check for name in names for check in _read(store, backup.path.file(name))]
        yield from sorted(found, key=lambda check: (check.at, not check.passed), reverse=True)


def is_verified(store: Store, backup: Backup, now: datetime | None = None) -> bool:
    """Tell whether a backup is verified.

    The newest check of this vault that read all stored bytes passed, and none failed since. A suspect
    that nobody accepted, an incomplete and an expired backup are not verified, whatever their checks say.
    A record that cannot be read proves nothing, and those behind it neither. Usually one request.

    :param store: the vault's objects
    :param backup: the backup; the names of its records are those found when it was listed
    :param now: what the time is; a check from the future proves nothing
    :return: whether it is
    :raises VaultError: when the store does not answer
    """
    if not backup.reliable:
        return False
    limit = (now or datetime.now(UTC)) + CLOCK_TOLERANCE
    here = str(backup.url.without_connection)
    try:
        for check in read_checks(store, backup):
            if check.vault != here:
                continue
            if not check.passed:
                return False
            if check.proves and check.at <= limit:
                return True
    except RecordError:
        return False
    return False


def is_refuted(store: Store, backup: Backup) -> bool:
    """Tell whether the newest check of this vault failed, or cannot be read.

    What it judged to be a fall or empty does not count once a person has accepted the backup. A backup that
    nobody has checked is not refuted. No request where it was never checked, usually one where it was.

    :param store: the vault's objects
    :param backup: the backup; the names of its records are those found when it was listed
    :return: whether it is
    :raises VaultError: when the store does not answer
    """
    here = str(backup.url.without_connection)
    try:
        newest = next((check for check in read_checks(store, backup) if check.vault == here), None)
    except RecordError:
        return True
    if newest is None or newest.passed:
        return False
    errors = {found.code for found in newest.findings if found.kind == "error"}
    return not (backup.accepted and errors and errors <= JUDGEMENTS)


def _names(backup: Backup) -> list[str]:
    prefix = f"{layout.CHECKS}/"
    return sorted((name for name in backup.names if name.startswith(prefix)), reverse=True)


def _second(name: str) -> str:
    return name.rsplit("-", 1)[0]


def _read(store: Store, path: str) -> Iterator[Check]:
    try:
        yield read_record(store, path, Check)
    except ObjectMissingError:  # removed with its backup between the listing and now
        return
    except RecordError as exc:
        raise RecordError(f"The check record {store.url.join(path)} cannot be used: {exc}.") from None
