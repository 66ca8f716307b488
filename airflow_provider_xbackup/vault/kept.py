"""Which backups of a group are kept, by a policy and by what else protects them: a pure function."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from airflow_provider_xbackup.vault.entries import Entry
from airflow_provider_xbackup.vault.retention import RetentionPolicy, select
from airflow_provider_xbackup.vault.standing import Standing

Reasons: TypeAlias = "defaultdict[str, list[str]]"


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
