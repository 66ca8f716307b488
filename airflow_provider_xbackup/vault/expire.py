"""Carries retention out: tombstones, the grace period, removal in an order that no death can spoil.

Order of removal: the tombstone, after the grace period the manifest, then everything else, the tombstone last;
partials before the full that they build on. The hold is read by its name immediately before every tombstone and
every manifest that goes, and once more after it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Collection as Names
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import starmap

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.catalog import Finding, Group, read_stored_manifest
from airflow_provider_xbackup.vault.entries import Entry
from airflow_provider_xbackup.vault.errors import (
    ManifestError,
    ObjectExistsError,
    ObjectMissingError,
    StoreUnavailableError,
    VaultError,
)
from airflow_provider_xbackup.vault.garbage import GARBAGE_AFTER, Collection, Refusal, collect_garbage
from airflow_provider_xbackup.vault.groups import Groups, bases_in_use, is_damaged
from airflow_provider_xbackup.vault.holds import is_held
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.manifest import Manifest
from airflow_provider_xbackup.vault.plan import GRACE, Action, Decision, RetentionPlan, check_overrides, removable
from airflow_provider_xbackup.vault.records import Tombstone
from airflow_provider_xbackup.vault.retention import RetentionPolicy
from airflow_provider_xbackup.vault.sparing import plan_sparing
from airflow_provider_xbackup.vault.standing import Standing
from airflow_provider_xbackup.vault.vault import Vault


class Plans:
    """What retention would do with a vault, a plan for each group.

    They come account by account, and what is in memory is one account's backups. Every iteration reads the vault
    anew.

    :param groups: the groups of the vault
    :param plan: makes the plan of one
    """

    def __init__(self, groups: Groups, plan: Callable[[Group, list[Entry]], RetentionPlan]) -> None:
        self._groups = groups
        self._plan = plan

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What somebody should look at, such as damaged manifests; complete when the iteration has ended."""
        return self._groups.findings

    @property
    def half_removed(self) -> tuple[BackupPath, ...]:
        """Folders whose removal had begun and has not ended."""
        return self._groups.half_removed

    def __iter__(self) -> Iterator[RetentionPlan]:
        """Yield the plans, by service, account and scope.

        :raises VaultError: when the store does not answer
        :raises ScratchError: when the vault is very large and there is no room for temporary files
        """
        return starmap(self._plan, self._groups)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What retention would do with a vault.

    :param plans: a plan for each group, by service, account and scope
    :param findings: what somebody should look at, such as damaged manifests
    """

    plans: tuple[RetentionPlan, ...]
    findings: tuple[Finding, ...] = ()

    @classmethod
    def of(cls, plans: Plans) -> Outlook:
        """Take all plans at once; raises what they raise."""
        return cls(tuple(plans), plans.findings)

    @property
    def refused(self) -> tuple[RetentionPlan, ...]:
        """The plans that are not carried out."""
        return tuple(plan for plan in self.plans if plan.refusals)

    @property
    def numbers(self) -> dict[str, int]:
        """What would be done, counted."""
        going = [plan for plan in self.plans if not plan.refusals]
        removed = [entry for plan in going for entry in plan.remove]
        return {
            "groups": len(self.plans),
            "kept": sum(len(plan.keep) for plan in self.plans),
            "expired": sum(len(plan.expire) for plan in going),
            "revived": sum(len(plan.revive) for plan in self.plans),
            "removed": len(removed),
            "freed": sum(entry.size for entry in removed),
        }


@dataclass(frozen=True, slots=True)
class Applied(Outlook):
    """What retention did with a vault.

    :param expired: the backups that got a tombstone
    :param revived: the expired backups that were needed after all
    :param removed: the backups that are gone
    :param freed: their bytes as stored
    :param not_let_go: objects that the store refused to remove; the next time tries again
    :param garbage: what came of collecting garbage
    :param hidden: whether the bucket keeps versions, so that what was removed is hidden and its bytes remain
    """

    expired: tuple[BackupPath, ...] = ()
    revived: tuple[BackupPath, ...] = ()
    removed: tuple[BackupPath, ...] = ()
    freed: int = 0
    not_let_go: tuple[Refusal, ...] = ()
    garbage: Collection = field(default_factory=Collection)
    hidden: bool = False

    @property
    def numbers(self) -> dict[str, int]:
        """What was done, counted."""
        return {
            "groups": len(self.plans),
            "kept": sum(len(plan.keep) for plan in self.plans),
            "expired": len(self.expired),
            "revived": len(self.revived),
            "removed": len(self.removed),
            "freed": self.freed,
            "garbage": self.garbage.bytes,
            "not_let_go": len(self.not_let_go),
        }


def plan_retention(
    vault: Vault,
    policy: RetentionPolicy,
    *,
    service: str | None = None,
    account: str | None = None,
    grace: timedelta = GRACE,
    override: Names[str] = (),
    now: datetime,
) -> Plans:
    """Say what :func:`apply_retention` would do, and do nothing.

    :param vault: the vault
    :param policy: the policy
    :param service: only this service
    :param account: only this account
    :param grace: how long an expired backup can still be brought back
    :param override: names of refusals to go over, see :data:`~.plan.REFUSALS`
    :param now: what the time is
    :return: the plans; the vault is read while they are iterated, which may raise
    :raises InvalidArgumentError: when a name cannot be one, or the grace period is negative
    """
    if grace < timedelta(0):
        raise InvalidArgumentError(f"The grace period must be 0 or more and is {grace}.")
    overrides, locks = check_overrides(override), vault.store.locks

    def plan(group: Group, entries: list[Entry]) -> RetentionPlan:
        return plan_sparing(locks, policy, group, entries, now=now, grace=grace, override=overrides)

    return Plans(Groups(vault, service=service, account=account, now=now), plan)


def apply_retention(
    vault: Vault,
    policy: RetentionPolicy,
    *,
    service: str | None = None,
    account: str | None = None,
    grace: timedelta = GRACE,
    garbage_after: timedelta = GARBAGE_AFTER,
    override: Names[str] = (),
    now: datetime,
) -> Applied:
    """Expire what a policy does not keep, remove what expired long enough ago, and collect garbage.

    It may be repeated, killed anywhere, and run beside backups and people. A refusal stops its group alone.

    :param vault: the vault
    :param policy: the policy
    :param service: only this service; garbage is collected everywhere
    :param account: only this account; garbage is collected everywhere
    :param grace: how long an expired backup can still be brought back
    :param garbage_after: how old the leavings of failed attempts must be
    :param override: names of refusals to go over, see :data:`~.plan.REFUSALS`
    :param now: what the time is
    :return: what was done
    :raises InvalidArgumentError: when a name cannot be one, or a duration is negative
    :raises VaultError: when the store does not answer
    :raises ScratchError: when the vault is very large and there is no room for temporary files
    """
    if garbage_after < timedelta(0):
        raise InvalidArgumentError(f"garbage_after must be 0 or more and is {garbage_after}.")
    plans = plan_retention(
        vault, policy, service=service, account=account, grace=grace, override=override, now=now
    )
    outlook = Outlook.of(plans)
    work = _Work(vault, grace, now)
    for each in outlook.plans:
        work.carry_out(each)
    for path in plans.half_removed:
        work.finish(path)
    garbage = collect_garbage(vault, older_than=garbage_after, now=lambda: now)
    return Applied(
        outlook.plans,
        outlook.findings,
        tuple(work.expired),
        tuple(work.revived),
        tuple(work.removed),
        work.freed,
        (*work.not_let_go, *garbage.refused),
        garbage,
        work.hidden,
    )


class _Work:
    """Carries plans out, step by step, and notes what came of it.

    :param vault: the vault
    :param grace: how long an expired backup can still be brought back
    :param now: what the time is
    """

    def __init__(self, vault: Vault, grace: timedelta, now: datetime) -> None:
        self._vault = vault
        self._store = vault.store
        self._grace = grace
        self._now = now
        self.expired: list[BackupPath] = []
        self.revived: list[BackupPath] = []
        self.removed: list[BackupPath] = []
        self.freed = 0
        self.not_let_go: list[Refusal] = []
        self.hidden = False

    def carry_out(self, plan: RetentionPlan) -> None:
        """Carry out the plan of one group; of a refused or paused one only what saves backups."""
        back = [self._revive(entry.path) for entry in plan.revive]
        # The plan counts on them: without one of them it might expire what takes its place.
        if plan.refusals or plan.paused is not None or not all(back):
            return
        # Partials first: whoever dies here leaves no live one on an expired base.
        for decision in sorted(plan.decisions, key=lambda decision: decision.entry.full):
            if decision.action is Action.EXPIRE:
                self._expire(decision)
            elif decision.action is Action.PASS and decision.entry.standing is Standing.EXPIRED:
                self._renew(decision.entry)
        expired = set(self.expired)
        entries = [
            replace(each.entry, expired_at=self._now) if each.entry.path in expired else each.entry
            for each in plan.decisions
        ]
        spared = plan.spared | {entry.backup_id for entry in plan.revive}
        self._remove_all(plan, removable(entries, spared=spared, now=self._now, grace=self._grace))

    def finish(self, path: BackupPath) -> None:
        """Remove what is left of a backup whose manifest is gone, its tombstone last."""
        names = [found.path for found in self._store.list(path.folder)]
        if path.manifest in names or path.tombstone not in names:  # it was brought back meanwhile
            return
        # The files first: as long as a record is there, it tells whose they are.
        files = sorted(set(names) - {path.tombstone}, key=lambda name: layout.is_record(_within(path, name)))
        gone = [self._delete(name) for name in files]
        if None not in gone:
            self._delete(path.tombstone)

    def _expire(self, decision: Decision) -> None:
        path = decision.entry.path
        if is_held(self._store, path, self._now):
            return
        tombstone = Tombstone(at=self._now, why="; ".join(decision.reasons))
        try:
            if not self._try(path.tombstone, lambda: self._store.create(path.tombstone, tombstone.to_json())):
                return
        except ObjectExistsError:  # another retention is at work
            return
        if is_held(self._store, path, self._now):  # held in this instant
            self._delete(path.tombstone)
        else:
            self.expired.append(path)

    def _renew(self, entry: Entry) -> None:
        """Replace a tombstone that cannot be read: nobody knows how old it is, so its grace begins anew."""
        if entry.expired_at is not None or not is_damaged(self._store, entry.path):
            return
        fresh = Tombstone(at=self._now, why="its tombstone could not be read")
        self._try(entry.path.tombstone, lambda: self._store.put(entry.path.tombstone, fresh.to_json()))

    def _revive(self, path: BackupPath) -> bool:
        """Take the tombstone away; return whether the backup is there then.

        Another retention may be removing it this instant, or somebody may have brought it back.
        """
        found = self._delete(path.tombstone)
        there = found is not None and self._store.exists(path.manifest)
        if found and there:
            self.revived.append(path)
        return there

    def _remove_all(self, plan: RetentionPlan, due: Sequence[Entry]) -> None:
        """Remove expired backups, dependants before bases, unless a partial needs one by now."""
        in_use: frozenset[str] = frozenset()
        if any(entry.full for entry in due):
            in_use = bases_in_use(self._vault, plan.group, (each.entry for each in plan.decisions))
        waiting: set[str | None] = set()
        for entry in due:
            if entry.backup_id in in_use:
                self._revive(entry.path)
            elif entry.backup_id not in waiting and not self._remove(entry):
                waiting.add(entry.base)

    def _remove(self, entry: Entry) -> bool:
        """Remove an expired backup.

        :return: False where it is still there
        """
        path = entry.path
        try:
            manifest, data = read_stored_manifest(self._store, path)
        except ObjectMissingError:  # by another retention
            self.finish(path)
            return True
        except ManifestError as exc:  # it could be read a moment ago
            self.not_let_go.append(Refusal(path.manifest, str(exc)))
            return False
        if not self._may_go(path):
            return False
        gone = self._delete(path.manifest)
        if gone is None:
            return False
        if not gone:  # another retention was quicker
            self.finish(path)
            return True
        if not self._may_go(path) and self._restore(path, manifest, data):
            return False
        self.removed.append(path)
        self.freed += entry.size
        if self._store.versions is not None and len(self.removed) == 1:
            self.hidden = self._store.versions.hides(path.manifest)
        self.finish(path)
        return True

    def _may_go(self, path: BackupPath) -> bool:
        """Ask once more whether it is expired and nobody holds it; the hold last."""
        return self._store.exists(path.tombstone) and not is_held(self._store, path, self._now)

    def _restore(self, path: BackupPath, manifest: Manifest, data: bytes) -> bool:
        """Put back the manifest of a backup that was brought back in this instant.

        Not where files are gone: then its tombstone is, because another retention has removed all of it.

        :return: whether it is back
        """
        if not self._has_files(path, manifest):
            return False
        with contextlib.suppress(ObjectExistsError):
            self._store.create(path.manifest, data)
        if not self._has_files(path, manifest):  # another retention is at work
            self._delete(path.manifest)
            return False
        self._revive(path)
        return True

    def _has_files(self, path: BackupPath, manifest: Manifest) -> bool:
        return all(self._store.exists(path.file(artifact.name)) for artifact in manifest.artifacts)

    def _delete(self, path: str) -> bool | None:
        """Remove an object.

        :return: None where the store did not let it go, False where it said that there was none; S3 does not say
        """
        found = True

        def delete() -> None:
            nonlocal found
            found = self._store.delete(path)

        return found if self._try(path, delete) else None

    def _try(self, path: str, call: Callable[[], object]) -> bool:
        """Do something with an object; what the store refuses is noted, and tried again the next time."""
        try:
            call()
        except (StoreUnavailableError, ObjectExistsError):
            raise
        except VaultError as exc:
            self.not_let_go.append(Refusal(path, str(exc)))
            return False
        return True


def _within(path: BackupPath, name: str) -> str:
    return name.removeprefix(f"{path.folder}/")
