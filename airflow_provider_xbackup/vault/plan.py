"""What retention would do with the backups of one group, and why: a pure function."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from sys import intern
from typing import Any, TypeAlias

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.catalog import Backup, Group
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.retention import RetentionPolicy, select

Reasons: TypeAlias = "defaultdict[str, list[str]]"

#: How long an expired backup can still be brought back.
GRACE = timedelta(days=3)
#: A plan that expires so few backups is not refused for their share: small groups would never expire any.
FEW = 5

EMPTIES_GROUP = "empties-group"
DELETES_TOO_MUCH = "max-delete-fraction"
#: What can be refused, by the names that override it.
REFUSALS = (EMPTIES_GROUP, DELETES_TOO_MUCH)


class Standing(StrEnum):
    """What a backup is to retention. Only whole ones are candidates: they count, and they can expire."""

    WHOLE = "whole"
    SUSPECT = "suspect"
    INCOMPLETE = "incomplete"
    FUTURE = "dated in the future"
    EXPIRED = "expired"


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
class Entry:
    """One backup as retention sees it: small, so that a hundred thousand of them fit into memory.

    :param path: its folder
    :param standing: what it is to retention
    :param base: the id of the full that it builds on
    :param run: what names the task that made it; None where no task did
    :param size: bytes as stored
    :param held: whether a hold on it is in force
    :param verified: whether it is verified. It is looked at for the newest only, as many as the policy keeps.
    :param expired_at: what its tombstone says; None where it has none, or one that cannot be read
    :param retained: why its bucket keeps it from being destroyed, in short words. It is asked about only where it
        would expire or go.
    """

    path: BackupPath
    standing: Standing = Standing.WHOLE
    base: str | None = None
    run: str | None = None
    size: int = 0
    held: bool = False
    verified: bool = False
    expired_at: datetime | None = None
    retained: str = ""

    @classmethod
    def of(
        cls, backup: Backup, *, held: bool = False, verified: bool = False, expired_at: datetime | None = None
    ) -> Entry:
        """Take what matters from a backup."""
        manifest, producer = backup.manifest, backup.manifest.producer
        run = None
        if producer.dag_id and producer.run_id and producer.task_id:
            index = -1 if producer.map_index is None else producer.map_index
            names = (producer.dag_id, producer.run_id, producer.task_id, str(index), manifest.kind)
            run = intern("\0".join(names))
        return cls(
            backup.path, standing_of(backup), manifest.base, run, manifest.stored_size, held, verified, expired_at
        )

    @property
    def backup_id(self) -> str:
        """The id."""
        return self.path.backup_id

    @property
    def instant(self) -> datetime:
        """When it was taken."""
        return layout.parse_backup_id(self.backup_id).instant

    @property
    def full(self) -> bool:
        """Whether it stands alone."""
        return layout.parse_backup_id(self.backup_id).kind == "full"


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
    """

    group: Group
    decisions: tuple[Decision, ...]
    refusals: tuple[PlanRefusal, ...] = ()
    paused: str | None = None

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
        """Return the plan as JSON values."""
        return {
            "service": self.group.service,
            "account": self.group.account,
            "scope": self.group.scope.model_dump(mode="json"),
            "refusals": [{"name": refusal.name, "text": refusal.text} for refusal in self.refusals],
            "paused": self.paused,
            "backups": [
                {
                    "backup_id": each.entry.backup_id,
                    "action": each.action.value,
                    "reasons": list(each.reasons),
                    "stored_size": each.entry.size,
                }
                for each in self.decisions
            ],
        }

    def _with(self, action: Action) -> tuple[Entry, ...]:
        return tuple(each.entry for each in self.decisions if each.action is action)


def standing_of(backup: Backup) -> Standing:
    """Tell what a backup is to retention."""
    if backup.tombstoned:
        return Standing.EXPIRED
    if backup.in_future:
        return Standing.FUTURE
    return Standing.WHOLE if backup.reliable else Standing(backup.manifest.condition.state)


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
) -> RetentionPlan:
    """Decide what becomes of every backup of a group. Nothing is read, nothing is done.

    1. Candidates are the whole backups; of those that one run of a task made more than once only the newest
       counts. The policy's rules choose among them.
    2. The newest verified backups, held and locked ones, and bases that somebody needs are kept whatever the
       rules say.
    3. Nothing expires while the newest full is suspect; the newest whole backup and full never do.
    4. A plan by which the rules keep nothing, or too many expire at once, is refused.

    :param policy: the policy
    :param group: the group
    :param entries: all its backups, in any order
    :param now: what the time is
    :param grace: how long an expired backup can still be brought back
    :param override: the names of refusals to go over
    :return: the plan
    :raises InvalidArgumentError: when an override is unknown
    """
    overrides = check_overrides(override)
    entries = sorted(entries, key=lambda entry: entry.backup_id, reverse=True)
    candidates = [entry for entry in entries if entry.standing is Standing.WHOLE]
    live = [entry for entry in entries if entry.standing is not Standing.EXPIRED]

    counting = _newest_of_each_run(candidates)
    chosen = select(policy, [entry.instant for entry in counting], now)
    why: Reasons = defaultdict(list)
    for index, reasons in chosen:
        why[counting[index].backup_id] += (reason.removesuffix(" snapshot") for reason in reasons)
    for entry in [entry for entry in candidates if entry.verified][: policy.min_verified]:
        why[entry.backup_id].append("newest verified")
    for entry in entries:
        if entry.held:
            why[entry.backup_id].append("held")
        if entry.retained:
            why[entry.backup_id].append(entry.retained)
    for noun, eligible in (("backup", candidates), ("full", [entry for entry in candidates if entry.full])):
        for entry in eligible[:1]:
            why[entry.backup_id].append(f"newest whole {noun}")
    _keep_bases(entries, why)

    paused = _pause(live)
    expiring = [] if paused else [entry for entry in candidates if entry.backup_id not in why]
    refusals = tuple(
        refusal
        for refusal in _refusals(
            policy, candidates=len(counting), chosen=len(chosen), live=len(live), expiring=expiring
        )
        if refusal.name not in overrides
    )
    due = () if paused or refusals else removable(entries, spared=why, now=now, grace=grace)
    judge = _Judge(
        why=why,
        grace=grace,
        paused=paused,
        counting=frozenset(entry.backup_id for entry in counting),
        due=frozenset(entry.backup_id for entry in due),
    )
    return RetentionPlan(group, tuple(judge.decide(entry) for entry in entries), refusals, paused)


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
        if entry.expired_at is not None and entry.backup_id not in spared and entry.expired_at + grace <= now
    }
    needed = {entry.base for entry in entries if entry.backup_id not in over}
    due = [entry for entry in entries if entry.backup_id in over - needed]
    return tuple(sorted(due, key=lambda entry: (entry.full, entry.backup_id)))


def _newest_of_each_run(candidates: Iterable[Entry]) -> list[Entry]:
    """Leave out what a later try of the same run has replaced: a storm of retries evicts no history."""
    seen: set[str] = set()
    counting = []
    for entry in candidates:
        if entry.run is None or entry.run not in seen:
            counting.append(entry)
        if entry.run is not None:
            seen.add(entry.run)
    return counting


def _keep_bases(entries: Sequence[Entry], why: Reasons) -> None:
    """Keep what those that stay build on, also those that are no candidates."""
    by_id = {entry.backup_id: entry for entry in entries}
    staying = deque(
        entry
        for entry in entries
        if entry.backup_id in why or entry.standing not in (Standing.WHOLE, Standing.EXPIRED)
    )
    while staying:
        entry = staying.popleft()
        base = by_id.get(entry.base or "")
        if base is not None:
            if base.backup_id not in why:
                staying.append(base)
            why[base.backup_id].append(f"base of {entry.backup_id}")


def _pause(live: Iterable[Entry]) -> str | None:
    """Say why nothing may expire: a tenant that was wiped must not expire its own good backups."""
    newest = next((entry for entry in live if entry.full and entry.standing is not Standing.FUTURE), None)
    if newest is None or newest.standing is not Standing.SUSPECT:
        return None
    return f"the newest full, {newest.backup_id}, is suspect"


def _refusals(
    policy: RetentionPolicy, *, candidates: int, chosen: int, live: int, expiring: Sequence[Entry]
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


@dataclass(frozen=True, slots=True)
class _Judge:
    """Turns what is known of a group into a decision on each of its backups.

    :param why: the reasons that keep backups, by id
    :param grace: how long an expired backup can still be brought back
    :param paused: why nothing expires
    :param counting: the candidates that count, by id
    :param due: the expired backups that may go, by id
    """

    why: Reasons
    grace: timedelta
    paused: str | None
    counting: frozenset[str]
    due: frozenset[str]

    def decide(self, entry: Entry) -> Decision:
        reasons = tuple(self.why.get(entry.backup_id, ()))
        if entry.standing is Standing.EXPIRED:
            return Decision(entry, Action.REVIVE, reasons) if reasons else self._of_expired(entry)
        if entry.standing is not Standing.WHOLE:
            return Decision(entry, Action.PASS, (_PASSED[entry.standing], *reasons))
        if reasons:
            return Decision(entry, Action.KEEP, reasons)
        if self.paused:
            return Decision(entry, Action.KEEP, (self.paused,))
        newer = "no rule keeps it" if entry.backup_id in self.counting else "a later try of the same run counts"
        return Decision(entry, Action.EXPIRE, (newer,))

    def _of_expired(self, entry: Entry) -> Decision:
        if entry.expired_at is None:
            return Decision(entry, Action.PASS, ("expired; its tombstone cannot be read",))
        since = f"expired {entry.expired_at:%Y-%m-%d}"
        if entry.backup_id in self.due:
            return Decision(entry, Action.REMOVE, (f"{since}, its grace period is over",))
        end = entry.expired_at + self.grace
        return Decision(
            entry, Action.PASS, (f"{since}, can be brought back until {end:%Y-%m-%d %H:%M} UTC at least",)
        )


_PASSED = {
    Standing.SUSPECT: "suspect: stays until a person accepts it",
    Standing.INCOMPLETE: "incomplete: no candidate",
    Standing.FUTURE: "dated in the future: no candidate",
}
