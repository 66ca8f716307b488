"""Vaults for the page, written as the package writes them, with backups of any age."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.catalog import Backup
from airflow_provider_xbackup.vault.checks import Check, append_check
from airflow_provider_xbackup.vault.layout import make_backup_id
from airflow_provider_xbackup.vault.records import Hold, Tombstone

EVIL = '<img onerror="alert(1)" src=x>'
PRODUCER = {
    "package_version": "0.1.0",
    "airflow_version": "3.3.2",
    "dag_id": "nightly_backups",
    "task_id": "store",
    "map_index": -1,
    "try_number": 1,
}
NIGHTLY = tuple(range(29, -1, -1))


class SampleVault:
    """Fills a vault.

    :param vault: the vault
    :param now: what the time is
    """

    def __init__(self, vault: Vault, now: datetime | None = None) -> None:
        self.vault = vault
        self.now = (now or datetime.now(UTC)).replace(microsecond=0)

    def add(
        self,
        name: str,
        days: float,
        *,
        kind: str = "full",
        base: str | None = None,
        size: int = 1000,
        entities: Mapping[str, int] | None = None,
        state: str = "ok",
        reasons: Sequence[str] = (),
        check: str | None = "passed",
        recipients: Sequence[str] = (),
    ) -> Backup:
        """Store a backup so many days old, and the record of its check."""
        service, account = name.split("/", 1)
        instant = self.now - timedelta(days=days)
        digits = hashlib.sha256(f"{name}{instant}{kind}".encode()).hexdigest()[:8]
        draft = self.vault.draft(service, account, make_backup_id(instant, kind, digits))  # type: ignore[arg-type]
        role = "backup" if service == "xray" else "bot"
        draft.add(role, [b"x" * size], media_type="application/zip", recipients=recipients)
        backup = draft.commit(
            requested_at=instant,
            completed_at=instant + timedelta(minutes=7),
            base=base,
            entities=entities,
            condition={"state": state, "reasons": tuple(reasons)},
            producer={**PRODUCER, "run_id": f"scheduled__{instant.isoformat()}"},
            remote={"host": "xray.cloud.getxray.app", "job_id": digits * 4},
        )
        if check is not None:
            self.check(backup, passed=check == "passed", code=check)
        return backup

    def check(self, backup: Backup, *, passed: bool = True, code: str = "wrong-digest") -> None:
        """Record a check."""
        finding = {"code": code, "text": "The stored bytes are not those of the manifest.", "kind": "error"}
        checked = Check.model_validate(
            {
                "at": self.now - timedelta(minutes=3),
                "vault": str(backup.url.without_connection),
                "level": "digest",
                "reached": "digest",
                "passed": passed,
                "findings": [] if passed else [finding],
                "objects": 1,
                "bytes": backup.manifest.stored_size,
                "producer": {"package_version": "0.1.0"},
            }
        )
        append_check(self.vault.store, backup.path, checked)

    def history(self, name: str, days: Sequence[float] = NIGHTLY, **fields: Any) -> list[Backup]:
        """Store full backups that grow a little, the oldest first."""
        return [
            self.add(
                name,
                day,
                size=90_000 + 900 * number + (number * 7919) % 1500,
                entities={"tests": 1900 + 11 * number, "test sets": 60 + number // 3},
                **fields,
            )
            for number, day in enumerate(days)
        ]

    def hold(self, backup: Backup) -> None:
        """Hold a backup."""
        hold = Hold(who="dora@example.com", why="before the migration", at=self.now)
        self.vault.store.put(backup.path.hold, hold.to_json(), media_type="application/json")

    def expire(self, backup: Backup) -> None:
        """Put a tombstone on a backup."""
        stone = Tombstone(at=self.now - timedelta(hours=5), why="no rule keeps it")
        self.vault.store.create(backup.path.tombstone, stone.to_json())


def fill_with_everything(sample: SampleVault) -> None:
    """Make an account of every condition, and one with a name that is no markup."""
    third = 1 / 3
    sample.hold(sample.history("xray/acme", [day + third for day in NIGHTLY])[2])
    sample.history("xenioo/welcome", [day + 0.1 for day in NIGHTLY])
    for day in [day for day in NIGHTLY if day < 17]:
        if day % 7 == 2:
            (full,) = sample.history("xray/globex", [day + third])
        else:
            size, base = 2500 + 90 * day, full.backup_id
            sample.add("xray/globex", day + third, kind="partial", base=base, size=size, entities={"tests": 12})
    sample.history("xray/initech", [day + third for day in NIGHTLY if day >= 4])
    sample.history("xenioo/support", [day + 0.2 for day in NIGHTLY if day != 9], check=None)
    fine = sample.history("xray/umbrella", [day + 0.4 for day in NIGHTLY])
    sample.check(fine[-1], passed=False)
    good = sample.history("xray/hooli", [day + 0.3 for day in NIGHTLY if day])
    fell = ("size of the data file fell from 116,000 to 9,000", "tests fell from 2,277 to 140")
    sample.add(
        *("xray/hooli", 0.3),
        size=9000,
        entities={"tests": 140},
        state="suspect",
        reasons=[f"The {what}, against backup {good[-1].backup_id}." for what in fell],
        check=None,
    )
    sample.add("xenioo/blank", 0.2, size=60, entities={"steps": 0})
    sample.history(f"xenioo/{EVIL}", [0.25])
