"""Partial backups and the full one they build on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from airflow_provider_xbackup.vault.catalog import Backup
from airflow_provider_xbackup.vault.manifest import Scope


def find_base(backups: Iterable[Backup], scope: Scope, *, now: datetime, full_every: timedelta) -> Backup | None:
    """Choose the full backup that the next partial one builds on.

    A base is the newest full of the same scope that can be relied on; a chain is never longer than one
    full and one partial.

    :param backups: the account's backups, newest first
    :param scope: the scope of the next backup
    :param now: the instant of the next backup
    :param full_every: the age at which a full is too old to build on
    :return: the base, or None when a full is due
    """
    for backup in backups:
        usable = backup.state in ("ok", "held", "accepted") and not backup.in_future
        if usable and backup.manifest.kind == "full" and backup.manifest.scope == scope:
            return backup if now - backup.manifest.requested_at < full_every else None
    return None
