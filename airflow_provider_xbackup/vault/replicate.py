"""Copying backups from one vault into another: only what is missing, checked on its way and after it."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.ahead import read_ahead
from airflow_provider_xbackup.vault.catalog import CLOCK_TOLERANCE, Backup, read_manifest
from airflow_provider_xbackup.vault.checks import Check, Level, read_checks, write_check
from airflow_provider_xbackup.vault.errors import (
    DifferentBytesError,
    ManifestError,
    ObjectExistsError,
    ObjectMissingError,
    RecordError,
)
from airflow_provider_xbackup.vault.examination import Examination, Subject, Wanted
from airflow_provider_xbackup.vault.groups import read_groups
from airflow_provider_xbackup.vault.holds import outlasts, read_hold
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.locks import Lock
from airflow_provider_xbackup.vault.manifest import Artifact, Manifest, Producer
from airflow_provider_xbackup.vault.plan import plan
from airflow_provider_xbackup.vault.retention import RetentionPolicy
from airflow_provider_xbackup.vault.vault import StoredBytes, Vault, matching

#: How many backups are copied at once: enough to keep a network busy, few enough for flat memory.
_WORKERS = 4


Names: TypeAlias = frozenset[str]

#: The codes of a check's findings that say that stored bytes are missing or are others.
_DAMAGE = ("missing-object", "wrong-size", "stored-digest")


class Outcome(StrEnum):
    """What became of a backup on its way into another vault."""

    COPIED = "copied"
    PRESENT = "present"
    REPAIRED = "repaired"
    #: Its original is not what its manifest says, or the manifest cannot be read. Nothing was copied.
    DAMAGED_SOURCE = "damaged-source"
    #: The copy is not what its manifest says; ``repair`` writes it anew.
    DAMAGED_TARGET = "damaged-target"
    #: The full that it builds on could not be copied, so it was not either.
    BASE_MISSING = "base-missing"


#: What somebody has to look at.
PROBLEMS = (Outcome.DAMAGED_SOURCE, Outcome.DAMAGED_TARGET, Outcome.BASE_MISSING)


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


class Replication:
    """Copies the backups of one vault into another. Iterate it; what is there already costs no bytes.

    Expired backups and those dated in the future are not copied; one that expired in the target stays so.
    Files are copied as they are stored, encrypted ones without any key. A copy is read back and gets a check
    record of its own. Holds and acceptances go along, checks as history that proves nothing in the copy.

    :param source: the vault with the originals
    :param target: the vault with the copies
    :param producer: who copies, for the check records
    :param service: only this service
    :param account: only this account
    :param policy: copy only what this policy would keep of the backups of both vaults together
    :param repair: whether to write damaged copies anew
    :param lock: for how long, and how hard, the copies are locked, those that are there already included
    :param now: what the time is
    :raises InvalidArgumentError: when both are the same vault, or a name cannot be one
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
        if source.url.without_connection == target.url.without_connection:
            raise InvalidArgumentError(f"The vault {source.url} cannot be replicated into itself.")
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

        :raises VaultError: when a store does not answer
        """
        self._target.prepare(self._lock)
        originals = self._originals()
        copies = self._folders(self._target)
        safe = {path for path, names in copies.items() if layout.TOMBSTONE not in names}

        def replicate(path: BackupPath) -> Replicated | None:
            names = copies.get(path)
            if names is not None and layout.TOMBSTONE in names:
                return None
            return self._replicate(_Pair(path, originals[path], names), originals, safe)

        for kind in ("full", "partial"):
            paths = [path for path in originals if layout.parse_backup_id(path.backup_id).kind == kind]
            for path, replicated in read_ahead(replicate, paths, _WORKERS):
                if replicated is not None:
                    if replicated.outcome in (Outcome.COPIED, Outcome.REPAIRED):
                        safe.add(path)
                    yield replicated

    def _originals(self) -> dict[BackupPath, Names]:
        """List what is to be in the target, newest first."""
        limit = self._now + CLOCK_TOLERANCE
        unwanted = set() if self._policy is None else self._unwanted(self._policy)
        live = {
            path: names
            for path, names in self._folders(self._source).items()
            if layout.TOMBSTONE not in names and layout.parse_backup_id(path.backup_id).instant <= limit
        }
        self.left_out = len(live.keys() & unwanted)
        newest_first = sorted(live.keys() - unwanted, key=lambda path: (path.backup_id, path), reverse=True)
        return {path: live[path] for path in newest_first}

    def _unwanted(self, policy: RetentionPolicy) -> set[BackupPath]:
        """Name what the policy would let expire if the target held everything."""
        here, there = (
            read_groups(
                vault,
                min_verified=policy.min_verified,
                service=self._service,
                account=self._account,
                now=self._now,
            ).entries
            for vault in (self._source, self._target)
        )
        unwanted = set()
        for group in {*here, *there}:
            entries = {entry.path: entry for entry in (*here.get(group, ()), *there.get(group, ()))}
            decided = plan(policy, group, entries.values(), now=self._now)
            if not decided.refusals:
                unwanted |= {entry.path for entry in (*decided.expire, *decided.remove)}
        return unwanted

    def _folders(self, vault: Vault) -> dict[BackupPath, Names]:
        folders = vault.backups(self._service, self._account).folders()
        return {path: Names(names) for path, names in folders.items()}

    def _replicate(
        self, pair: _Pair, originals: Collection[BackupPath], safe: Collection[BackupPath]
    ) -> Replicated | None:
        path = pair.path
        try:
            original = self._source.store.read(path.manifest)
            manifest = read_manifest(self._source.store, path)
        except ObjectMissingError:  # expired meanwhile
            return None
        except ManifestError as exc:
            return Replicated(path, Outcome.DAMAGED_SOURCE, problem=str(exc))
        if manifest.base is not None:
            base = BackupPath(path.service, path.account, manifest.base)
            if base in originals and base not in safe:
                text = f"{path.folder} was not copied, because the full {manifest.base} that it builds on was not."
                return Replicated(path, Outcome.BASE_MISSING, problem=text)
        if pair.copied is None:
            return self._copy(pair, original, manifest)
        return self._look_after(pair, original, manifest)

    def _copy(self, pair: _Pair, original: bytes, manifest: Manifest) -> Replicated:
        path = pair.path
        draft = self._target.draft(path.service, path.account, path.backup_id, lock=self._lock)
        try:
            with draft:
                for artifact in manifest.artifacts:
                    blocks = self._source.store.open_stream(path.file(artifact.name))
                    draft.add_stored(artifact.role, blocks, _facts(artifact), media_type=artifact.media_type)
                copy = draft.commit_copy(original)
        except (DifferentBytesError, ObjectMissingError) as exc:
            return self._lost(path, exc)
        self._hand_on_records(pair)
        return self._judge(copy, manifest.stored_size, Outcome.COPIED)

    def _look_after(self, pair: _Pair, original: bytes, manifest: Manifest) -> Replicated:
        """See to a copy that is there: what is wrong with it, and what happened to its original since."""
        self._hand_on_records(pair)
        path = pair.path
        try:
            copy = Backup(self._target.url, path, read_manifest(self._target.store, path), pair.copied or Names())
        except ManifestError as exc:
            if not self._repair:
                return Replicated(path, Outcome.DAMAGED_TARGET, problem=str(exc))
            self._target.store.delete(path.manifest)
            copied = self._copy(pair, original, manifest)
            return replace(copied, outcome=_repaired(copied.outcome))
        problem = self._problem_of(copy)
        if not problem:
            self._target.keep_locked(copy, self._lock)
            return Replicated(path, Outcome.PRESENT)
        if not self._repair:
            return Replicated(path, Outcome.DAMAGED_TARGET, problem=problem)
        return self._write_anew(copy, manifest)

    def _problem_of(self, copy: Backup) -> str:
        """Say what is wrong with a copy, as far as its sizes and its newest own check tell."""
        for artifact in copy.manifest.artifacts:
            where = self._target.url.join(copy.path.file(artifact.name))
            try:
                size = self._target.store.head(copy.path.file(artifact.name)).size
            except ObjectMissingError:
                return f"{where} is missing."
            if size != artifact.stored_size:
                return f"{where} has {size} bytes instead of {artifact.stored_size}."
        here = str(self._target.url.without_connection)
        with contextlib.suppress(RecordError):
            newest = next((check for check in read_checks(self._target.store, copy) if check.vault == here), None)
            return "" if newest is None else _damage(newest)
        return ""

    def _write_anew(self, copy: Backup, manifest: Manifest) -> Replicated:
        """Put the bytes of the original where those of the copy have to be."""
        path = copy.path
        originals = {artifact.stored_sha256: artifact for artifact in manifest.artifacts}
        for artifact in copy.manifest.artifacts:
            original = originals.get(artifact.stored_sha256)
            if original is None:
                text = (
                    f"{path.folder} cannot be repaired: its original in {self._source.url} holds other bytes, as "
                    "two attempts at one backup can. Copy it by hand, or let the copy expire."
                )
                return Replicated(path, Outcome.DAMAGED_TARGET, problem=text)
            try:
                blocks = matching(
                    self._source.store.open_stream(path.file(original.name)),
                    _facts(original),
                    self._target.url.join(path.file(artifact.name)),
                )
                self._target.store.put_stream(
                    path.file(artifact.name),
                    blocks,
                    expected_size=artifact.stored_size,
                    media_type=artifact.media_type,
                )
            except (DifferentBytesError, ObjectMissingError) as exc:
                return self._lost(path, exc)
        self._target.keep_locked(copy, self._lock)
        return self._judge(copy, copy.manifest.stored_size, Outcome.REPAIRED)

    def _judge(self, copy: Backup, written: int, outcome: Outcome) -> Replicated:
        """Read a copy back, and write down what was found."""
        wanted = Wanted(Level.DIGEST, self._producer)
        check = Examination(self._target.store, Subject(copy), wanted).run()
        with contextlib.suppress(ObjectMissingError):  # the target's retention was quicker
            write_check(self._target.store, copy.path, check)
        damage = _damage(check)
        return Replicated(copy.path, Outcome.DAMAGED_TARGET if damage else outcome, written, damage)

    def _hand_on_records(self, pair: _Pair) -> None:
        """Take holds, acceptances and the history of checks along; what is there already stays."""
        source, target = self._source.store, self._target.store
        if layout.HOLD in pair.names:
            with contextlib.suppress(RecordError):
                hold, there = read_hold(source, pair.path), read_hold(target, pair.path)
                if hold is not None and (there is None or outlasts(hold, there)):
                    target.put(pair.path.hold, hold.to_json(), media_type="application/json")
        for name in sorted(pair.names - (pair.copied or Names())):
            if name == layout.ACCEPTED or name.startswith(f"{layout.CHECKS}/"):
                with contextlib.suppress(ObjectMissingError, ObjectExistsError):
                    target.create(pair.path.file(name), source.read(pair.path.file(name)))

    def _lost(self, path: BackupPath, exc: Exception) -> Replicated:
        text = (
            f"The original {self._source.url.join(path.folder)} is damaged: {exc} Verify it with `xbackup verify`."
        )
        return Replicated(path, Outcome.DAMAGED_SOURCE, problem=text)


def _facts(artifact: Artifact) -> StoredBytes:
    return StoredBytes(
        artifact.size,
        artifact.sha256,
        artifact.stored_size,
        artifact.stored_sha256,
        artifact.compression,
        artifact.encryption,
    )


def _repaired(outcome: Outcome) -> Outcome:
    return Outcome.REPAIRED if outcome is Outcome.COPIED else outcome


def _damage(check: Check) -> str:
    """Say in what the stored bytes are not those of the manifest; what a suspect lacks is no damage."""
    return " ".join(finding.text for finding in check.findings if finding.code in _DAMAGE)
