"""Whether an account can be restored, in one word and a few sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from airflow_provider_xbackup.vault.overview import Overview, Seen
from airflow_provider_xbackup.vault.status import AccountName, AccountStatus, Promise, judge, survey


class Condition(StrEnum):
    """What somebody on call has to know about an account, the worst first."""

    #: A backup is expected, and there never was one.
    NEVER = "never"
    #: The newest backup lacks a file, failed its check or lacks what was asked for, or a manifest is unreadable.
    DAMAGED = "damaged"
    #: The newest backup fell far below its predecessors, and nobody has accepted it.
    SUSPECT = "suspect"
    #: The newest backup holds nothing, however whole it is, or all have expired.
    EMPTY = "empty"
    #: The newest whole backup is older than promised.
    LATE = "late"
    #: No whole backup is verified, or the newest verified one is older than promised.
    UNVERIFIED = "unverified"
    FINE = "fine"


#: What the findings of :func:`~.status.judge` mean for an account.
_MEANING = {
    "absent": Condition.NEVER,
    "late": Condition.LATE,
    "unverified": Condition.UNVERIFIED,
    "suspect": Condition.SUSPECT,
    "damaged": Condition.DAMAGED,
    "incomplete": Condition.DAMAGED,
}


@dataclass(frozen=True, slots=True)
class AccountCondition:
    """The condition of an account.

    :param status: the backups that matter
    :param found: every condition that holds, with a sentence, the worst first; empty when all is fine
    """

    status: AccountStatus[Seen]
    found: tuple[tuple[Condition, str], ...] = ()

    @property
    def name(self) -> AccountName:
        """The account."""
        return self.status.name

    @property
    def condition(self) -> Condition:
        """The worst condition that holds."""
        return self.found[0][0] if self.found else Condition.FINE


def stand(overview: Overview, promise: Promise, now: datetime) -> list[AccountCondition]:
    """Tell how every account of a vault stands, the expected ones included.

    :param overview: what the vault holds
    :param promise: what was promised
    :param now: what the time is
    :return: the accounts, sorted by service and name
    """
    damaged: dict[AccountName, list[str]] = {}
    for finding in overview.findings:
        service, account, _ = finding.path.split("/", 2)
        damaged.setdefault(AccountName(service, account), []).append(finding.text)
    there = {seen.account for seen in overview.backups} | set(damaged)
    statuses = survey(overview.backups, there | set(promise.accounts))
    order = list(Condition)
    return [
        AccountCondition(
            status,
            tuple(
                sorted(
                    _conditions(status, status.name in there, damaged.get(status.name, ()), promise, now),
                    key=lambda found: order.index(found[0]),
                )
            ),
        )
        for status in statuses
    ]


def _conditions(
    status: AccountStatus[Seen], known: bool, damaged: Iterable[str], promise: Promise, now: datetime
) -> Iterator[tuple[Condition, str]]:
    for text in damaged:
        yield Condition.DAMAGED, text
    if status.last is None:
        if not known:
            yield Condition.NEVER, f"{status.name} is expected and was never backed up into this vault."
        elif not damaged:
            yield (
                Condition.EMPTY,
                f"All backups of {status.name} have expired.",
            )
        return
    for finding in judge([status], promise, now):
        empty = finding.code == "suspect" and status.last.empty
        yield Condition.EMPTY if empty else _MEANING[finding.code], finding.text
    if promise.verified_rpo is None and status.newest is not None and status.verified is None:
        yield Condition.UNVERIFIED, f"No whole backup of {status.name} is verified."
    newest = status.last if status.last.state not in _MEANING else status.newest
    if newest is not None and newest.empty:
        yield Condition.EMPTY, f"The newest backup {newest.backup_id} holds nothing."
