"""Plans of retention that spare what the bucket itself keeps: backups under a lock or a legal hold.

A delete would hide such a backup and free nothing, and nobody would see it any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from airflow_provider_xbackup.vault.ahead import read_ahead
from airflow_provider_xbackup.vault.catalog import Group
from airflow_provider_xbackup.vault.entries import Entry
from airflow_provider_xbackup.vault.errors import ObjectMissingError, StoreUnavailableError, VaultError
from airflow_provider_xbackup.vault.objectlocks import ObjectLocks
from airflow_provider_xbackup.vault.plan import RetentionPlan, plan
from airflow_provider_xbackup.vault.retention import RetentionPolicy

_WORKERS = 4


def plan_sparing(
    locks: ObjectLocks | None,
    policy: RetentionPolicy,
    group: Group,
    entries: Iterable[Entry],
    *,
    now: datetime,
    grace: timedelta,
    override: Collection[str],
) -> RetentionPlan:
    """Plan as :func:`~.plan.plan` does, and keep what is locked. Where locks go unseen, the plan is refused.

    Only the backups that would expire or go are asked about, by their manifests.

    :param locks: the locks of the vault's bucket; None where a store has no such thing
    :param policy: the policy
    :param group: the group
    :param entries: all its backups
    :param now: what the time is
    :param grace: how long an expired backup can still be brought back
    :param override: the names of refusals to go over
    :return: the plan
    :raises StoreUnavailableError: when the store does not answer
    """
    known = {entry.path: entry for entry in entries}
    asked: set[Entry] = set()
    unseen = False
    while True:
        decided = plan(policy, group, known.values(), now=now, grace=grace, override=override, locks_unseen=unseen)
        unasked = {*decided.expire, *decided.remove} - asked
        if locks is None or unseen or not unasked:
            return decided
        try:
            if not locks.enabled():
                return decided
            for entry, reason in read_ahead(lambda entry: _retained(locks, entry, now), tuple(unasked), _WORKERS):
                known[entry.path] = replace(entry, retained=reason)
                asked.add(known[entry.path])
        except StoreUnavailableError:
            raise
        except VaultError:  # a delete would hide what is locked: nobody expires by guessing
            unseen = True


def _retained(locks: ObjectLocks, entry: Entry, now: datetime) -> str:
    """Say why the bucket keeps a backup; an empty text where it does not."""
    try:
        found = locks.look(entry.path.manifest)
    except ObjectMissingError:  # removed meanwhile
        return ""
    if found.until is not None and found.until > now:
        return f"locked until {found.until:%Y-%m-%d %H:%M} UTC"
    return "under a legal hold of the bucket" if found.legal_hold else ""
