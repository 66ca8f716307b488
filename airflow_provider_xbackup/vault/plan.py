"""What retention would do with the backups of one group, and why: a pure function."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from sys import intern
from typing import Any, TypeAlias

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.catalog import Backup, Group
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.retention import RetentionPolicy, select
from airflow_provider_xbackup.vault.standing import Standing

Reasons: TypeAlias = "defaultdict[str, list[str]]"

#: How long an expired backup can still be brought back.
GRACE = timedelta(days=3)
#: A plan that expires so few backups is not refused for their share: small groups would never expire any.
FEW = 5

#: What is wrong is told in a plan so far; `xbackup show` tells all of it.
_LONGEST_FLAW = 500

EMPTIES_GROUP = "empties-group"
DELETES_TOO_MUCH = "max-delete-fraction"
#: What can be refused, by the names that override it.
REFUSALS = (EMPTIES_GROUP, DELETES_TOO_MUCH)


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
    :param standing: what it is. Only whole ones are candidates: they count, and they can expire.
    :param base: the id of the full that it builds on
    :param run: what names the task that made it; None where no task did
    :param size: bytes as stored
    :param held: whether a hold on it is in force
    :param verified: whether it is verified; where it has expired, whether it would be if it came back
    :param expired_at: when it expired; None where it has not, or where that cannot be read
    :param suspect: whether it is in doubt, also where it is dated in the future
    :param flaw: what is wrong with it, in a sentence or more; empty where nothing is
    :param returned: where it has expired, what it would be if it came back
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
    suspect: bool = False
    flaw: str = ""
    returned: Standing = Standing.WHOLE
    retained: str = ""

    @property
    def stays(self) -> bool:
        """Whether something outside the rules keeps it: a hold, or its bucket."""
        return self.held or bool(self.retained)

    @classmethod
    def of(cls, backup: Backup, *, held: bool = False, expired_at: datetime | None = None) -> Entry:
        """Take what matters from a backup."""
        verdict, returned = backup.verdict, backup.without_tombstone.verdict
        manifest, producer = backup.manifest, backup.manifest.producer
        run = None
        if producer.dag_id and producer.run_id and producer.task_id:
            index = -1 if producer.map_index is None else producer.map_index
            names = (producer.dag_id, producer.run_id, producer.task_id, str(index), manifest.kind)
            run = intern("\0".join(names))
        return cls(
            backup.path,
            verdict.standing,
            manifest.base,
            run,
            manifest.stored_size,
            held,
            returned.verified,
            expired_at,
            verdict.suspect,
            " ".join(verdict.flaws)[:_LONGEST_FLAW],
            returned.standing,
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

    1. and 2. choose what is kept: see :func:`choose_kept`.
    3. Nothing expires while a suspect full is newer than all whole ones.
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
    kept = choose_kept(policy, entries, now=now)
    live = kept.live
    paused = _pause(live)
    expiring = () if paused else kept.unneeded
    refusals = tuple(
        refusal
        for refusal in _refusals(
            policy, candidates=len(kept.counting), chosen=kept.chosen, live=len(live), expiring=expiring
        )
        if refusal.name not in overrides
    )
    spared = frozenset(kept.spared)
    needed = spared | kept.why.keys()
    due = () if paused or refusals else removable(kept.entries, spared=needed, now=now, grace=grace)
    judge = _Judge(kept=kept, grace=grace, paused=paused, due=frozenset(entry.backup_id for entry in due))
    decisions = tuple(judge.decide(entry) for entry in kept.entries)
    return RetentionPlan(group, decisions, refusals, paused, spared)


@dataclass(frozen=True, slots=True)
class Kept:
    """Which backups of a group are kept, whatever becomes of the others.

    :param entries: all of them, newest first
    :param returned: the same, those that may come back as what they would be then
    :param candidates: those that can be gone back to, newest first
    :param counting: the ids of the candidates that count in the rules
    :param chosen: how many of these the rules keep
    :param groundless: why partials cannot be gone back to though they are whole, by id: their full cannot
    :param why: the reasons that keep backups, by id
    :param spared: why expired backups are not removed though nothing is known to need them, by id
    """

    entries: tuple[Entry, ...]
    returned: tuple[Entry, ...]
    candidates: tuple[Entry, ...]
    counting: frozenset[str]
    chosen: int
    groundless: dict[str, str]
    why: Reasons
    spared: dict[str, str]

    @property
    def live(self) -> tuple[Entry, ...]:
        """Those that live, and those that come back, newest first."""
        return tuple(
            then
            for now, then in zip(self.entries, self.returned, strict=True)
            if now.standing is not Standing.EXPIRED
            or (then.standing is not Standing.EXPIRED and then.backup_id in self.why)
        )

    @property
    def unneeded(self) -> tuple[Entry, ...]:
        """The candidates that live and that nothing keeps, newest first."""
        expired = {entry.backup_id for entry in self.entries if entry.standing is Standing.EXPIRED}
        return tuple(entry for entry in self.candidates if entry.backup_id not in self.why.keys() | expired)


def choose_kept(policy: RetentionPolicy, entries: Iterable[Entry], *, now: datetime) -> Kept:
    """Choose the backups of a group that are kept. Nothing is read, nothing is done.

    1. Candidates are the backups that can be gone back to: whole ones, partials only with their full. Of those
       that one run of a task made more than once only the newest counts. The policy's rules choose among them.
    2. The newest verified ones, held and locked ones, the newest whole backup and full, and bases that somebody
       needs are kept whatever the rules say. So is the newest try of a run of which an older one is kept.

    Whoever carries this out has nothing to do afterwards: when those that nothing keeps are gone and those that
    come back are there, the same are kept. Therefore the ones that come back count already, and no try of a run
    begins to count because a newer one has gone.

    :param policy: the policy
    :param entries: all backups of the group, in any order
    :param now: what the time is
    """
    entries = tuple(sorted(entries, key=lambda entry: entry.backup_id, reverse=True))
    returned = _with_those_that_may_return(entries)
    groundless = dict(_groundless(returned))
    candidates = tuple(
        entry for entry in returned if entry.standing is Standing.WHOLE and entry.backup_id not in groundless
    )
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
    spared: dict[str, str] = {}
    for entry, reason in _perhaps_needed(returned):
        if entry.standing is Standing.EXPIRED:
            spared[entry.backup_id] = reason
        else:
            why[entry.backup_id].append(reason)
    _keep_what_they_need(returned, groundless, counting, why)
    counts = frozenset(entry.backup_id for entry in counting)
    return Kept(entries, returned, candidates, counts, len(chosen), groundless, why, spared)


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


def _with_those_that_may_return(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Look at expired backups that stay, or that one builds on which lives, as if they had not expired."""
    by_id = {entry.backup_id: entry for entry in entries}
    returning: set[str] = set()
    needing = deque(entry for entry in entries if entry.standing is not Standing.EXPIRED or entry.stays)
    while needing:
        entry = needing.popleft()
        base = by_id.get(entry.base or "")
        if base is not None and base.standing is Standing.EXPIRED and base.backup_id not in returning:
            returning.add(base.backup_id)
            needing.append(base)
    return tuple(
        replace(entry, standing=entry.returned)
        if entry.standing is Standing.EXPIRED and (entry.stays or entry.backup_id in returning)
        else entry
        for entry in entries
    )


def _groundless(entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    """Say which partials are whole and cannot be gone back to, because the full that they build on cannot."""
    by_id = {entry.backup_id: entry for entry in entries}
    for entry in entries:
        if entry.standing is not Standing.WHOLE or entry.base is None:
            continue
        base = by_id.get(entry.base)
        if base is None:
            yield entry.backup_id, f"its full {entry.base} is gone"
        elif base.standing is not Standing.WHOLE:
            yield entry.backup_id, f"its full {entry.base} is {base.standing.value}"


def _perhaps_needed(entries: Sequence[Entry]) -> Iterator[tuple[Entry, str]]:
    """Name the fulls that a partial may build on of which nobody can tell: its manifest cannot be read."""
    unknown = [entry for entry in entries if entry.standing is Standing.UNREADABLE and entry.base is None]
    newest = next((entry for entry in unknown if not entry.full), None)
    if newest is None:
        return
    for entry in entries:
        if entry.full and entry.backup_id < newest.backup_id and entry.standing is not Standing.UNREADABLE:
            yield entry, f"may be the base of {newest.backup_id}, whose manifest cannot be read"


def _keep_what_they_need(
    entries: Sequence[Entry], groundless: Container[str], counting: Iterable[Entry], why: Reasons
) -> None:
    """Keep what those that stay build on, also those that are no candidates, and the newest try of their runs.

    Without that one an older try would count in its place from the next time on, and drive others out.
    """
    by_id = {entry.backup_id: entry for entry in entries}
    tries = {entry.run: entry for entry in counting if entry.run is not None}
    staying = deque(
        entry
        for entry in entries
        if entry.backup_id in why
        or entry.backup_id in groundless
        or entry.standing not in (Standing.WHOLE, Standing.EXPIRED)
    )
    while staying:
        entry = staying.popleft()
        candidate = entry.standing is Standing.WHOLE and entry.backup_id not in groundless
        for what, other in (
            ("base", by_id.get(entry.base or "")),
            ("newest try of the run", tries.get(entry.run or "") if candidate else None),
        ):
            if other is not None and other is not entry:
                if other.backup_id not in why:
                    staying.append(other)
                why[other.backup_id].append(f"{what} of {entry.backup_id}")


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
