"""Where the objects of a vault lie: names and paths, and the checks that keep names inside."""

from __future__ import annotations

import re
import secrets
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple, cast

from airflow_provider_xbackup.errors import InvalidArgumentError

Kind = Literal["full", "partial"]

#: The services whose backups are kept.
SERVICES = ("xray", "xenioo")
KINDS: tuple[Kind, ...] = ("full", "partial")

#: The artifacts a backup can have, with the extension of their plain bytes.
ROLES = {"backup": "zip", "attachments": "zip", "bot": "json"}

MANIFEST = "manifest.json"
HOLD = "hold.json"
ACCEPTED = "accepted.json"
TOMBSTONE = "tombstone.json"
CHECKS = "checks"

#: Clocks of different machines differ by so much without anybody being wrong.
CLOCK_TOLERANCE = timedelta(minutes=5)

_INSTANT = "%Y%m%dT%H%M%SZ"
_BACKUP_ID = re.compile(r"(?P<instant>[0-9]{8}T[0-9]{6}Z)-(?P<kind>full|partial)-(?P<digits>[0-9a-f]{8})")
_ID_START = re.compile(r"[0-9]{8}[0-9A-Za-z-]*")
_DIGITS = re.compile(r"[0-9a-f]{8}")
_ARTIFACT = re.compile(
    rf"(?P<role>{'|'.join(ROLES)})\.(?P<nonce>[0-9a-f]{{8}})\.(?P<ext>zip|json)(?:\.zst)?(?:\.age)?"
)
_RECORD = re.compile(
    rf"{re.escape(HOLD)}|{re.escape(ACCEPTED)}|{re.escape(TOMBSTONE)}"
    rf"|{CHECKS}/[0-9]{{8}}T[0-9]{{6}}Z-[0-9a-f]{{8}}\.json"
)
_CLOCK = re.compile(rf"(?:{'|'.join(SERVICES)})/clock\.[0-9a-f]{{8}}")
_REFUSED = ("Cc", "Cs", "Zl", "Zp")


class BackupId(NamedTuple):
    """What a backup id says.

    :param instant: the UTC instant the backup was asked for
    :param kind: ``full`` or ``partial``
    :param digits: 8 hex digits that tell two backups of one instant apart
    """

    instant: datetime
    kind: Kind
    digits: str


def check_account(name: str) -> str:
    """Check the name of an account, which becomes a folder of the vault.

    :param name: the name
    :return: the name, unchanged
    :raises InvalidArgumentError: when it is empty, leads out of its folder or cannot be a folder's name
    """
    problem = _account_problem(name)
    if problem:
        raise InvalidArgumentError(
            f"The account name {_clip(name)!r} {problem}. It becomes a folder of the vault: use letters, "
            "digits, dots, dashes, at most 128 characters."
        )
    return name


def check_service(name: str) -> str:
    """Check the name of a service.

    :param name: the name
    :return: the name, unchanged
    :raises InvalidArgumentError: when no such service is known
    """
    if name not in SERVICES:
        raise InvalidArgumentError(f"Unknown service {_clip(name)!r}; known are {', '.join(SERVICES)}.")
    return name


def make_backup_id(instant: datetime, kind: Kind, digits: str) -> str:
    """Make a backup id, for example ``20261123T014500Z-full-1a2b3c4d``.

    :param instant: when the backup was asked for, with a time zone
    :param kind: ``full`` or ``partial``
    :param digits: 8 hex digits, see :func:`digits_of`
    :return: the id
    :raises InvalidArgumentError: when a part does not fit
    """
    if instant.tzinfo is None:
        raise InvalidArgumentError(f"The instant {instant.isoformat()} has no time zone.")
    if kind not in KINDS or not _DIGITS.fullmatch(digits):
        raise InvalidArgumentError(f"No backup id can be made of kind {kind!r} and digits {_clip(digits)!r}.")
    utc = instant.astimezone(UTC)
    # strftime writes the year 1 with one digit.
    return f"{utc.year:04}{utc:%m%dT%H%M%SZ}-{kind}-{digits}"


def digits_of(text: str) -> str:
    """Return the 8 hex digits that stand for a job id or a digest in a backup id.

    :param text: a job id or a hex digest
    :return: its first 8 hex digits where it begins with them, else 8 digits of its SHA-256
    """
    start = text[:8].lower()
    if _DIGITS.fullmatch(start):
        return start
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:8]


def check_id_start(text: str) -> str:
    """Check what should be a backup id, or the beginning of one with its date at least.

    :param text: for example ``20261123T0145``
    :return: the text, unchanged
    :raises InvalidArgumentError: when no backup id begins so
    """
    if not _ID_START.fullmatch(text):
        raise InvalidArgumentError(
            f"{_clip(text)!r} is no backup id and no beginning of one; one looks like "
            "20261123T014500Z-full-1a2b3c4d, and its first 8 characters may do."
        )
    return text


@lru_cache(maxsize=1024)
def is_backup_id(text: str) -> bool:
    """Tell whether a text is a whole backup id, with an instant that there is.

    A listing asks for every object of a folder again, one beside the other.
    """
    return _parts_of(text) is not None


def parse_backup_id(backup_id: str) -> BackupId:
    """Read a backup id.

    :param backup_id: for example ``20261123T014500Z-full-1a2b3c4d``
    :return: instant, kind and digits
    :raises InvalidArgumentError: when it is no backup id
    """
    parts = _parts_of(backup_id)
    if parts is None:
        raise InvalidArgumentError(
            f"{_clip(backup_id)!r} is no backup id; one looks like 20261123T014500Z-full-1a2b3c4d."
        )
    return parts


def _parts_of(text: str) -> BackupId | None:
    match = _BACKUP_ID.fullmatch(text)
    if match is None:
        return None
    try:
        return BackupId(_read_instant(match["instant"]), cast("Kind", match["kind"]), match["digits"])
    except ValueError:  # no such date
        return None


def _read_instant(text: str) -> datetime:
    """Read ``20261123T014500Z``; strptime takes ten times as long, and a listing reads very many."""
    date, time = (
        (int(text[:4]), int(text[4:6]), int(text[6:8])),
        (int(text[9:11]), int(text[11:13]), int(text[13:15])),
    )
    return datetime(*date, *time, tzinfo=UTC)


def new_nonce() -> str:
    """Return 8 hex digits that name one attempt to store a backup."""
    return secrets.token_hex(4)


def artifact_name(role: str, nonce: str, *, compressed: bool = False, encrypted: bool = False) -> str:
    """Return the object name of an artifact, for example ``bot.1a2b3c4d.json.zst.age``.

    :param role: ``backup``, ``attachments`` or ``bot``
    :param nonce: the digits of the attempt
    :param compressed: whether it is zstd-compressed
    :param encrypted: whether it is age-encrypted
    :return: the name inside the backup's folder
    :raises InvalidArgumentError: on an unknown role
    """
    if role not in ROLES:
        raise InvalidArgumentError(f"Unknown artifact role {_clip(role)!r}; known are {', '.join(ROLES)}.")
    return f"{role}.{nonce}.{ROLES[role]}{'.zst' * compressed}{'.age' * encrypted}"


def nonce_of(name: str) -> str | None:
    """Return the nonce in an artifact's object name, or None where the name is not one."""
    match = _ARTIFACT.fullmatch(name)
    return match["nonce"] if match and match["ext"] == ROLES[match["role"]] else None


def is_record(name: str) -> bool:
    """Tell whether an object of a backup's folder is a record: of a hold, an acceptance, a check and so on."""
    return _RECORD.fullmatch(name) is not None


def clock_path(service: str) -> str:
    """Return the path of a new object that tells a store's clock, see :meth:`~.store.Store.clock`."""
    return f"{check_service(service)}/clock.{new_nonce()}"


def is_clock(path: str) -> bool:
    """Tell whether an object was written to tell a store's clock."""
    return _CLOCK.fullmatch(path) is not None


@dataclass(frozen=True, slots=True, order=True)
class BackupPath:
    """The folder of one backup inside a vault, and what lies in it.

    :param service: ``xray`` or ``xenioo``
    :param account: the account's name
    :param backup_id: the backup's id
    """

    service: str
    account: str
    backup_id: str

    @classmethod
    def checked(cls, service: str, account: str, backup_id: str) -> BackupPath:
        """Make the path of a backup from a user's words.

        :raises InvalidArgumentError: when one of them is not valid
        """
        parse_backup_id(backup_id)
        return cls(check_service(service), check_account(account), backup_id)

    @classmethod
    def of(cls, path: str) -> tuple[BackupPath, str] | None:
        """Split an object's path into the backup it belongs to and its name there; None if it is foreign."""
        parts = path.split("/", 3)
        if len(parts) != 4 or parts[0] not in SERVICES:
            return None
        if not is_backup_id(parts[2]) or not _is_account(parts[1]):
            return None
        return cls(parts[0], parts[1], parts[2]), parts[3]

    @property
    def folder(self) -> str:
        """The folder, without a slash at the end."""
        return f"{self.service}/{self.account}/{self.backup_id}"

    @property
    def manifest(self) -> str:
        """The path of the manifest, which makes the backup exist."""
        return self.file(MANIFEST)

    @property
    def hold(self) -> str:
        """The path of the hold record."""
        return self.file(HOLD)

    @property
    def accepted(self) -> str:
        """The path of the record that a suspect was accepted."""
        return self.file(ACCEPTED)

    @property
    def tombstone(self) -> str:
        """The path of the tombstone."""
        return self.file(TOMBSTONE)

    @property
    def checks(self) -> str:
        """The folder of the check records."""
        return self.file(CHECKS)

    def check(self, instant: datetime, digits: str) -> str:
        """Return the path of one check record."""
        return f"{self.checks}/{instant.astimezone(UTC).strftime(_INSTANT)}-{digits}.json"

    def file(self, name: str) -> str:
        """Return the path of an object of this backup."""
        return f"{self.folder}/{name}"


@lru_cache(maxsize=1024)
def _is_account(name: str) -> bool:
    """Tell whether a folder's name can be an account's; a listing asks for every object again."""
    return _account_problem(name) is None


def _account_problem(name: object) -> str | None:
    if not isinstance(name, str):
        return f"is not text but {type(name).__name__}"
    problems = (
        (not name or not name.strip(), "is empty"),
        (name in (".", ".."), "leads out of the vault"),
        ("/" in name or "\\" in name, "holds a slash or a backslash"),
        (any(unicodedata.category(c) in _REFUSED for c in name), "holds control characters"),
        (name != name.strip(), "has white space at an end"),
        (len(name) > 128, "is longer than 128 characters"),
        (len(name.encode(errors="replace")) > 200, "is longer than 200 bytes"),
    )
    return next((text for found, text in problems if found), None)


def _clip(text: object) -> str:
    text = str(text)
    return text if len(text) <= 60 else text[:57] + "..."
