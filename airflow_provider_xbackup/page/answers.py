"""What the JSON API answers, made of what a vault holds.

Instants are UTC, sizes are bytes, ages are left to the reader's clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from pydantic import BaseModel, Field

from airflow_provider_xbackup.page.watched import WatchedVault
from airflow_provider_xbackup.vault.acceptance import read_acceptance
from airflow_provider_xbackup.vault.catalog import Group
from airflow_provider_xbackup.vault.checks import read_checks
from airflow_provider_xbackup.vault.choose import how_to_fetch, needs_keys, restore_set
from airflow_provider_xbackup.vault.conditions import AccountCondition, Condition
from airflow_provider_xbackup.vault.entries import Entry
from airflow_provider_xbackup.vault.errors import ManifestError, NoSuchBackupError, RecordError
from airflow_provider_xbackup.vault.expire import plan_retention
from airflow_provider_xbackup.vault.forecast import forecast, rhythm
from airflow_provider_xbackup.vault.history import line, strip
from airflow_provider_xbackup.vault.holds import read_hold
from airflow_provider_xbackup.vault.overview import Overview, Seen, see
from airflow_provider_xbackup.vault.plan import RetentionPlan
from airflow_provider_xbackup.vault.status import AccountName
from airflow_provider_xbackup.vault.vault import Vault

_LONGEST_LIST = 500


class Refusal(BaseModel):
    """Why there is no answer."""

    detail: str | list[dict[str, Any]] = Field(description="a sentence; a list where a parameter cannot be read")


class Configured(BaseModel):
    """A vault as it is configured; nothing was asked of it."""

    name: str
    url: str
    rpo: float | None = Field(description="seconds")
    verified_rpo: float | None = Field(description="seconds")
    retention: dict[str, Any] | None

    @classmethod
    def of(cls, vault: WatchedVault) -> Configured:
        """Take what may be shown."""
        return cls(
            name=vault.name,
            url=str(vault.url),
            rpo=_seconds(vault.promise.rpo),
            verified_rpo=_seconds(vault.promise.verified_rpo),
            retention=None if vault.policy is None else vault.policy.to_dict(),
        )


class Brief(BaseModel):
    """One backup in a few words."""

    backup_id: str
    at: datetime
    kind: str
    state: str
    verified: bool
    held: bool
    stored_size: int
    size: int
    entities: int | None = Field(description="how many there are of all types, null where it was not read")
    empty: bool = Field(description="whether there is nothing in it, as far as it was read, however whole it is")
    doubts: list[str]

    @classmethod
    def of(cls, seen: Seen | None) -> Brief | None:
        """Sum one up."""
        return None if seen is None else _brief(seen)


class DayMark(BaseModel):
    """One day of a strip: full, partial, failed, overdue or none."""

    date: date
    mark: str
    number: int


class Reason(BaseModel):
    """A condition that holds of an account, and the sentence that says so."""

    condition: str
    text: str


class AccountRow(BaseModel):
    """One account: whether it can be restored."""

    service: str
    account: str
    condition: str
    reasons: list[Reason]
    newest: Brief | None = Field(description="the newest whole backup that can be gone back to")
    verified: Brief | None = Field(description="the newest verified one")
    oldest: Brief | None = Field(description="the oldest one; with the newest: the range")
    last: Brief | None = Field(description="the newest at all, whatever is wrong with it")
    number: int
    stored_size: int
    next_expiry: datetime | None = Field(description="by the configured policy, if backups go on in their rhythm")
    strip: list[DayMark]


class Storage(BaseModel):
    """What a vault keeps, in bytes as stored."""

    full: int = 0
    partial: int = 0
    expired: int = 0
    backups: int = 0


class Accounts(BaseModel):
    """A vault's accounts, those that need somebody first."""

    vault: Configured
    problem: str | None = Field(description="why this is not the present state; null where it is")
    at: datetime | None = Field(description="when the vault was looked at; null where it never answered")
    storage: Storage
    conditions: dict[str, int] = Field(description="how many accounts of each condition, before any filter")
    findings: list[str]
    total: int = Field(description="how many accounts pass the filter")
    accounts: list[AccountRow]


class PointOut(BaseModel):
    """One full backup on the lines of an account."""

    backup_id: str
    at: datetime
    size: int
    entities: int | None
    anomalies: list[str]


class AccountPage(BaseModel):
    """One account with its history."""

    vault: Configured
    problem: str | None
    at: datetime | None
    row: AccountRow
    line: list[PointOut]
    backups: list[Brief]
    more: int = Field(description="how many older backups are left out")


class Decided(BaseModel):
    """What retention would do with one backup."""

    backup_id: str
    at: datetime
    action: str
    reasons: list[str]
    stored_size: int
    goes: datetime | None = Field(description="when it expires, if backups go on in their rhythm; null: not soon")


class GroupPlan(BaseModel):
    """What retention would do with one group of backups."""

    group: str
    paused: str | None
    refusals: list[str]
    every: float | None = Field(description="the usual seconds between two backups, which the forecast assumes")
    backups: list[Decided]


class RetentionPage(BaseModel):
    """A preview of retention for one account. Nothing is done."""

    vault: Configured
    groups: list[GroupPlan]
    findings: list[str]


class Link(BaseModel):
    """One backup of a chain."""

    backup_id: str
    kind: str
    state: str
    verified: bool


class BackupPage(BaseModel):
    """Everything about one backup."""

    vault: Configured
    brief: Brief
    location: str
    manifest: dict[str, Any] = Field(description="as stored, see manifest.schema.json")
    checks: list[dict[str, Any]] = Field(description="the newest first")
    hold: dict[str, Any] | None
    acceptance: dict[str, Any] | None
    chain: list[Link] = Field(description="what is needed to get back to it, the base first")
    problems: list[str]
    retention: Decided | None = Field(description="null where no policy is configured")
    fetch: str = Field(
        description="the command that gets its files; FILE holds the private keys of encrypted ones"
    )
    encrypted: bool = Field(description="whether something of it, or of what it needs, is encrypted")


def accounts(
    vault: WatchedVault,
    overview: Overview | None,
    standings: Sequence[AccountCondition],
    problem: str | None,
    now: datetime,
    *,
    text: str = "",
    condition: str = "",
    offset: int = 0,
    limit: int = 50,
) -> Accounts:
    """Answer with a part of a vault's accounts, the worst first.

    :param text: only accounts whose service and name hold it
    :param condition: only accounts in this condition
    :param offset: how many to leave out
    :param limit: how many at most
    """
    order = list(Condition)
    sought = text.casefold()
    chosen = sorted(
        (
            each
            for each in standings
            if sought in str(each.name).casefold() and condition in ("", each.condition.value)
        ),
        key=lambda each: (order.index(each.condition), each.name),
    )
    shown = chosen[offset : offset + limit]
    whose = _by_account(overview, {each.name for each in shown})
    numbers = Counter(each.condition.value for each in standings)
    return Accounts(
        vault=Configured.of(vault),
        problem=problem,
        at=None if overview is None or (problem and not overview.backups) else overview.at,
        storage=_storage(overview),
        conditions={each.value: numbers[each.value] for each in order if numbers[each.value]},
        findings=[] if overview is None else [finding.text for finding in overview.findings[:20]],
        total=len(chosen),
        accounts=[_row(vault, each, whose.get(each.name, ()), now) for each in shown],
    )


def account(
    vault: WatchedVault, overview: Overview, standing: AccountCondition, problem: str | None, now: datetime
) -> AccountPage:
    """Answer with one account and its history."""
    backups = _by_account(overview, {standing.name}).get(standing.name, ())
    return AccountPage(
        vault=Configured.of(vault),
        problem=problem,
        at=overview.at,
        row=_row(vault, standing, backups, now),
        line=[
            PointOut(
                backup_id=point.seen.backup_id,
                at=point.seen.instant,
                size=point.seen.size,
                entities=_total(point.seen),
                anomalies=list(point.anomalies),
            )
            for point in line(backups)
        ],
        backups=[_brief(seen) for seen in backups[:_LONGEST_LIST]],
        more=max(0, len(backups) - _LONGEST_LIST),
    )


def retention(config: WatchedVault, vault: Vault, name: AccountName, now: datetime) -> RetentionPage:
    """Answer with what retention would do with one account; see :func:`~.plan_retention`."""
    if config.policy is None:
        return RetentionPage(vault=Configured.of(config), groups=[], findings=[])
    plans = plan_retention(
        vault, config.policy, service=name.service, account=name.account, grace=config.grace, now=now
    )
    return RetentionPage(
        vault=Configured.of(config),
        groups=[_group(config, plan, now) for plan in plans],
        findings=[finding.text for finding in plans.findings],
    )


def backup(config: WatchedVault, vault: Vault, name: AccountName, backup_id: str, now: datetime) -> BackupPage:
    """Answer with everything about one backup.

    :raises NoSuchBackupError: when there is none
    :raises ManifestError: when its manifest is damaged
    :raises InvalidArgumentError: when a name cannot be one
    """
    found = vault.find(name.service, name.account, backup_id)
    if found is None:
        raise NoSuchBackupError(f"There is no backup {backup_id} of {name} in the vault {config.name!r}.")
    problems: list[str] = []
    checks: list[dict[str, Any]] = []
    hold = acceptance = None
    try:
        for check in read_checks(vault.store, found.path, found.names or ()):
            checks.append(check.to_dict())  # noqa: PERF401 - those before an unreadable one are shown
    except RecordError as exc:
        problems.append(str(exc))
    try:
        hold = read_hold(vault.store, found.path) if found.held else None
        acceptance = read_acceptance(vault.store, found.path) if found.accepted else None
    except RecordError as exc:
        problems.append(str(exc))
    try:
        chain = restore_set(vault, found)
    except (NoSuchBackupError, ManifestError) as exc:
        chain = (found,)
        problems.append(str(exc))
    seen = see(found)
    plans = retention(config, vault, name, now).groups
    decided = (each for group in plans for each in group.backups if each.backup_id == backup_id)
    return BackupPage(
        vault=Configured.of(config),
        brief=_brief(seen),
        location=found.location,
        manifest=found.manifest.to_dict(),
        checks=checks,
        hold=None if hold is None else hold.to_dict(),
        acceptance=None if acceptance is None else acceptance.to_dict(),
        chain=[
            Link(
                backup_id=each.backup_id,
                kind=each.manifest.kind,
                state=each.state,
                verified=each.verified,
            )
            for each in chain
        ],
        problems=[*problems, *found.flaws],
        retention=next(decided, None),
        fetch=how_to_fetch(config.url, chain),
        encrypted=needs_keys(chain),
    )


def _row(vault: WatchedVault, standing: AccountCondition, backups: Sequence[Seen], now: datetime) -> AccountRow:
    status = standing.status
    return AccountRow(
        service=status.name.service,
        account=status.name.account,
        condition=standing.condition.value,
        reasons=[Reason(condition=condition.value, text=text) for condition, text in standing.found],
        newest=Brief.of(status.newest),
        verified=Brief.of(status.verified),
        oldest=Brief.of(status.oldest),
        last=Brief.of(status.last),
        number=status.number,
        stored_size=status.stored_size,
        next_expiry=_next_expiry(vault, backups, now),
        strip=[
            DayMark(date=day.date, mark=day.mark.value, number=day.number)
            for day in strip(backups, now, vault.promise.rpo, vault.policy)
        ],
    )


def _next_expiry(vault: WatchedVault, backups: Sequence[Seen], now: datetime) -> datetime | None:
    if vault.policy is None:
        return None
    groups: dict[Group, list[Entry]] = {}
    for seen in backups:
        groups.setdefault(seen.group, []).append(seen.entry)
    first = (
        next((instant for _, instant in forecast(vault.policy, group, entries, now=now, steps=40)), None)
        for group, entries in groups.items()
    )
    return min((instant for instant in first if instant is not None), default=None)


def _group(config: WatchedVault, plan: RetentionPlan, now: datetime) -> GroupPlan:
    entries = [decision.entry for decision in plan.decisions]
    every = rhythm(entries)
    goes: dict[str, datetime] = {}
    if config.policy is not None:
        goes = dict(forecast(config.policy, plan.group, entries, now=now))
    return GroupPlan(
        group=str(plan.group),
        paused=plan.paused,
        refusals=[refusal.text for refusal in plan.refusals],
        every=_seconds(every),
        backups=[
            Decided(
                backup_id=decision.entry.backup_id,
                at=decision.entry.instant,
                action=decision.action.value,
                reasons=list(decision.reasons),
                stored_size=decision.entry.size,
                goes=goes.get(decision.entry.backup_id),
            )
            for decision in plan.decisions
        ],
    )


def _by_account(overview: Overview | None, names: Iterable[AccountName]) -> dict[AccountName, list[Seen]]:
    found: dict[AccountName, list[Seen]] = {name: [] for name in names}
    for seen in () if overview is None else overview.backups:
        if (name := seen.account) in found:
            found[name].append(seen)
    return found


def _storage(overview: Overview | None) -> Storage:
    sums: Counter[str] = Counter()
    for seen in () if overview is None else overview.backups:
        kind = "expired" if seen.tombstoned else "full" if seen.entry.full else "partial"
        sums[kind] += seen.stored_size
        sums["backups"] += 1
    return Storage(**sums)


def _brief(seen: Seen) -> Brief:
    return Brief(
        backup_id=seen.backup_id,
        at=seen.instant,
        kind="full" if seen.entry.full else "partial",
        state="future" if seen.in_future else seen.state,
        verified=seen.verified,
        held=seen.entry.held,
        stored_size=seen.stored_size,
        size=seen.size,
        entities=_total(seen),
        empty=seen.empty,
        doubts=list(seen.flaws),
    )


def _total(seen: Seen) -> int | None:
    return None if seen.entities is None else sum(seen.entities.values())


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
