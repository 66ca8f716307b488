"""Partial backups and the full one they build on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from airflow_provider_xbackup.vault.catalog import Backup
from airflow_provider_xbackup.vault.checks import is_refuted
from airflow_provider_xbackup.vault.manifest import Scope
from airflow_provider_xbackup.vault.store import Store


def newest_reliable_full(backups: Iterable[Backup], scope: Scope) -> Backup | None:
    """Choose the newest full backup that can be relied on: what others are compared with and built on.

    It is :attr:`~.catalog.Backup.reliable`: not incomplete, expired, dated in the future, or suspect.

    :param backups: the account's backups, newest first
    :param scope: what it has to hold, exactly
    :return: the backup, or None where there is none
    """
    return next(_reliable_fulls(backups, scope), None)


def find_base(
    backups: Iterable[Backup], scope: Scope, *, store: Store, now: datetime, full_every: timedelta
) -> Backup | None:
    """Choose the full backup that the next partial one builds on.

    A base is the newest full of the same scope that can be relied on, as :func:`newest_reliable_full` has it,
    and is whole as far as it is known: all its files are there, and its newest check did not fail. A chain is
    never longer than one full and one partial.

    :param backups: the account's backups as they were listed, newest first
    :param scope: the scope of the next backup
    :param store: the vault's objects
    :param now: the instant of the next backup
    :param full_every: the age at which a full is too old to build on
    :return: the base, or None when a full is due
    :raises VaultError: when the store does not answer
    """
    fulls = _reliable_fulls(backups, scope)
    base = next((full for full in fulls if _has_all_files(full) and not is_refuted(store, full)), None)
    return base if base is not None and now - base.manifest.requested_at < full_every else None


def _reliable_fulls(backups: Iterable[Backup], scope: Scope) -> Iterator[Backup]:
    for backup in backups:
        if backup.manifest.kind == "full" and backup.manifest.scope == scope and backup.reliable:
            yield backup


def _has_all_files(backup: Backup) -> bool:
    return all(artifact.name in backup.names for artifact in backup.manifest.artifacts)
