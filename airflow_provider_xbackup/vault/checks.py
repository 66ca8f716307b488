"""Check records: what each verification of a backup found, and what all of them add up to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby
from typing import Annotated, Literal

from pydantic import Field

from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.errors import ObjectMissingError, RecordError
from airflow_provider_xbackup.vault.layout import CLOCK_TOLERANCE, BackupPath
from airflow_provider_xbackup.vault.manifest import Instant, Producer, Size
from airflow_provider_xbackup.vault.records import Record, read_record
from airflow_provider_xbackup.vault.store import Store


class Level(StrEnum):
    """How deep a verification looks; each level holds those before it."""

    PRESENCE = "presence"
    DIGEST = "digest"
    CONTENT = "content"
    SOURCE = "source"


#: How deep a verification came, in ascending order. Encrypted bytes without a key end at the third.
Depth = Literal["none", "presence", "stored-digest", "digest", "content", "source"]
DEPTHS: tuple[Depth, ...] = ("none", "presence", "stored-digest", "digest", "content", "source")

#: Findings that are a judgement: a person may say that the backup is what it should be all the same.
JUDGEMENTS = frozenset(("drop", "empty", "suspect"))

#: Stored bytes that are missing or are others than the manifest's.
DAMAGE = frozenset(("missing-object", "wrong-size", "stored-digest", "unreadable-object"))

#: How deep a check has to look to see what a finding tells of. Any other finding is seen at its check's level.
_SEEN_AT: dict[str, Depth] = {
    "suspect": "presence",
    "missing-object": "presence",
    "wrong-size": "presence",
    "unreadable-object": "stored-digest",
    "unreadable-record": "stored-digest",
    "stored-digest": "stored-digest",
    "plain-digest": "digest",
    "decryption": "digest",
    "decompression": "digest",
    "unknown-encoding": "digest",
    "damaged-zip": "content",
    "damaged-json": "content",
    "count-mismatch": "content",
    "empty": "content",
    "missing-reference": "content",
    "source-holds-more": "source",
}

#: From this depth on a passed check makes a backup a verified one.
_PROOF = DEPTHS.index("stored-digest")


class CheckFinding(Record):
    """Something a verification saw.

    :param code: what it is, for scripts, for example ``missing-object``
    :param kind: an ``error`` fails the check, a ``warning`` does not
    :param object: the object it is about, in the backup's folder; None where it is about the whole
    :param text: what it is, for people
    :param found_at: when an earlier check found it, where this one did not look deep enough to see it again
    :param depth: how deep a check has to look to see it, where an earlier one found it
    """

    code: str
    kind: Literal["error", "warning"] = "error"
    object: str | None = None
    text: str
    found_at: Instant | None = None
    depth: Depth | None = None

    def __str__(self) -> str:
        return (
            self.text if self.found_at is None else f"{self.text} (Found on {self.found_at:%Y-%m-%d %H:%M} UTC.)"
        )


class Check(Record):
    """The record of one verification.

    :param schema_: the format, ``xbackup/check/v1``; called ``schema`` in the JSON
    :param at: when it ended
    :param vault: the vault it looked at, without the connection: a copy of the record proves nothing elsewhere
    :param level: how deep it was to look
    :param reached: how deep it came in every file
    :param passed: whether it found no error, and repeats none of an earlier check
    :param findings: what it saw, and the errors of earlier checks that it did not look deep enough to see gone
    :param objects: how many objects it looked at
    :param bytes_: how many stored bytes it read; called ``bytes`` in the JSON
    :param entities: counts by type, where the content was read
    :param producer: the program, and the task where there is one
    :param proven: whether it, or an earlier one, read all stored bytes and found them right, and none failed since
    :param follows: the newest of the earlier records, all of which it has taken into account; None for the first
    :param history: whether it was copied along with its backup: of this copy it tells nothing
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
    proven: bool = False
    follows: str | None = None
    history: bool = False

    @property
    def errors(self) -> tuple[CheckFinding, ...]:
        """What failed it, each with its instant and its depth."""
        if self.passed:
            return ()
        found = [finding for finding in self.findings if finding.kind == "error"]
        return tuple(
            finding.model_copy(update={"found_at": finding.found_at or self.at, "depth": self._depth_of(finding)})
            for finding in found or (CheckFinding(code="failed", text="A check failed and does not say why."),)
        )

    @property
    def proves(self) -> bool:
        """Whether the stored bytes were read whole and are the manifest's."""
        return self.passed and DEPTHS.index(self.reached) >= _PROOF

    def after(self, evidence: Evidence, follows: str | None) -> Check:
        """Take earlier checks into account.

        What they found wrong stands until a check has passed that looked as deep, so this one repeats what it did
        not see gone. Whoever reads it need not read them.

        :param evidence: what they add up to
        :param follows: the name of the newest of them; None where there is none
        """
        seen = {(finding.code, finding.object) for finding in self.findings if finding.kind == "error"}
        looked = DEPTHS.index(self.reached) if self.passed else -1
        repeated = [
            failure
            for failure in evidence.failures
            if _index(failure) > looked and (failure.code, failure.object) not in seen
        ]
        passed = self.passed and not repeated
        return self.model_copy(
            update={
                "findings": (*self.findings, *repeated),
                "passed": passed,
                "proven": passed and (self.proves or evidence.proven),
                "follows": follows,
            }
        )

    def _depth_of(self, finding: CheckFinding) -> Depth:
        if finding.code == "drop":  # told by the manifest's numbers, or by what was counted
            own: Depth = "presence" if self.entities is None else "content"
        else:
            own = _SEEN_AT.get(finding.code, self.level.value)
        return finding.depth or own


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the checks of a backup in its vault add up to.

    :param failures: what they found wrong, and no later check has looked deep enough to see gone
    :param proven: whether all stored bytes were read and found right, and no check failed since
    """

    failures: tuple[CheckFinding, ...] = ()
    proven: bool = False


#: Where there is no check.
NO_EVIDENCE = Evidence()


def append_check(store: Store, path: BackupPath, check: Check, *, accepted: bool = False) -> tuple[Check, str]:
    """Append a check record to a backup; earlier ones are taken into account.

    :param store: the vault's objects
    :param path: the backup
    :param check: what was found
    :param accepted: whether a person accepted the backup, so that nobody's judgement is repeated
    :return: the record, and its path
    :raises ObjectMissingError: when the backup was removed meanwhile; nothing is written
    :raises VaultError: when the store does not take it
    """
    listed = list(store.list(path.folder))
    # A record in a folder that retention has emptied would be garbage.
    if path.manifest not in (found.path for found in listed):
        raise ObjectMissingError(f"{store.url.join(path.manifest)} does not exist.")
    # Names sort by time: a slow clock must not place a record before those that it has seen.
    records = [found for found in listed if found.path.startswith(f"{path.checks}/")]
    names = [found.path.removeprefix(f"{path.folder}/") for found in records]
    at = max([check.at, *(found.last_modified for found in records if found.last_modified is not None)])
    evidence = read_evidence(store, path, names, check.vault, at)
    if accepted:
        evidence = without_judgements(evidence)
    record = check.after(evidence, max(names, default=None)).model_copy(update={"at": at})
    written = path.check(record.at, layout.new_nonce())
    store.create(written, record.to_json())
    return record, written


def read_checks(store: Store, path: BackupPath, names: Iterable[str]) -> Iterator[Check]:
    """Read the check records of a backup, newest first, one request each as they are asked for.

    :param store: the vault's objects
    :param path: the backup
    :param names: what lies in its folder
    :return: the records
    :raises RecordError: when one cannot be read
    :raises VaultError: when the store does not answer
    """
    for read in _newest_first(store, path, names, lambda _: True):
        if isinstance(read.check, RecordError):
            raise read.check
        yield read.check


def read_evidence(store: Store, path: BackupPath, names: Iterable[str], vault: str, now: datetime) -> Evidence:
    """Read what the checks of a backup add up to: usually one request, none where it was never checked.

    A failure stands until a later check has passed that looked as deep. A check from the future speaks against a
    backup and not for it. Where a record cannot be read, nothing is proven until all bytes were read again.

    :param store: the vault's objects
    :param path: the backup
    :param names: what lies in its folder
    :param vault: the vault's URL without a connection; what was found elsewhere does not count
    :param now: what the time is
    :return: what they add up to
    :raises VaultError: when the store does not answer
    """
    tally = _Tally(vault, now + CLOCK_TOLERANCE)
    for read in _newest_first(store, path, names, tally.needs):
        tally.add(read)
    return tally.evidence()


def without_judgements(evidence: Evidence) -> Evidence:
    """Leave out what a person's word goes over."""
    left = tuple(failure for failure in evidence.failures if failure.code not in JUDGEMENTS)
    return Evidence(left, evidence.proven)


@dataclass(frozen=True, slots=True)
class _Read:
    """One record, or why it cannot be read."""

    name: str
    check: Check | RecordError

    @property
    def order(self) -> tuple[datetime, bool]:
        """What tells the later of two records of one second: a failed one, where nothing else does."""
        if isinstance(self.check, RecordError):
            return datetime.max.replace(tzinfo=UTC), True
        return self.check.at, not self.check.passed


class _Tally:
    """Adds records up, the newest first.

    :param vault: the vault whose checks count
    :param limit: what lies behind it is the future
    """

    def __init__(self, vault: str, limit: datetime) -> None:
        self._vault = vault
        self._limit = limit
        #: Records up to this name were taken into account by a later one.
        self._covered = ""
        #: How deep later checks have looked and passed.
        self._passed = -1
        #: The records that failed, each with what no later check has seen gone.
        self._failed: list[tuple[str, tuple[CheckFinding, ...]]] = []
        self._proven = False

    def needs(self, name: str) -> bool:
        """Tell whether a record may change anything."""
        return name > self._covered

    def add(self, read: _Read) -> None:
        """Take one more record into account."""
        check = read.check
        if isinstance(check, RecordError):
            unreadable = CheckFinding(code="unreadable-record", text=str(check), depth="stored-digest")
            self._fail(read.name, (unreadable,))
        elif check.history or check.vault != self._vault:
            return
        elif check.at > self._limit:
            self._fail(read.name, check.errors)
        else:
            self._cover(check.follows)
            self._fail(read.name, check.errors)
            if check.passed:
                self._passed = max(self._passed, DEPTHS.index(check.reached))
                self._proven |= not self._failed and (check.proves or check.proven)

    def evidence(self) -> Evidence:
        """Return what they add up to."""
        return Evidence(tuple(error for _, errors in self._failed for error in errors), self._proven)

    def _cover(self, follows: str | None) -> None:
        if follows is not None:
            self._covered = max(self._covered, follows)
            self._failed = [failed for failed in self._failed if failed[0] > follows]

    def _fail(self, name: str, errors: tuple[CheckFinding, ...]) -> None:
        if errors:
            self._failed.append((name, tuple(error for error in errors if _index(error) > self._passed)))


def _index(failure: CheckFinding) -> int:
    return DEPTHS.index(failure.depth or "none")


def _newest_first(
    store: Store, path: BackupPath, names: Iterable[str], wanted: Callable[[str], bool]
) -> Iterator[_Read]:
    ordered = sorted((name for name in names if name.startswith(f"{layout.CHECKS}/")), reverse=True)
    # Names tell the second; within one the records themselves tell.
    for _, beside in groupby(ordered, key=_second):
        found = [read for name in beside if wanted(name) for read in _read(store, path, name)]
        yield from sorted(found, key=lambda read: read.order, reverse=True)


def _second(name: str) -> str:
    return name.rsplit("-", 1)[0]


def _read(store: Store, path: BackupPath, name: str) -> Iterator[_Read]:
    where = path.file(name)
    try:
        yield _Read(name, read_record(store, where, Check))
    except ObjectMissingError:  # removed with its backup between the listing and now
        return
    except RecordError as exc:
        reason = str(exc)
        yield _Read(name, RecordError(f"The check record {store.url.join(where)} cannot be used: {reason}."))
