"""What retention would do with the backups of one group, and why: a pure function."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault.catalog import Group
from airflow_provider_xbackup.vault.entries import Entry
from airflow_provider_xbackup.vault.kept import Kept, choose_kept
from airflow_provider_xbackup.vault.retention import RetentionPolicy
from airflow_provider_xbackup.vault.standing import Standing

#: How long an expired backup can still be brought back.
GRACE = timedelta(days=3)
#: A plan that expires so few backups is not refused for their share: small groups would never expire any.
FEW = 5

EMPTIES_GROUP = "empties-group"
DELETES_TOO_MUCH = "max-delete-fraction"
UNSEEN_LOCKS = "unseen-locks"
#: What can be refused, by the names that override it.
REFUSALS = (EMPTIES_GROUP, DELETES_TOO_MUCH, UNSEEN_LOCKS)


class Action(StrEnum):
    """What becomes of a backup."""

    KEEP = "keep"
    EXPIRE = "expire"
    #: It is no candidate and stays as it is.
    PASS = "pass"  # noqa: S105 - the word, not a password
    #: It had expired and is needed after all: its tombstone goes.
    REVIVE = "revive"
    #: It had expired, and its grace period is over.
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one backup, and why.

    :param entry: the backup
    :param action: what becomes of it
    :param reasons: why, in short words for people
    """

    entry: Entry
    action: Action
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "backup_id": self.entry.backup_id,
            "action": self.action.value,
            "reasons": list(self.reasons),
            "stored_size": self.entry.size,
        }


@dataclass(frozen=True, slots=True)
class PlanRefusal:
    """Why a plan is not carried out as it is.

    :param name: what to name in order to carry it out all the same
    :param text: what is wrong, for people
    """

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What retention would do with one group.

    :param group: the group
    :param decisions: what becomes of each of its backups, newest first
    :param refusals: why nothing of it is done; empty where it is
    :param paused: why nothing of the group expires for now; None where it may
    :param spared: the ids of expired backups that are not removed, because somebody may need them
    """

    group: Group
    decisions: tuple[Decision, ...]
    refusals: tuple[PlanRefusal, ...] = ()
    paused: str | None = None
    spared: frozenset[str] = frozenset()

    @property
    def keep(self) -> tuple[Entry, ...]:
        """The backups that are kept, newest first."""
        return self._with(Action.KEEP)

    @property
    def expire(self) -> tuple[Entry, ...]:
        """The backups that get a tombstone, newest first; nothing gets one while there are refusals."""
        return self._with(Action.EXPIRE)

    @property
    def revive(self) -> tuple[Entry, ...]:
        """The expired backups that are needed after all."""
        return self._with(Action.REVIVE)

    @property
    def remove(self) -> tuple[Entry, ...]:
        """The expired backups whose grace period is over, newest first; none while there are refusals."""
        return self._with(Action.REMOVE)

    @property
    def reasons(self) -> dict[str, tuple[str, ...]]:
        """Why, for every backup by its id."""
        return {each.entry.backup_id: each.reasons for each in self.decisions}

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values, without its decisions."""
        return {
            "service": self.group.service,
            "account": self.group.account,
            "scope": self.group.scope.model_dump(mode="json"),
            "refusals": [{"name": refusal.name, "text": refusal.text} for refusal in self.refusals],
            "paused": self.paused,
        }

    def _with(self, action: Action) -> tuple[Entry, ...]:
        return tuple(each.entry for each in self.decisions if each.action is action)


def check_overrides(names: Collection[str]) -> frozenset[str]:
    """Check the names of refusals to override.

    :raises InvalidArgumentError: when there is no such refusal
    """
    if isinstance(names, str):
        names = (names,)
    for name in names:
        if name not in REFUSALS:
            raise InvalidArgumentError(
                f"There is no refusal {name!r} to override; known are {', '.join(REFUSALS)}."
            )
    return frozenset(names)


def plan(
    policy: RetentionPolicy,
    group: Group,
    entries: Iterable[Entry],
    *,
    now: datetime,
    grace: timedelta = GRACE,
    override: Collection[str] = (),
    locks_unseen: bool = False,
) -> RetentionPlan:
    """Decide what becomes of every backup of a group. Nothing is read, nothing is done.

    1. and 2. choose what is kept: see :func:`choose_kept`.
    3. Nothing expires while a suspect full is newer than all whole ones.
    4. A plan by which the rules keep nothing, too many expire at once, or locks go unseen, is refused.

    :param policy: the policy
    :param group: the group
    :param entries: all its backups, in any order
    :param now: what the time is
    :param grace: how long an expired backup can still be brought back
    :param override: the names of refusals to go over
    :param locks_unseen: whether the bucket may lock backups that would expire or go, and nobody could see which
    :return: the plan
    :raises InvalidArgumentError: when an override is unknown
    """
    overrides = check_overrides(override)
    kept = choose_kept(policy, entries, now=now)
    live = kept.live
    paused = _pause(live)
    expiring = () if paused else kept.unneeded
    refusals = tuple(
        refusal
        for refusal in _refusals(
            policy,
            candidates=len(kept.counting),
            chosen=kept.chosen,
            live=len(live),
            expiring=expiring,
            locks_unseen=locks_unseen,
        )
        if refusal.name not in overrides
    )
    spared = frozenset(kept.spared)
    needed = spared | kept.why.keys()
    due = () if paused or refusals else removable(kept.entries, spared=needed, now=now, grace=grace)
    judge = _Judge(kept=kept, grace=grace, paused=paused, due=frozenset(entry.backup_id for entry in due))
    decisions = tuple(judge.decide(entry) for entry in kept.entries)
    return RetentionPlan(group, decisions, refusals, paused, spared)


def removable(
    entries: Collection[Entry], *, spared: Container[str] = (), now: datetime, grace: timedelta
) -> tuple[Entry, ...]:
    """Choose the expired backups whose grace period is over. A base waits for the last of its dependants.

    :param entries: all backups of a group
    :param spared: the ids of expired ones that are needed after all
    :param now: what the time is
    :param grace: how long an expired backup can still be brought back
    :return: those that may go, in the order in which they have to: dependants before bases
    """
    over = {
        entry.backup_id
        for entry in entries
        if entry.expired_at is not None and entry.backup_id not in spared and now - entry.expired_at >= grace
    }
    needed = {entry.base for entry in entries if entry.backup_id not in over}
    due = [entry for entry in entries if entry.backup_id in over - needed]
    return tuple(sorted(due, key=lambda entry: (entry.full, entry.backup_id)))


def _pause(live: Iterable[Entry]) -> str | None:
    """Say why nothing may expire: a tenant that was wiped must not expire its own good backups.

    A suspect that is dated in the future counts: the clock of this machine may be slow.
    """
    fulls = (entry for entry in live if entry.full)
    telling = next((entry for entry in fulls if entry.suspect or entry.standing is Standing.WHOLE), None)
    if telling is None or not telling.suspect:
        return None
    return f"the full {telling.backup_id} is suspect, and no newer one is whole"


def _refusals(
    policy: RetentionPolicy,
    *,
    candidates: int,
    chosen: int,
    live: int,
    expiring: Sequence[Entry],
    locks_unseen: bool,
) -> Iterator[PlanRefusal]:
    if expiring and candidates and not chosen:
        yield PlanRefusal(
            EMPTIES_GROUP, f"the policy keeps none of {live} backups; overridden, the newest whole one stays"
        )
    if len(expiring) > FEW and len(expiring) > policy.max_delete_fraction * live:
        yield PlanRefusal(
            DELETES_TOO_MUCH,
            f"{len(expiring)} of {live} backups would expire at once, more than the "
            f"{policy.max_delete_fraction:.0%} that the policy allows (max_delete_fraction)",
        )
    if locks_unseen:
        yield PlanRefusal(
            UNSEEN_LOCKS,
            "the bucket may lock backups, and these credentials do not see which: they lack "
            "s3:GetBucketObjectLockConfiguration, or s3:GetObjectRetention and s3:GetObjectLegalHold on manifests",
        )


@dataclass(frozen=True, slots=True)
class _Judge:
    """Turns what is known of a group into a decision on each of its backups.

    :param kept: what is kept, and why
    :param grace: how long an expired backup can still be brought back
    :param paused: why nothing expires
    :param due: the expired backups that may go, by id
    """

    kept: Kept
    grace: timedelta
    paused: str | None
    due: frozenset[str]

    def decide(self, entry: Entry) -> Decision:
        reasons = tuple(self.kept.why.get(entry.backup_id, ()))
        if entry.standing is Standing.EXPIRED:
            return Decision(entry, Action.REVIVE, reasons) if reasons else self._of_expired(entry)
        if entry.standing is not Standing.WHOLE:
            flaw = (entry.flaw,) if entry.flaw else ()
            return Decision(entry, Action.PASS, (_PASSED[entry.standing], *flaw, *reasons))
        groundless = self.kept.groundless.get(entry.backup_id)
        if groundless is not None:
            return Decision(entry, Action.PASS, (f"{groundless}: no candidate", *reasons))
        if reasons:
            return Decision(entry, Action.KEEP, reasons)
        if self.paused:
            return Decision(entry, Action.KEEP, (self.paused,))
        counts = entry.backup_id in self.kept.counting
        newer = "no rule keeps it" if counts else "a later try of the same run counts"
        return Decision(entry, Action.EXPIRE, (newer,))

    def _of_expired(self, entry: Entry) -> Decision:
        if entry.expired_at is None:
            return Decision(entry, Action.PASS, ("expired; its tombstone cannot be read",))
        since = f"expired {entry.expired_at:%Y-%m-%d}"
        if entry.backup_id in self.due:
            return Decision(entry, Action.REMOVE, (f"{since}, its grace period is over",))
        if entry.backup_id in self.kept.spared:
            return Decision(entry, Action.PASS, (since, self.kept.spared[entry.backup_id]))
        return Decision(entry, Action.PASS, (f"{since}, can be brought back {self._until(entry.expired_at)}",))

    def _until(self, expired_at: datetime) -> str:
        try:
            return f"until {expired_at + self.grace:%Y-%m-%d %H:%M} UTC at least"
        except OverflowError:
            return "as long as the calendar goes"


_PASSED = {
    Standing.SUSPECT: "suspect: stays until a person accepts it",
    Standing.DAMAGED: "damaged: no candidate",
    Standing.INCOMPLETE: "incomplete: no candidate",
    Standing.FUTURE: "dated in the future: no candidate",
    Standing.UNREADABLE: "its manifest cannot be read: no candidate",
}
