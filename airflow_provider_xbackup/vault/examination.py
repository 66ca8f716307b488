"""One backup under the magnifying glass: what its objects are, and whether they are what its manifest says."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from airflow_provider_xbackup.contents.inventory import Inventory
from airflow_provider_xbackup.contents.references import References
from airflow_provider_xbackup.contents.zipcheck import ZipReport
from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.vault.catalog import Backup
from airflow_provider_xbackup.vault.checks import DEPTHS, Check, CheckFinding, Depth, Level
from airflow_provider_xbackup.vault.decoding import Decoded
from airflow_provider_xbackup.vault.drops import find_drops, sizes_of
from airflow_provider_xbackup.vault.errors import (
    DamagedBackupError,
    DecompressionError,
    DecryptionError,
    MissingIdentityError,
    ObjectMissingError,
    UnreadableObjectError,
    WrongIdentityError,
)
from airflow_provider_xbackup.vault.identities import Identities
from airflow_provider_xbackup.vault.manifest import Artifact, Producer
from airflow_provider_xbackup.vault.reading import Reading
from airflow_provider_xbackup.vault.store import Store

log = logging.getLogger(__name__)

#: Counts what a project holds right now, by entity; raises :class:`BackupError` where nobody answers.
CountLive = Callable[[str], Mapping[str, int]]

#: How many projects are counted live, a request each: the vendor allows 300 requests in 5 minutes.
MOST_COUNTED = 50
#: Names findings are cut to; a vault may hold anything.
_LONGEST_TEXT = 1000
_DIGESTS = (Level.DIGEST, Level.CONTENT, Level.SOURCE)
_CONTENTS = (Level.CONTENT, Level.SOURCE)
_ENTITY_OF = {"test": "tests", "attachment": "attachments"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a verification is to look at.

    :param level: how deep
    :param producer: who verifies
    :param identities: private keys for what is encrypted; without any it is verified as stored
    :param max_drop: the share, 0 to 1, by which a full may fall below its predecessor
    :param tolerance: the share, 0 to 1, by which the newest full may differ from the live totals
    :param count_live: counts a project's entities at the source; needed for the level ``source``
    """

    level: Level
    producer: Producer
    identities: Identities | None = None
    max_drop: float = 0.5
    tolerance: float = 0.1
    count_live: CountLive | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A backup to be verified, with what it is compared with.

    :param backup: the backup
    :param predecessor: the newest full before it in its group that can be relied on
    :param newest: whether it is the newest full of its group
    """

    backup: Backup
    predecessor: Backup | None = None
    newest: bool = False


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps a verification from looking as deep as was asked, though the backup is not to blame.

    :param finding: what the record tells of it, a warning
    :param error: what it is: whoever asked has to know of it
    """

    finding: CheckFinding
    error: BackupError


class Examination:
    """Looks at one backup, once.

    :param store: the vault's objects
    :param subject: the backup
    :param wanted: what to look at
    :param stopped: asked often; true ends the examination
    """

    def __init__(
        self, store: Store, subject: Subject, wanted: Wanted, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        self._store = store
        self._subject = subject
        self._backup = subject.backup
        self._wanted = wanted
        self._stopped = stopped
        self._findings: list[CheckFinding] = []
        self._bytes = 0
        self._objects = 0
        self._data: ZipReport | None = None
        self._counts: dict[str, int] | None = None
        self._unread: frozenset[str] = frozenset()
        #: The first that was met, other keys than the backup's, or a source that does not answer.
        self.obstacle: Obstacle | None = None

    def run(self) -> Check:
        """Look at everything.

        :return: what was found
        :raises StoppedError: when ``stopped`` said so
        :raises VaultError: when the store does not answer, which tells nothing of the backup
        """
        with Inventory() as inventory:
            reached = min((self._look(one, inventory) for one in self._artifacts), key=DEPTHS.index)
            if self._data is not None:
                self._judge_content(inventory, self._data)
            if reached == "content" and self._backup.manifest.kind == "full":
                for found in inventory.references():
                    self._judge_references(found)
        self._judge_condition()
        if self._wanted.level is Level.SOURCE and self._compare_live() and reached == "content":
            reached = "source"
        return Check(
            at=datetime.now(UTC),
            vault=str(self._backup.url.without_connection),
            level=self._wanted.level,
            reached=reached,
            passed=not any(finding.kind == "error" for finding in self._findings),
            findings=tuple(self._findings),
            objects=self._objects,
            bytes=self._bytes,
            entities=self._counts,
            producer=self._wanted.producer,
        )

    @property
    def _artifacts(self) -> tuple[Artifact, ...]:
        # The data before the attachments that it refers to.
        return tuple(sorted(self._backup.manifest.artifacts, key=lambda one: one.role != "backup"))

    # -- objects ---------------------------------------------------------------------------------------

    def _look(self, artifact: Artifact, inventory: Inventory) -> Depth:
        """Look at one object; return how deep it is as the manifest says."""
        path = self._backup.path.file(artifact.name)
        try:
            size = self._store.head(path).size
            self._objects += 1
            if size != artifact.stored_size:
                self._find(
                    "wrong-size",
                    f"{artifact.name} has {size} bytes and should have {artifact.stored_size}.",
                    artifact,
                )
                return "none"
            return self._read(artifact, inventory) if self._wanted.level in _DIGESTS else "presence"
        except ObjectMissingError:
            self._find("missing-object", f"{artifact.name} is not there.", artifact)
        except UnreadableObjectError as exc:
            self._find("unreadable-object", str(exc), artifact)
        return "none"

    def _read(self, artifact: Artifact, inventory: Inventory) -> Depth:
        wanted = self._wanted
        blocks = self._watched(self._store.open_stream(self._backup.path.file(artifact.name)))
        failure: BackupError | None = None
        try:
            decoded = Decoded(
                blocks,
                compression=artifact.compression,
                encryption=artifact.encryption,
                identities=wanted.identities,
                limit=artifact.size,
            )
        except (MissingIdentityError, DamagedBackupError) as exc:  # it can be verified as it is stored
            failure = exc
            decoded = Decoded(blocks)
        reading = Reading(artifact, inventory, looks=failure is None and wanted.level in _CONTENTS)
        try:
            for block in decoded:
                reading.feed(block)
        except (DecryptionError, DecompressionError) as exc:
            failure = exc
            decoded.finish_stored()
        return self._judge_bytes(artifact, decoded, reading, failure)

    def _judge_bytes(
        self, artifact: Artifact, decoded: Decoded, reading: Reading, failure: BackupError | None
    ) -> Depth:
        depth: Depth = "stored-digest"
        if (decoded.stored.size, decoded.stored.sha256) != (artifact.stored_size, artifact.stored_sha256):
            self._find(
                "stored-digest",
                f"{artifact.name} holds other bytes than were stored: its SHA-256 is {decoded.stored.sha256} and "
                f"should be {artifact.stored_sha256}.",
                artifact,
            )
            depth = "presence"
        if isinstance(failure, MissingIdentityError):
            self._find(
                "not-decrypted",
                f"{artifact.name} is encrypted and no private key was given: it was verified as it is stored, "
                "and not what is in it.",
                artifact,
                kind="warning",
            )
            return depth
        if isinstance(failure, WrongIdentityError):
            self._meet(
                "wrong-identity",
                f"{artifact.name}: {failure} Nothing was decrypted: it was verified as it is stored, and not what "
                "is in it.",
                failure,
                artifact,
            )
            return depth
        if failure is not None:
            code = next(code for kind, code in _FAILURES if isinstance(failure, kind))
            self._find(code, f"{artifact.name}: {failure}", artifact)
            return depth
        if (decoded.plain.size, decoded.plain.sha256) != (artifact.size, artifact.sha256):
            # What is stored verbatim has one digest; the manifest may still tell of two.
            if decoded.plain is not decoded.stored or depth == "stored-digest":
                self._find(
                    "plain-digest",
                    f"What {artifact.name} holds is not what was backed up: its SHA-256 is {decoded.plain.sha256} "
                    f"and should be {artifact.sha256}.",
                    artifact,
                )
        elif depth == "stored-digest":
            depth = "digest"
        looked_into = self._judge_reading(artifact, reading)
        return "content" if looked_into and depth == "digest" else depth

    def _judge_reading(self, artifact: Artifact, reading: Reading) -> bool:
        """Tell of what was seen inside; return whether all of it is as it should be."""
        damage = reading.finish()
        for finding in damage:
            self._find(finding.code, f"{artifact.name}: {finding.text}", artifact, kind=finding.kind)
        if artifact.role == "backup":
            self._data = reading.report
        return reading.looks and not damage

    def _watched(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            if self._stopped():
                raise StoppedError
            self._bytes += len(block)
            yield block

    # -- content ---------------------------------------------------------------------------------------

    def _judge_content(self, inventory: Inventory, data: ZipReport) -> None:
        self._counts = inventory.counts
        self._unread = inventory.unread
        for entry, reason in inventory.problems:
            self._find("damaged-json", f"The entry {entry[:200]!r} is no JSON: {reason}.")
        for entity, number in sorted((self._backup.manifest.entities or {}).items()):
            counted = self._counts.get(entity, 0)
            if counted != number and entity not in self._unread:
                self._find("count-mismatch", f"The data holds {counted} {entity}; its manifest tells of {number}.")
        if self._backup.manifest.kind == "full" and not data.entries:
            earlier = self._subject.predecessor
            # A tenant in which nobody works yet: once that was accepted, the next one is no news.
            known = earlier is not None and earlier.manifest.entities == {}
            kind = "warning" if known else self._unless_accepted
            self._find("empty", "There is nothing in the data zip of this full backup.", kind=kind)

    def _judge_references(self, found: References) -> None:
        # A partial holds what changed, and refers to what did not; so this is asked of fulls only.
        manifest = self._backup.manifest
        if found.kind == "attachment":
            if not any(one.role == "attachments" for one in manifest.artifacts):
                return
            understood = found.recognised or not found.known
        else:
            understood = found.recognised
        if not found.missing:
            return
        if not understood:
            self._find(
                "unknown-references",
                f"None of {found.named} references to {_ENTITY_OF[found.kind]} leads to one in the backup: they "
                "are probably written in a form that is not known here, and were not checked.",
                kind="warning",
            )
            return
        what = _ENTITY_OF[found.kind]
        text = f"{found.missing} of {found.named} {what} that the data refers to are not in the backup"
        # A test set may refer to tests of projects that nobody asked for.
        perhaps_elsewhere = found.kind == "test" and manifest.scope.project_ids is not None
        if perhaps_elsewhere and found.certain:
            text += f", {found.certain} of them of projects that are"
        examples = ", ".join(f"{name[:80]!r} in {place[:120]}" for name, place in found.examples)
        self._find(
            "missing-reference",
            f"{text}, for example {examples}.",
            kind="warning" if perhaps_elsewhere and not found.certain else "error",
        )

    # -- the whole -------------------------------------------------------------------------------------

    def _judge_condition(self) -> None:
        backup = self._backup
        if backup.base_gone:
            self._find(
                "base-gone", f"Its full {backup.manifest.base} is gone: nothing can be restored of it alone."
            )
        reasons = " ".join(backup.manifest.condition.reasons) or "No reason was noted."
        if backup.manifest.condition.state == "incomplete":
            self._find("incomplete", f"Something that was asked for is missing. {reasons}", kind="warning")
        elif backup.manifest.condition.state == "suspect":
            advice = (
                "A person has accepted it: 'xbackup show' tells who and why."
                if backup.accepted
                else "Look at the account; 'xbackup accept' takes it for good."
            )
            self._find(
                "suspect",
                f"It was stored as suspect. {reasons} {advice}",
                kind=self._unless_accepted,
            )
        else:
            self._find_drops()

    def _find_drops(self) -> None:
        backup, earlier = self._backup, self._subject.predecessor
        if earlier is None or backup.manifest.kind != "full":
            return
        now, before = sizes_of(backup.manifest.artifacts), sizes_of(earlier.manifest.artifacts)
        unread = self._unread
        if self._counts is not None:
            now |= self._counts
            before |= earlier.manifest.entities or {}
        elif backup.manifest.entities is not None:
            # A type whose files could not be read has no count in a manifest; whoever reads them knows more.
            now |= backup.manifest.entities
            before |= earlier.manifest.entities or {}
            unread = frozenset(before.keys() - now.keys())
        for drop in find_drops(now, before, self._wanted.max_drop, unread):
            self._find("drop", f"The {drop}, against backup {earlier.backup_id}.", kind=self._unless_accepted)

    @property
    def _unless_accepted(self) -> Literal["error", "warning"]:
        return "warning" if self._backup.accepted else "error"

    # -- the source ------------------------------------------------------------------------------------

    def _compare_live(self) -> bool:
        """Compare with what the source holds; return whether that was possible."""
        manifest = self._backup.manifest
        counts = self._counts if self._counts is not None else manifest.entities
        projects = manifest.scope.project_ids or (sorted(self._data.projects) if self._data else ())
        obstacles = {
            "only Xray can be asked what it holds": manifest.service != "xray",
            "a partial backup holds only what changed": manifest.kind != "full",
            "nobody said how to ask the source": self._wanted.count_live is None,
            "nothing in it was counted": counts is None,
            "nobody knows which projects it holds": not projects,
            f"it holds more than {MOST_COUNTED} projects": len(projects) > MOST_COUNTED,
        }
        obstacle = next((text for text, true in obstacles.items() if true), None)
        if obstacle is not None or counts is None or self._wanted.count_live is None:
            self._find("not-compared", f"It was not compared with its source: {obstacle}.", kind="warning")
            return False
        live: dict[str, int] = {}
        try:
            for project in projects:
                for entity, number in self._wanted.count_live(project).items():
                    live[entity] = live.get(entity, 0) + number
        except BackupError as exc:
            self._meet("not-compared", f"It was not compared with its source: {exc}", exc)
            return False
        for entity, number in sorted(live.items()):
            if entity in counts or entity == "tests":
                self._judge_count(entity, counts.get(entity, 0), number)
        return True

    def _judge_count(self, entity: str, held: int, live: int) -> None:
        share = self._wanted.tolerance
        if held < live * (1 - share):
            # An old backup holds less than a tenant that grew, and is none the worse for it.
            self._find(
                "source-holds-more",
                f"The backup holds {held} {entity}, and its source {live} right now.",
                kind="error" if self._subject.newest else "warning",
            )
        elif held * (1 - share) > live:
            self._find(
                "source-holds-less",
                f"The backup holds {held} {entity}, and its source only {live} right now. If nobody removed them "
                "on purpose, keep this backup: 'xbackup hold'.",
                kind="warning",
            )

    def _find(
        self,
        code: str,
        text: str,
        artifact: Artifact | None = None,
        *,
        kind: Literal["error", "warning"] = "error",
    ) -> None:
        name = None if artifact is None else artifact.name
        self._findings.append(CheckFinding(code=code, kind=kind, object=name, text=text[:_LONGEST_TEXT]))

    def _meet(self, code: str, text: str, error: BackupError, artifact: Artifact | None = None) -> None:
        self._find(code, text, artifact, kind="warning")
        self.obstacle = self.obstacle or Obstacle(self._findings[-1], error)


class StoppedError(Exception):
    """The examination ended because nobody waits for it any more."""


#: The first that fits.
_FAILURES: tuple[tuple[type[BackupError], str], ...] = (
    (DecryptionError, "decryption"),
    (DecompressionError, "decompression"),
    (DamagedBackupError, "unknown-encoding"),
)
