"""Copying backups from one vault into another: only what is missing, checked on its way and after it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.ahead import read_ahead
from airflow_provider_xbackup.vault.catalog import Backup, read_backup, read_stored_manifest
from airflow_provider_xbackup.vault.checks import DAMAGE, Check, CheckFinding, Level, append_check
from airflow_provider_xbackup.vault.draft import StoredBytes, matching
from airflow_provider_xbackup.vault.encoding import Digest
from airflow_provider_xbackup.vault.entries import Entry
from airflow_provider_xbackup.vault.errors import (
    DamagedBackupError,
    DifferentBytesError,
    IncompleteWriteError,
    ManifestError,
    NoSuchBackupError,
    ObjectExistsError,
    ObjectMissingError,
    RecordError,
    UnknownFormatError,
    UnreadableObjectError,
    VaultError,
)
from airflow_provider_xbackup.vault.examination import Examination, Subject, Wanted
from airflow_provider_xbackup.vault.groups import Groups
from airflow_provider_xbackup.vault.holds import keep, outlasts, read_hold
from airflow_provider_xbackup.vault.kept import choose_kept
from airflow_provider_xbackup.vault.layout import CLOCK_TOLERANCE, BackupPath
from airflow_provider_xbackup.vault.locks import Lock
from airflow_provider_xbackup.vault.manifest import Artifact, Manifest, Producer, to_json
from airflow_provider_xbackup.vault.plain import stored_blocks
from airflow_provider_xbackup.vault.retention import RetentionPolicy
from airflow_provider_xbackup.vault.standing import Standing
from airflow_provider_xbackup.vault.vault import Vault

#: How many backups are copied at once: enough to keep a network busy, few enough for flat memory.
_WORKERS = 4


Names: TypeAlias = frozenset[str]


class Outcome(StrEnum):
    """What became of a backup on its way into another vault."""

    COPIED = "copied"
    PRESENT = "present"
    REPAIRED = "repaired"
    #: The copy had expired, and is back: its original is on hold.
    REVIVED = "revived"
    #: What is left of a copy that retention began to remove. Nothing was copied into it.
    HALF_REMOVED = "half-removed"
    #: Its original is not what its manifest says, or the manifest cannot be read. Nothing was copied.
    DAMAGED_SOURCE = "damaged-source"
    #: The copy is not what its manifest says; ``repair`` writes it anew.
    DAMAGED_TARGET = "damaged-target"
    #: The full that it builds on could not be copied, so it was not either.
    BASE_MISSING = "base-missing"


#: What somebody has to look at.
PROBLEMS = (Outcome.DAMAGED_SOURCE, Outcome.DAMAGED_TARGET, Outcome.BASE_MISSING)
#: After which a copy can be built on.
_SAFE = (Outcome.COPIED, Outcome.REPAIRED, Outcome.REVIVED)


@dataclass(frozen=True, slots=True)
class Replicated:
    """What became of one backup.

    :param path: its folder, the same in both vaults
    :param outcome: what became of it
    :param copied: bytes that were written
    :param problem: what is wrong, empty where nothing is
    """

    path: BackupPath
    outcome: Outcome
    copied: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Pair:
    """A backup in both vaults, as their listings show it.

    :param path: its folder
    :param names: what lies there in the source
    :param copied: what lies there in the target; None where there is no backup
    """

    path: BackupPath
    names: Names
    copied: Names | None

    @property
    def expired(self) -> bool:
        """Whether the copy has expired."""
        return self.copied is not None and layout.TOMBSTONE in self.copied


@dataclass(frozen=True, slots=True)
class _Original:
    """A backup of the source, as it was read.

    :param manifest: its manifest
    :param data: the same as it is stored
    """

    manifest: Manifest
    data: bytes


class _LostOriginalError(Exception):
    """What lies in the source is not what its manifest says."""


class Replication:
    """Copies the backups of one vault into another. Iterate it; what is there already costs no bytes.

    Expired backups and those dated in the future are not copied; one that expired in the target stays so, unless
    its original is on hold. Files are copied as they are stored, encrypted ones without any key. A copy is read
    back and gets a check record of its own. Holds and acceptances go along, checks as history that proves nothing
    in the copy.

    :param source: the vault with the originals
    :param target: the vault with the copies
    :param producer: who copies, for the check records
    :param service: only this service
    :param account: only this account
    :param policy: copy only what this policy would keep of the backups of both vaults together
    :param repair: whether to write damaged copies anew
    :param lock: for how long, and how hard, the copies are locked, those that are there already included
    :param now: what the time is
    :raises InvalidArgumentError: when both are the same vault, the policy has no rule, or a name cannot be one
    """

    def __init__(
        self,
        source: Vault,
        target: Vault,
        *,
        producer: Producer,
        now: datetime,
        service: str | None = None,
        account: str | None = None,
        policy: RetentionPolicy | None = None,
        repair: bool = False,
        lock: Lock | None = None,
    ) -> None:
        if source.url == target.url:
            raise _into_itself(source)
        if policy is not None and policy.is_empty:
            raise InvalidArgumentError("The policy keeps nothing: give it a rule, such as keep_daily=30.")
        self._source = source
        self._target = target
        self._producer = producer
        self._now = now
        self._service = service
        self._account = account
        self._policy = policy
        self._repair = repair
        self._lock = lock
        #: How many backups the policy left out; complete when the iteration has ended.
        self.left_out = 0

    def __iter__(self) -> Iterator[Replicated]:
        """Copy, and yield what became of every backup: fulls first, each kind newest first.

        :raises InvalidArgumentError: when both vaults turn out to be the same
        :raises VaultError: when a store does not answer
        """
        self._target.prepare(self._lock)
        self._refuse_one_vault()
        originals = self._originals()
        copies, half_removed = self._copies()
        safe = {path for path, names in copies.items() if layout.TOMBSTONE not in names}

        def replicate(path: BackupPath) -> Replicated | None:
            if path in half_removed:
                return _half_removed(path)
            return self._replicate(_Pair(path, originals[path], copies.get(path)), originals, safe)

        for kind in ("full", "partial"):
            paths = [path for path in originals if layout.parse_backup_id(path.backup_id).kind == kind]
            for path, replicated in read_ahead(replicate, paths, _WORKERS):
                if replicated is not None:
                    if replicated.outcome in _SAFE:
                        safe.add(path)
                    yield replicated

    # -- what there is ---------------------------------------------------------------------------------

    def _refuse_one_vault(self) -> None:
        """Find out whether two connections lead to one vault: what is written to the target is in the source then.

        Buckets of two providers, or of two accounts, may have one name.
        """
        if self._source.url.without_connection != self._target.url.without_connection:
            return
        probe = layout.clock_path(layout.SERVICES[0])
        self._target.store.put(probe, b"")
        try:
            one = self._source.store.exists(probe)
        finally:
            with contextlib.suppress(VaultError):  # a store that locks its objects
                self._target.store.delete(probe)
        if one:
            raise _into_itself(self._source)

    def _originals(self) -> dict[BackupPath, Names]:
        """List what is to be in the target, newest first."""
        limit = self._now + CLOCK_TOLERANCE
        unwanted = set() if self._policy is None else self._unwanted(self._policy)
        live = {
            path: Names(names)
            for path, names in self._source.backups(self._service, self._account).folders()
            if layout.TOMBSTONE not in names and layout.parse_backup_id(path.backup_id).instant <= limit
        }
        self.left_out = len(live.keys() & unwanted)
        return {path: names for path, names in live.items() if path not in unwanted}

    def _copies(self) -> tuple[dict[BackupPath, Names], frozenset[BackupPath]]:
        catalog = self._target.backups(self._service, self._account)
        copies = {path: Names(names) for path, names in catalog.folders()}
        return copies, frozenset(catalog.half_removed)

    def _unwanted(self, policy: RetentionPolicy) -> set[BackupPath]:
        """Name what nothing would keep if the target held everything.

        Nothing is deleted by it, so nothing of it is refused or paused.
        """
        here, there = (
            dict(Groups(vault, service=self._service, account=self._account, now=self._now))
            for vault in (self._source, self._target)
        )
        unwanted = set()
        for group in {*here, *there}:
            entries = _together(here.get(group, ()), there.get(group, ()))
            unwanted |= {entry.path for entry in choose_kept(policy, entries, now=self._now).unneeded}
        return unwanted

    # -- one backup ------------------------------------------------------------------------------------

    def _replicate(
        self, pair: _Pair, originals: Collection[BackupPath], safe: Collection[BackupPath]
    ) -> Replicated | None:
        path = pair.path
        if pair.expired and not self._revive(pair):
            return None
        try:
            original = _Original(*read_stored_manifest(self._source.store, path))
        except ObjectMissingError:  # expired meanwhile
            return None
        except ManifestError as exc:
            return Replicated(path, Outcome.DAMAGED_SOURCE, problem=str(exc))
        base = original.manifest.base
        if base is not None:
            full = BackupPath(path.service, path.account, base)
            if full in originals and full not in safe:
                text = f"{path.folder} was not copied, because the full {base} that it builds on was not."
                return Replicated(path, Outcome.BASE_MISSING, problem=text)
        try:
            if pair.copied is None:
                return self._copy(pair, original)
            return self._look_after(pair, original)
        except (ObjectMissingError, NoSuchBackupError):  # the target's retention was quicker
            return None
        except _LostOriginalError as exc:
            return self._lost(path, exc)
        except IncompleteWriteError as exc:
            return Replicated(path, Outcome.DAMAGED_TARGET, problem=str(exc))

    def _revive(self, pair: _Pair) -> bool:
        """Bring an expired copy back where its original is on hold; return whether that is so."""
        if layout.HOLD not in pair.names:
            return False
        try:
            return self._hand_on_hold(pair.path)
        except NoSuchBackupError:  # its removal was quicker
            return False

    def _copy(self, pair: _Pair, original: _Original) -> Replicated:
        path = pair.path
        with self._target.draft(path.service, path.account, path.backup_id, lock=self._lock) as draft:
            for artifact in original.manifest.artifacts:
                blocks = self._read(path, artifact)
                with _blaming_the_original():
                    draft.add_stored(artifact.role, blocks, _facts(artifact), media_type=artifact.media_type)
            copy = draft.commit_copy(original.data)
        self._hand_on_records(pair)
        return self._judge(pair, copy, original.manifest.stored_size, Outcome.COPIED)

    def _look_after(self, pair: _Pair, original: _Original) -> Replicated | None:
        """See to a copy that is there: what is wrong with it, and what happened to its original since."""
        path = pair.path
        self._hand_on_records(pair)
        try:
            copy = read_backup(self._target.url, self._target.store, path, pair.copied or Names(), self._now)
        except UnknownFormatError as exc:
            return Replicated(path, Outcome.DAMAGED_TARGET, problem=f"{exc} It was left as it is.")
        except ManifestError as exc:
            if not self._repair:
                return Replicated(path, Outcome.DAMAGED_TARGET, problem=str(exc))
            return self._mend_manifest(pair, original)
        problem = self._problem_of(copy)
        if not problem:
            self._target.keep_locked(copy, self._lock)
            return Replicated(path, Outcome.REVIVED if pair.expired else Outcome.PRESENT)
        if not self._target.store.exists(path.manifest):  # its files went because it went
            return None
        if not self._repair:
            return Replicated(path, Outcome.DAMAGED_TARGET, problem=problem)
        return self._write_anew(pair, copy, original.manifest)

    def _problem_of(self, copy: Backup) -> str:
        """Say what is wrong with the bytes of a copy, as far as their sizes and its own checks tell."""
        for artifact in copy.manifest.artifacts:
            where = self._target.url.join(copy.path.file(artifact.name))
            try:
                size = self._target.store.head(copy.path.file(artifact.name)).size
            except ObjectMissingError:
                return f"{where} is missing."
            except UnreadableObjectError as exc:
                return str(exc)
            if size != artifact.stored_size:
                return f"{where} has {size} bytes instead of {artifact.stored_size}."
        return _damage(copy.evidence.failures)

    # -- repairing -------------------------------------------------------------------------------------

    def _mend_manifest(self, pair: _Pair, original: _Original) -> Replicated:
        """Replace a manifest that cannot be read, when all files that it is to name are there.

        Files of the copy that hold the original's bytes stay. Until the last step nothing is replaced or removed:
        whoever dies here, or finds the original lost, leaves what was there.
        """
        path, written = pair.path, 0
        files: list[Artifact] = []
        with self._target.draft(path.service, path.account, path.backup_id) as draft:
            for artifact in original.manifest.artifacts:
                name = self._find_same(pair, artifact)
                if name is not None:
                    files.append(artifact.model_copy(update={"name": name, "version_id": None}))
                    continue
                blocks = self._read(path, artifact)
                with _blaming_the_original():
                    files.append(
                        draft.add_stored(artifact.role, blocks, _facts(artifact), media_type=artifact.media_type)
                    )
                written += artifact.stored_size
        told = [file.model_dump(mode="json") for file in files]
        data = to_json(json.loads(original.data) | {"artifacts": told})
        self._target.store.put(path.manifest, data, media_type="application/json")
        copy = Backup(self._target.url, path, Manifest.from_json(data))
        self._target.keep_locked(copy, self._lock)
        return self._judge(pair, copy, written, Outcome.REPAIRED)

    def _write_anew(self, pair: _Pair, copy: Backup, manifest: Manifest) -> Replicated:
        """Put the bytes of the original where those of the copy have to be and are not."""
        path, written = pair.path, 0
        originals = {artifact.stored_sha256: artifact for artifact in manifest.artifacts}
        for artifact in copy.manifest.artifacts:
            name = path.file(artifact.name)
            if self._holds(name, artifact):
                continue
            original = originals.get(artifact.stored_sha256)
            if original is None:
                text = (
                    f"{path.folder} cannot be repaired: its original in {self._source.url} holds other bytes, as "
                    "two attempts at one backup can. Copy it by hand, or let the copy expire."
                )
                return Replicated(path, Outcome.DAMAGED_TARGET, problem=text)
            blocks = matching(self._read(path, original), _facts(original), self._target.url.join(name))
            with _blaming_the_original():
                self._target.store.put_stream(
                    name, blocks, expected_size=artifact.stored_size, media_type=artifact.media_type
                )
            written += artifact.stored_size
        self._target.keep_locked(copy, self._lock)
        return self._judge(pair, copy, written, Outcome.REPAIRED)

    def _find_same(self, pair: _Pair, artifact: Artifact) -> str | None:
        """Find a file of the copy that holds the bytes of an original's; their names differ in the nonce."""
        compressed, encrypted = artifact.compression is not None, artifact.encryption is not None
        for name in sorted(pair.copied or ()):
            nonce = layout.nonce_of(name)
            if nonce is None or artifact.role not in layout.ROLES:
                continue
            wanted = layout.artifact_name(artifact.role, nonce, compressed=compressed, encrypted=encrypted)
            if name == wanted and self._holds(pair.path.file(name), artifact):
                return name
        return None

    def _holds(self, name: str, artifact: Artifact) -> bool:
        """Read an object of the target, and tell whether it holds an artifact's bytes."""
        store, digest = self._target.store, Digest()
        try:
            if store.head(name).size != artifact.stored_size:
                return False
            for _ in digest.of(store.open_stream(name)):
                pass
        except (ObjectMissingError, UnreadableObjectError):
            return False
        return digest.sha256 == artifact.stored_sha256

    # -- afterwards ------------------------------------------------------------------------------------

    def _judge(self, pair: _Pair, copy: Backup, written: int, outcome: Outcome) -> Replicated:
        """Read a copy back, and write down what was found."""
        accepted = layout.ACCEPTED in pair.names | (pair.copied or Names())
        seen = replace(copy, names=Names({layout.ACCEPTED} if accepted else ()))
        wanted = Wanted(Level.DIGEST, self._producer)
        check = Examination(self._target.store, Subject(seen), wanted).run()
        with contextlib.suppress(ObjectMissingError):  # the target's retention was quicker
            append_check(self._target.store, copy.path, check, accepted=accepted)
        damage = _damage(check.findings)
        return Replicated(copy.path, Outcome.DAMAGED_TARGET if damage else outcome, written, damage)

    def _hand_on_records(self, pair: _Pair) -> None:
        """Take holds, acceptances and the history of checks along; what is there already stays.

        :raises NoSuchBackupError: when the copy was removed meanwhile, and cannot be held
        """
        path, source, target = pair.path, self._source.store, self._target.store
        if layout.HOLD in pair.names:
            self._hand_on_hold(path)
        for name in sorted(pair.names - (pair.copied or Names())):
            with contextlib.suppress(ObjectMissingError, ObjectExistsError, UnreadableObjectError):
                if name == layout.ACCEPTED:
                    target.create(path.file(name), source.read(path.file(name)))
                elif name.startswith(f"{layout.CHECKS}/"):
                    self._hand_on_check(path.file(name))

    def _hand_on_hold(self, path: BackupPath) -> bool:
        """Hold a copy as long as its original at least; return whether that one is on hold."""
        try:
            hold = read_hold(self._source.store, path)
        except RecordError:  # it keeps the original; until when nobody knows
            return False
        if hold is None or not hold.in_force(self._now):
            return False
        there = None
        with contextlib.suppress(RecordError):
            there = read_hold(self._target.store, path)
        if there is None or outlasts(hold, there) or self._target.store.exists(path.tombstone):
            keep(self._target, path, hold if there is None or outlasts(hold, there) else there)
        return True

    def _hand_on_check(self, name: str) -> None:
        """Take a check record along, marked as history: whatever the vaults are called, it is not of this copy."""
        data = self._source.store.read(name)
        with contextlib.suppress(RecordError):  # nobody can tell what it would say of the copy
            Check.from_json(data)
            self._target.store.create(name, to_json(json.loads(data) | {"history": True}))

    def _read(self, path: BackupPath, artifact: Artifact) -> Iterator[bytes]:
        """Read a file of the source."""
        try:
            yield from stored_blocks(self._source.store, path, artifact)
        except DamagedBackupError as exc:
            problem = str(exc)
        else:
            return
        raise _LostOriginalError(problem)

    def _lost(self, path: BackupPath, exc: _LostOriginalError) -> Replicated | None:
        if not self._source.store.exists(path.manifest):  # it was removed meanwhile, and its files with it
            return None
        text = (
            f"The original {self._source.url.join(path.folder)} is damaged: {exc} Verify it with `xbackup verify`."
        )
        return Replicated(path, Outcome.DAMAGED_SOURCE, problem=text)


def _into_itself(vault: Vault) -> InvalidArgumentError:
    return InvalidArgumentError(f"The vault {vault.url} cannot be replicated into itself.")


def _half_removed(path: BackupPath) -> Replicated:
    text = (
        f"The removal of the copy {path.folder} has begun and not ended, so nothing was copied there. `xbackup "
        "retention apply` on the target ends it."
    )
    return Replicated(path, Outcome.HALF_REMOVED, problem=text)


def _together(here: Iterable[Entry], there: Iterable[Entry]) -> list[Entry]:
    """Say what a group would be if the target held everything: of two copies of a backup the better one counts."""
    originals, copies = ({entry.path: entry for entry in entries} for entries in (here, there))
    both = []
    for path in {**originals, **copies}:
        original, copy = originals.get(path), copies.get(path)
        if original is None or copy is None:
            both += [entry for entry in (original, copy) if entry is not None]
            continue
        held = original.held or copy.held
        # What expired in the target stays so.
        gone = copy.standing is Standing.EXPIRED and not held
        better, other = (original, copy) if original.standing is Standing.WHOLE and not gone else (copy, original)
        verified = better.verified or (other.verified and other.standing is not Standing.EXPIRED)
        both.append(replace(better, held=held, verified=verified))
    return both


@contextlib.contextmanager
def _blaming_the_original() -> Iterator[None]:
    """Take bytes on their way that are not the manifest's for those of the source, where they come from."""
    try:
        yield
    except DifferentBytesError as exc:
        problem = str(exc)
    else:
        return
    raise _LostOriginalError(problem)


def _facts(artifact: Artifact) -> StoredBytes:
    return StoredBytes(
        artifact.size,
        artifact.sha256,
        artifact.stored_size,
        artifact.stored_sha256,
        artifact.compression,
        artifact.encryption,
        artifact.recipients_sha256,
    )


def _damage(findings: Iterable[CheckFinding]) -> str:
    """Say in what the stored bytes are not those of the manifest; what a suspect lacks is no damage."""
    return " ".join(str(finding) for finding in findings if finding.code in DAMAGE)
