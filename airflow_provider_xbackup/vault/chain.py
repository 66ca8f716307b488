"""Partial backups and the full one they build on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from airflow_provider_xbackup.vault.catalog import Backup
from airflow_provider_xbackup.vault.manifest import Scope


def newest_reliable_full(backups: Iterable[Backup], scope: Scope) -> Backup | None:
    """Choose the newest full backup that can be relied on: what others are compared with and built on.

    It is :attr:`~.catalog.Backup.reliable`: whole as far as it is known, neither suspect nor expired.

    :param backups: the account's backups as they were listed, newest first
    :param scope: what it has to hold, exactly
    :return: the backup, or None where there is none
    """
    fulls = (each for each in backups if each.manifest.kind == "full" and each.manifest.scope == scope)
    return next((full for full in fulls if full.reliable), None)


def find_base(backups: Iterable[Backup], scope: Scope, *, now: datetime, full_every: timedelta) -> Backup | None:
    """Choose the full backup that the next partial one builds on.

    A base is the newest full of the same scope that can be relied on, see :func:`newest_reliable_full`. A chain is
    never longer than one full and one partial.

    :param backups: the account's backups as they were listed, newest first
    :param scope: the scope of the next backup
    :param now: the instant of the next backup
    :param full_every: the age at which a full is too old to build on
    :return: the base, or None when a full is due
    :raises VaultError: when the store does not answer
    """
    base = newest_reliable_full(backups, scope)
    return base if base is not None and now - base.manifest.requested_at < full_every else None
