"""A backup as retention sees it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from sys import intern

from airflow_provider_xbackup.vault import layout
from airflow_provider_xbackup.vault.catalog import Backup
from airflow_provider_xbackup.vault.layout import BackupPath
from airflow_provider_xbackup.vault.standing import Standing

#: What is wrong is told in a plan so far; `xbackup show` tells all of it.
_LONGEST_FLAW = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """One backup as retention sees it: small, so that a hundred thousand of them fit into memory.

    :param path: its folder
    :param standing: what it is. Only whole ones are candidates: they count, and they can expire.
    :param base: the id of the full that it builds on
    :param run: what names the task that made it; None where no task did
    :param size: bytes as stored
    :param held: whether a hold on it is in force
    :param verified: whether it is verified; where it has expired, whether it would be if it came back
    :param expired_at: when it expired; None where it has not, or where that cannot be read
    :param suspect: whether it is in doubt, also where it is dated in the future
    :param flaw: what is wrong with it, in a sentence or more; empty where nothing is
    :param returned: where it has expired, what it would be if it came back
    :param retained: why its bucket keeps it from being destroyed, in short words. It is asked about only where it
        would expire or go.
    """

    path: BackupPath
    standing: Standing = Standing.WHOLE
    base: str | None = None
    run: str | None = None
    size: int = 0
    held: bool = False
    verified: bool = False
    expired_at: datetime | None = None
    suspect: bool = False
    flaw: str = ""
    returned: Standing = Standing.WHOLE
    retained: str = ""

    @property
    def stays(self) -> bool:
        """Whether something outside the rules keeps it: a hold, or its bucket."""
        return self.held or bool(self.retained)

    @classmethod
    def of(cls, backup: Backup, *, held: bool = False, expired_at: datetime | None = None) -> Entry:
        """Take what matters from a backup."""
        verdict, returned = backup.verdict, backup.without_tombstone.verdict
        manifest, producer = backup.manifest, backup.manifest.producer
        run = None
        if producer.dag_id and producer.run_id and producer.task_id:
            index = -1 if producer.map_index is None else producer.map_index
            names = (producer.dag_id, producer.run_id, producer.task_id, str(index), manifest.kind)
            run = intern("\0".join(names))
        return cls(
            backup.path,
            verdict.standing,
            manifest.base,
            run,
            manifest.stored_size,
            held,
            returned.verified,
            expired_at,
            verdict.suspect,
            " ".join(verdict.flaws)[:_LONGEST_FLAW],
            returned.standing,
        )

    @property
    def backup_id(self) -> str:
        """The id."""
        return self.path.backup_id

    @property
    def instant(self) -> datetime:
        """When it was taken."""
        return layout.parse_backup_id(self.backup_id).instant

    @property
    def full(self) -> bool:
        """Whether it stands alone."""
        return layout.parse_backup_id(self.backup_id).kind == "full"
