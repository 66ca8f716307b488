"""Which backups a policy keeps, and why: restic's rules, as a pure function of instants.

What else protects a backup (holds, verification, its dependants) is :mod:`~.plan`'s business.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeAlias

from airflow_provider_xbackup.errors import InvalidArgumentError

Bucket: TypeAlias = "int | tuple[int, ...]"

_DURATION = re.compile(r"(?:[0-9]{1,8}[ymdh]){1,4}")
_UNITS = {"y": "years", "m": "months", "d": "days", "h": "hours"}

#: Keeps the backups of every period, however many there are.
UNLIMITED = -1
PERIODS = ("hourly", "daily", "weekly", "monthly", "yearly")
#: The rules that count, and those that reach back so far.
COUNTS = ("keep_last", *(f"keep_{period}" for period in PERIODS))
DURATIONS = ("keep_within", *(f"keep_within_{period}" for period in PERIODS))


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time on the calendar, where a month is a month.

    :param years: calendar years
    :param months: calendar months
    :param days: calendar days
    :param hours: hours of 60 minutes
    """

    years: int = 0
    months: int = 0
    days: int = 0
    hours: int = 0

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read a duration.

        :param text: for example ``1y2m3d4h``, ``90d`` or ``36h``: years, months, days, hours, each once at most
        :return: the duration
        :raises InvalidArgumentError: when it is none
        """
        if isinstance(text, str) and _DURATION.fullmatch(text.strip()):
            found = re.findall(r"([0-9]+)([ymdh])", text)
            parts = {_UNITS[unit]: int(number) for number, unit in found}
            if len(parts) == len(found):
                return cls(**parts)
        raise InvalidArgumentError(
            f"{text!r} is no duration. Write years, months, days and hours, each once, for example 1y2m3d4h, "
            "90d or 36h."
        )

    def before(self, instant: datetime) -> datetime | None:
        """Return the instant so long before another.

        Years, months and days are taken off the date as fields; a day that its month does not have runs
        over into the next: a month before 31 March is 3 March, in a leap year 2 March.

        :param instant: the later instant, in whose time zone the date is read
        :return: the earlier instant in UTC; None where the calendar has no such date
        """
        try:
            return self._away_from(instant, -1)
        except (ValueError, OverflowError):
            return None

    def after(self, instant: datetime) -> datetime:
        """Return the instant so long after another, taken on the calendar as :meth:`before` does.

        :param instant: the earlier instant, in whose time zone the date is read
        :return: the later instant in UTC
        :raises InvalidArgumentError: when the calendar has no such date
        """
        try:
            return self._away_from(instant, 1)
        except (ValueError, OverflowError):
            raise InvalidArgumentError(f"The calendar ends before {self} are over.") from None

    def _away_from(self, instant: datetime, direction: int) -> datetime:
        months = instant.year * 12 + instant.month - 1 + direction * (self.years * 12 + self.months)
        first = instant.replace(year=months // 12, month=months % 12 + 1, day=1)
        wall = first + timedelta(days=instant.day - 1 + direction * self.days)
        return wall.astimezone(UTC) + direction * timedelta(hours=self.hours)

    def __bool__(self) -> bool:
        return any((self.years, self.months, self.days, self.hours))

    def __str__(self) -> str:
        parts = ((self.years, "y"), (self.months, "m"), (self.days, "d"), (self.hours, "h"))
        return "".join(f"{number}{unit}" for number, unit in parts if number)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """Which backups of a group are kept. A backup is kept when any of the rules keeps it.

    ``keep_last=3`` keeps the newest three. ``keep_daily=7`` keeps the newest backup of each of the newest
    seven days that have one, and so on; -1 means every such day. ``keep_within="30d"`` keeps all that are
    less than 30 days older than the newest backup, ``keep_within_daily="1y"`` the newest of each day among
    those of the last year before the newest.

    :param keep_last: how many of the newest
    :param keep_hourly: of how many hours
    :param keep_daily: of how many days
    :param keep_weekly: of how many ISO weeks
    :param keep_monthly: of how many months
    :param keep_yearly: of how many years
    :param keep_within: a duration such as ``1y2m3d4h``
    :param keep_within_hourly: a duration
    :param keep_within_daily: a duration
    :param keep_within_weekly: a duration
    :param keep_within_monthly: a duration
    :param keep_within_yearly: a duration
    :param timezone: the IANA time zone in which hours, days, weeks, months and years begin; None for the
        offset that each time carries
    :param min_verified: how many of the newest verified backups are kept whatever the rules say
    :param max_delete_fraction: refuse to expire more than this share of a group at once, 0 to 1
    :raises InvalidArgumentError: when a value cannot be meant
    """

    keep_last: int = 0
    keep_hourly: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    keep_yearly: int = 0
    keep_within: str | None = None
    keep_within_hourly: str | None = None
    keep_within_daily: str | None = None
    keep_within_weekly: str | None = None
    keep_within_monthly: str | None = None
    keep_within_yearly: str | None = None
    timezone: str | None = "UTC"
    min_verified: int = 1
    max_delete_fraction: float = 0.5

    def __post_init__(self) -> None:
        for name in COUNTS:
            _check_count(name, getattr(self, name), least=UNLIMITED, hint=", or -1 for all")
        for name in DURATIONS:
            if getattr(self, name) is not None:
                _check_duration(name, getattr(self, name))
        _check_count("min_verified", self.min_verified, least=0)
        fraction = self.max_delete_fraction
        if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 <= fraction <= 1:
            raise InvalidArgumentError(f"max_delete_fraction must be a number from 0 to 1 and is {fraction!r}.")
        _zone(self.timezone)

    @classmethod
    def of(cls, value: Self | Mapping[str, Any]) -> Self:
        """Read a policy from its fields, as JSON and DAGs hold them.

        :param value: the fields by name, or a policy
        :return: the policy
        :raises InvalidArgumentError: when a field is unknown or cannot be meant
        """
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise InvalidArgumentError(f"A retention policy is a dict of its fields, not {type(value).__name__}.")
        known = [field.name for field in fields(cls)]
        unknown = [name for name in value if name not in known]
        if unknown:
            raise InvalidArgumentError(
                f"A retention policy has no field {unknown[0]!r}. Known are {', '.join(known)}."
            )
        return cls(**value)

    @property
    def is_empty(self) -> bool:
        """Whether no rule of it keeps anything."""
        return not any(getattr(self, name) for name in COUNTS) and not any(
            _duration(getattr(self, name)) for name in DURATIONS
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that say something, for people and logs."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) not in (0, None) or field.name in ("min_verified", "max_delete_fraction")
        }


def select(policy: RetentionPolicy, times: Sequence[datetime], now: datetime) -> list[tuple[int, list[str]]]:
    """Choose what a policy keeps of one group.

    The rules overlap: one backup may be kept by several. Each keeps the newest backup of a period;
    periods without a backup use up no count, and a rule that has some count left keeps the oldest backup
    too. ``keep_within`` counts from the newest backup that is not in the future, so that nothing expires
    because backups have stopped.

    :param policy: the policy
    :param times: when each backup was taken, with time zones, in any order
    :param now: what the time is, with a time zone
    :return: the index of each kept backup, newest first, and why it is kept
    :raises InvalidArgumentError: when a time has no zone
    """
    for time in (*times, now):
        if time.tzinfo is None:
            raise InvalidArgumentError(f"The time {time.isoformat()} has no time zone.")
    zone = _zone(policy.timezone)
    instants = [time.astimezone(UTC) for time in times]
    local = [time if zone is None else time.astimezone(zone) for time in times]
    order = sorted(range(len(times)), key=instants.__getitem__, reverse=True)
    newest = next((index for index in order if instants[index] < now.astimezone(UTC)), None)

    def start(duration: Duration) -> datetime | None:
        return None if newest is None else duration.before(local[newest])

    rules = _rules(policy, start)
    kept: list[tuple[int, list[str]]] = []
    for position, index in enumerate(order):
        oldest = position == len(order) - 1
        reasons = [
            reason
            for rule in rules
            if (reason := rule.look_at(position, local[index], instants[index], oldest=oldest))
        ]
        if reasons:
            kept.append((index, reasons))
    return kept


@dataclass(slots=True)
class _Rule:
    """One rule on its way from the newest backup to the oldest.

    :param reason: what it says of a backup that it keeps
    :param bucket: the period a backup belongs to
    :param left: how many periods it may still keep, -1 for all
    :param after: the instant after which it looks at backups, None for all
    """

    reason: str
    bucket: Callable[[int, datetime], Bucket]
    left: int
    after: datetime | None = None
    last: Bucket | None = None

    def look_at(self, position: int, local: datetime, instant: datetime, *, oldest: bool) -> str | None:
        """Return why the next older backup is kept, or None."""
        if self.left == 0 or (self.after is not None and instant <= self.after):
            return None
        bucket = self.bucket(position, local)
        same = bucket == self.last
        if same and not oldest:
            return None
        self.last = bucket
        if self.left > 0:
            self.left -= 1
        return f"oldest {self.reason}" if same else self.reason


def _by_position(position: int, _: datetime) -> Bucket:
    return position


def _by_hour(_: int, time: datetime) -> Bucket:
    return (time.year, time.month, time.day, time.hour)


def _by_day(_: int, time: datetime) -> Bucket:
    return (time.year, time.month, time.day)


def _by_week(_: int, time: datetime) -> Bucket:
    # Of the ISO calendar: the last days of December may belong to week 1 of the next year.
    return time.isocalendar()[:2]


def _by_month(_: int, time: datetime) -> Bucket:
    return (time.year, time.month)


def _by_year(_: int, time: datetime) -> Bucket:
    return time.year


_PERIODS: dict[str, Callable[[int, datetime], Bucket]] = {
    "hourly": _by_hour,
    "daily": _by_day,
    "weekly": _by_week,
    "monthly": _by_month,
    "yearly": _by_year,
}


def _rules(policy: RetentionPolicy, start: Callable[[Duration], datetime | None]) -> list[_Rule]:
    """The rules of a policy, in the order in which reasons are told."""
    rules: list[_Rule] = []
    if within := _duration(policy.keep_within):
        rules.append(_Rule(f"within {within}", _by_position, UNLIMITED, start(within)))
    rules.append(_Rule("last snapshot", _by_position, policy.keep_last))
    for name, bucket in _PERIODS.items():
        rules.append(_Rule(f"{name} snapshot", bucket, getattr(policy, f"keep_{name}")))
    for name, bucket in _PERIODS.items():
        if within := _duration(getattr(policy, f"keep_within_{name}")):
            rules.append(_Rule(f"{name} within {within}", bucket, UNLIMITED, start(within)))
    return rules


def _duration(text: str | None) -> Duration | None:
    return None if text is None else Duration.parse(text)


def _zone(name: str | None) -> zoneinfo.ZoneInfo | None:
    if name is None:
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise InvalidArgumentError(
            f"timezone {name!r} is no time zone. Write an IANA name such as 'Europe/Berlin', or 'UTC'."
        ) from None


def _check_count(name: str, value: object, *, least: int, hint: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidArgumentError(f"{name} must be a whole number, 0 or more{hint}, and is {value!r}.")


def _check_duration(name: str, value: object) -> None:
    try:
        Duration.parse(value)
    except InvalidArgumentError as exc:
        raise InvalidArgumentError(f"{name}: {exc}") from None
