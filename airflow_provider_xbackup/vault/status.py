"""How old the backups of every account are, and what somebody on call has to know about them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.catalog import Finding
from airflow_provider_xbackup.vault.layout import BackupPath


class Restorable(Protocol):
    """What is asked of a backup here; :class:`~.catalog.Backup` has it, and what is kept of one for longer."""

    @property
    def path(self) -> BackupPath: ...  # noqa: D102 - Backup says what they are
    @property
    def backup_id(self) -> str: ...  # noqa: D102
    @property
    def instant(self) -> datetime: ...  # noqa: D102
    @property
    def state(self) -> str: ...  # noqa: D102
    @property
    def base(self) -> str | None: ...  # noqa: D102
    @property
    def stored_size(self) -> int: ...  # noqa: D102
    @property
    def flaws(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def tombstoned(self) -> bool: ...  # noqa: D102
    @property
    def in_future(self) -> bool: ...  # noqa: D102
    @property
    def reliable(self) -> bool: ...  # noqa: D102
    @property
    def verified(self) -> bool: ...  # noqa: D102


B = TypeVar("B", bound=Restorable)


@dataclass(frozen=True, slots=True, order=True)
class AccountName:
    """What identifies an account in a vault.

    :param service: ``xray`` or ``xenioo``
    :param account: the account's name
    """

    service: str
    account: str

    @classmethod
    def parse(cls, text: str) -> AccountName:
        """Read ``xray/acme``.

        :raises InvalidArgumentError: when it is no service and account
        """
        service, slash, account = str(text).partition("/")
        if not slash:
            raise InvalidArgumentError(
                f"{text!r} names no account: write the service and the account, such as xray/acme."
            )
        return cls(layout.check_service(service), layout.check_account(account))

    def __str__(self) -> str:
        return f"{self.service}/{self.account}"


@dataclass(frozen=True, slots=True)
class Promise:
    """How new backups have to be, and whose there must be.

    :param accounts: accounts that must have a backup
    :param rpo: how old the newest whole backup of an account may be; None for any age
    :param verified_rpo: how old the newest verified backup of an account may be; None for any age
    """

    accounts: Collection[AccountName] = ()
    rpo: timedelta | None = None
    verified_rpo: timedelta | None = None


@dataclass(frozen=True, slots=True)
class AccountStatus(Generic[B]):
    """What a vault holds of one account, expired backups left out.

    :param name: the account
    :param newest: the newest whole backup that can be gone back to, None where there is none
    :param verified: the newest of those that is verified
    :param oldest: the oldest backup that can be gone back to
    :param last: the newest backup at all, whatever is wrong with it
    :param number: how many backups there are
    :param stored_size: bytes of all of them
    :param groundless: why the last one cannot be gone back to though it is whole; empty where it can, or is not
    """

    name: AccountName
    newest: B | None = None
    verified: B | None = None
    oldest: B | None = None
    last: B | None = None
    number: int = 0
    stored_size: int = 0
    groundless: str = ""


def survey(backups: Iterable[B], accounts: Collection[AccountName] = ()) -> list[AccountStatus[B]]:
    """Sum up what a vault holds, account by account; memory does not grow with the number of backups.

    A partial backup counts when the full one it builds on can be gone back to, or when its author chose
    another instant than a full's.

    :param backups: the vault's backups, newest first
    :param accounts: accounts to tell of even when they have no backup
    :return: the accounts, sorted
    """
    found: dict[AccountName, _Account[B]] = {name: _Account(name) for name in accounts}
    for backup in backups:
        if not backup.tombstoned:
            name = AccountName(backup.path.service, backup.path.account)
            found.setdefault(name, _Account(name)).see(backup)
    return [found[name].status() for name in sorted(found)]


def judge(accounts: Iterable[AccountStatus[B]], promise: Promise, now: datetime) -> Iterator[Finding]:
    """Say what is not as it was promised.

    The codes: ``empty`` (no backup of anybody, and nobody is expected: whoever looks at nothing must not
    hear that all is well), ``absent`` (no backup of an account), ``late``, ``unverified`` (the newest
    verified one is too old or missing), ``suspect``, ``damaged`` and ``incomplete`` (the newest backup is, or the
    full that it builds on). The path of a finding is the account.

    :param accounts: what was found, see :func:`survey`
    :param promise: what was promised
    :param now: what the time is
    :return: the findings, account by account
    """
    nobody = True
    for status in accounts:
        nobody = False
        yield from _judge_account(status, promise, now)
    if nobody:
        yield Finding("empty", "", "There is no backup at all. Check the vault's URL and the filters.")


def _judge_account(status: AccountStatus[B], promise: Promise, now: datetime) -> Iterator[Finding]:
    where = str(status.name)
    last = status.last
    if last is None:
        yield Finding("absent", where, f"{where} has no backup in this vault, though one is expected.")
        return
    if promise.rpo is not None:
        yield from _judge_age("late", "whole", status.newest, promise.rpo, where, now)
    if promise.verified_rpo is not None:
        yield from _judge_age("unverified", "verified", status.verified, promise.verified_rpo, where, now)
    if last.state in _DOUBTFUL:
        text = f"{where}: the newest backup {last.backup_id} is {last.state}."
        yield Finding(last.state, where, " ".join((text, *last.flaws)))
    elif status.groundless:
        yield Finding(
            "damaged",
            where,
            f"{where}: the newest backup {last.backup_id} holds changes only: {status.groundless}.",
        )


def _judge_age(
    code: str, noun: str, backup: Restorable | None, allowed: timedelta, where: str, now: datetime
) -> Iterator[Finding]:
    if backup is None:
        yield Finding(code, where, f"{where} has no {noun} backup; one every {_hours(allowed)} is promised.")
    elif now - backup.instant > allowed:
        age = _hours(now - backup.instant)
        yield Finding(
            code,
            where,
            f"{where}: the last {noun} backup {backup.backup_id} is {age} old; one every {_hours(allowed)} is "
            "promised.",
        )


_DOUBTFUL = ("suspect", "damaged", "incomplete")


def _hours(duration: timedelta) -> str:
    minutes = int(duration.total_seconds()) // 60
    if minutes < 120:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h" if hours < 72 else f"{hours // 24} d"


@dataclass(slots=True)
class _Account(Generic[B]):
    """One account while its backups pass, newest first."""

    name: AccountName
    newest: B | None = None
    verified: B | None = None
    oldest: B | None = None
    last: B | None = None
    number: int = 0
    stored_size: int = 0
    groundless: str = ""
    #: Partial backups by the full one they build on, until that one comes.
    waiting: dict[str, list[B]] = field(default_factory=dict)

    def see(self, backup: B) -> None:
        self.number += 1
        self.stored_size += backup.stored_size
        if backup.in_future:
            return
        self.last = self.last or backup
        if not backup.reliable:
            if self.last.base == backup.backup_id:
                self.groundless = f"its full {backup.backup_id} is {backup.state}"
            return
        if backup.base is not None:
            self.waiting.setdefault(backup.base, []).append(backup)
            return
        for restorable in (*self.waiting.pop(backup.backup_id, ()), backup):
            self._count(restorable)

    def _count(self, backup: B) -> None:
        if self.newest is None or backup.instant > self.newest.instant:
            self.newest = backup
        if self.oldest is None or backup.instant < self.oldest.instant:
            self.oldest = backup
        if (self.verified is None or backup.instant > self.verified.instant) and backup.verified:
            self.verified = backup

    def status(self) -> AccountStatus[B]:
        base = None if self.last is None else self.last.base
        groundless = self.groundless or (f"its full {base} is gone or has expired" if base in self.waiting else "")
        return AccountStatus(
            self.name,
            self.newest,
            self.verified,
            self.oldest,
            self.last,
            self.number,
            self.stored_size,
            groundless,
        )
