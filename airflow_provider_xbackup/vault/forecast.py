"""When retention would let go of backups, if things go on as they do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.catalog import Group
from airflow_provider_xbackup.vault.entries import Entry
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.plan import plan
from airflow_provider_xbackup.vault.retention import RetentionPolicy
from airflow_provider_xbackup.vault.standing import Standing

#: Steps into the future; of a backup that is made every day four months.
STEPS = 120

_SHORTEST = timedelta(hours=1)


def rhythm(entries: Iterable[Entry]) -> timedelta | None:
    """Return the usual time between two whole backups; None where fewer than three tell.

    :param entries: backups of a group
    """
    instants = sorted(entry.instant for entry in entries if entry.standing is Standing.WHOLE)[-30:]
    if len(instants) < 3:
        return None
    gap = median((later - earlier).total_seconds() for earlier, later in pairwise(instants))
    return max(timedelta(seconds=gap), _SHORTEST)


def forecast(
    policy: RetentionPolicy, group: Group, entries: Sequence[Entry], *, now: datetime, steps: int = STEPS
) -> Iterator[tuple[str, datetime]]:
    """Tell which backups expire when, if whole fulls go on in the present rhythm and all holds stay.

    They are taken for verified where any is.

    What a plan of today expires comes first, with the present instant. Refusals for the number of backups are
    not foreseen. It goes as far as it is asked for: the first is cheap, all of them take a plan a step.

    :param policy: the policy
    :param group: the group
    :param entries: all its backups
    :param now: what the time is
    :param steps: how many backups are imagined
    :return: id and instant, the first to go first
    """
    every, verified = rhythm(entries), any(entry.verified for entry in entries)
    staying = {entry.backup_id for entry in entries if entry.standing is Standing.WHOLE}
    imagined: list[Entry] = []
    for step in range(1 if every is None else steps + 1):
        instant = now if every is None else now + step * every
        if step:
            backup_id = layout.make_backup_id(instant, "full", "00000000")
            imagined.append(Entry(BackupPath(group.service, group.account, backup_id), verified=verified))
        going = {entry.backup_id for entry in plan(policy, group, [*entries, *imagined], now=instant).expire}
        for backup_id in sorted(going & staying):
            yield backup_id, instant
        staying -= going
        if not staying:
            return
