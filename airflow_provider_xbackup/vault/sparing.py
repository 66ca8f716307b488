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
from airflow_provider_xbackup.vault.store import Store

_WORKERS = 4


def locks_to_spare(store: Store) -> ObjectLocks | None:
    """Return the locks of a vault's bucket, where it has such and says so.

    :raises StoreUnavailableError: when the store does not answer
    """
    try:
        return store.locks if store.locks is not None and store.locks.enabled() else None
    except StoreUnavailableError:
        raise
    except VaultError:  # who may not ask finds out what he hides only afterwards
        return None


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
    """Plan as :func:`~.plan.plan` does, and keep what is locked.

    Only the backups that would expire or go are asked about, by their manifests: one request each.

    :param locks: the bucket's locks; None where it has none
    :param policy: the policy
    :param group: the group
    :param entries: all its backups
    :param now: what the time is
    :param grace: how long an expired backup can still be brought back
    :param override: the names of refusals to go over
    :return: the plan
    :raises VaultError: when the store does not answer
    """
    known = {entry.path: entry for entry in entries}
    asked: set[Entry] = set()
    while True:
        decided = plan(policy, group, known.values(), now=now, grace=grace, override=override)
        unasked = {*decided.expire, *decided.remove} - asked
        if locks is None or not unasked:
            return decided
        for entry, reason in read_ahead(lambda entry: _retained(locks, entry, now), tuple(unasked), _WORKERS):
            known[entry.path] = replace(entry, retained=reason)
            asked.add(known[entry.path])


def _retained(locks: ObjectLocks, entry: Entry, now: datetime) -> str:
    """Say why the bucket keeps a backup; an empty text where it does not."""
    try:
        found = locks.look(entry.path.manifest)
    except ObjectMissingError:  # removed meanwhile
        return ""
    if found.until is not None and found.until > now:
        return f"locked until {found.until:%Y-%m-%d %H:%M} UTC"
    return "under a legal hold of the bucket" if found.legal_hold else ""
