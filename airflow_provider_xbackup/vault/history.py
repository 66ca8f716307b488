"""How the backups of an account went: a mark for every day, and the line of sizes and counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from airflow_provider_xbackup.vault.drops import find_drops
from airflow_provider_xbackup.vault.overview import Seen
from airflow_provider_xbackup.vault.retention import RetentionPolicy, select

#: How many days a strip shows.
DAYS = 30
#: A full that lost more than this share is marked, as the transfers' ``max_drop`` has it by default.
MAX_DROP = 0.5

_DAY = timedelta(days=1)


class Mark(StrEnum):
    """What became of a day."""

    FULL = "full"
    PARTIAL = "partial"
    #: There is a backup, and it cannot be relied on.
    FAILED = "failed"
    #: At the end of the day the newest good backup was older than promised.
    OVERDUE = "overdue"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Day:
    """One day of an account, in UTC.

    :param date: the day
    :param mark: what became of it
    :param number: how many backups it has
    """

    date: date
    mark: Mark
    number: int = 0


@dataclass(frozen=True, slots=True)
class Point:
    """One full backup on the line.

    :param seen: the backup
    :param anomalies: sentences that say what fell; empty for an ordinary one
    """

    seen: Seen
    anomalies: tuple[str, ...] = ()


def strip(
    backups: Sequence[Seen],
    now: datetime,
    rpo: timedelta | None = None,
    policy: RetentionPolicy | None = None,
    days: int = DAYS,
) -> tuple[Day, ...]:
    """Mark the last days of an account.

    A day without a backup is overdue only where that is known: retention may have taken what was there, so it
    counts only when the policy would still keep a backup of that day.

    :param backups: its backups, expired ones included
    :param now: what the time is
    :param rpo: how old the newest whole backup may be; None: no day is overdue
    :param policy: what retention keeps; None: everything
    :param days: how many days
    :return: the days, the oldest first
    """
    today = now.astimezone(UTC).date()
    past = [seen for seen in backups if not seen.in_future]
    by_day: dict[date, list[Seen]] = {}
    for seen in past:
        by_day.setdefault(seen.instant.date(), []).append(seen)
    good = sorted(seen.instant for seen in past if _was_good(seen))

    def mark(day: date) -> Mark:
        if day in by_day:
            return _mark_of(by_day[day])
        end = min(datetime.combine(day + _DAY, time(), UTC), now)
        earlier = [instant for instant in good if instant < end]
        if rpo is None or not earlier or end - earlier[-1] <= rpo:
            return Mark.NONE
        return Mark.OVERDUE if policy is None or _would_stay(policy, good, end, now) else Mark.NONE

    shown = (today - _DAY * ago for ago in reversed(range(days)))
    return tuple(Day(day, mark(day), len(by_day.get(day, ()))) for day in shown)


def line(backups: Iterable[Seen], limit: int = 120) -> tuple[Point, ...]:
    """Choose what the lines of an account show: the fulls of the scope of its newest full, with what fell.

    :param backups: its backups, newest first
    :param limit: how many of the newest
    :return: the points, the oldest first
    """
    fulls = [seen for seen in backups if seen.entry.full and not seen.tombstoned and not seen.in_future]
    same = [seen for seen in fulls if seen.group == fulls[0].group][:limit]
    return tuple(_points(reversed(same)))


def _points(fulls: Iterable[Seen]) -> Iterator[Point]:
    accepted: Seen | None = None
    for seen in fulls:
        fell: Sequence[str] = ()
        if seen.state == "suspect":
            fell = seen.flaws or ("suspect",)
        elif accepted is not None:
            fell = find_drops(_measures(seen, accepted), _measures(accepted, seen), MAX_DROP)
        yield Point(seen, tuple(fell))
        if seen.reliable:
            accepted = seen


def _measures(seen: Seen, other: Seen) -> dict[str, int]:
    """Return sizes, and counts where both backups were read."""
    read = seen.entities is not None and other.entities is not None
    return {**seen.sizes, **(seen.entities or {} if read else {})}


def _mark_of(backups: Iterable[Seen]) -> Mark:
    good = [seen for seen in backups if _was_good(seen)]
    if any(seen.entry.full for seen in good):
        return Mark.FULL
    return Mark.PARTIAL if good else Mark.FAILED


def _was_good(seen: Seen) -> bool:
    return seen.reliable or (seen.tombstoned and not seen.flaws)


def _would_stay(policy: RetentionPolicy, instants: Sequence[datetime], instant: datetime, now: datetime) -> bool:
    """Tell whether retention would still keep a backup of an instant, if there had been one."""
    imagined = instant - timedelta(seconds=1)
    return any(index == 0 for index, _ in select(policy, [imagined, *instants], now))
