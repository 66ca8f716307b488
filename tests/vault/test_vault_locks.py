"""How long, and how hard, backups are locked: what may be written, and when a lock ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault import Vault
from airflow_provider_xbackup.vault.errors import UnlockableStoreError
from airflow_provider_xbackup.vault.locks import Lock, check_lockable
from airflow_provider_xbackup.vault.objectlocks import LockMode
from airflow_provider_xbackup.vault.url import VaultUrl

LEAP_DAY = datetime(2028, 2, 29, 12, 30, 15, 999_999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("lock_for", "end"),
    [
        pytest.param("90d", datetime(2028, 5, 29, 12, 30, 15, tzinfo=UTC), id="days"),
        pytest.param("36h", datetime(2028, 3, 2, 0, 30, 15, tzinfo=UTC), id="hours"),
        pytest.param("1y", datetime(2029, 3, 1, 12, 30, 15, tzinfo=UTC), id="a year from a leap day"),
        pytest.param("1m1d", datetime(2028, 3, 30, 12, 30, 15, tzinfo=UTC), id="a month and a day"),
        pytest.param("100y", datetime(2128, 2, 29, 12, 30, 15, tzinfo=UTC), id="the longest"),
        pytest.param(timedelta(days=90), datetime(2028, 5, 29, 12, 30, 15, tzinfo=UTC), id="a timedelta"),
    ],
)
def test_a_lock_ends_so_long_after_the_files_were_stored_in_whole_seconds(
    lock_for: str | timedelta, end: datetime
) -> None:
    lock = Lock.of(lock_for)

    assert lock is not None
    assert lock.end(LEAP_DAY) == end
    assert lock.mode is LockMode.GOVERNANCE


def test_no_lock_is_no_lock() -> None:
    assert Lock.of(None) is None
    assert Lock.of(None, "compliance") is None


@pytest.mark.parametrize(
    ("lock_for", "lock_mode", "says"),
    [
        pytest.param("90", "governance", "is no duration", id="no unit"),
        pytest.param("", "governance", "is no duration", id="empty"),
        pytest.param(90, "governance", "is no duration", id="a number"),
        pytest.param("0d", "governance", "longer than nothing", id="nothing"),
        pytest.param(timedelta(days=-1), "governance", "longer than nothing", id="negative"),
        pytest.param("101y", "compliance", "not longer than 100 years", id="longer than anybody lives"),
        pytest.param("99999999y", "compliance", "calendar ends", id="longer than the calendar"),
        pytest.param("90d", "GOVERNANCE", "'governance' or 'compliance'", id="capitals"),
        pytest.param(None, "hard", "'governance' or 'compliance'", id="another mode"),
    ],
)
def test_a_lock_that_cannot_be_meant_is_refused(lock_for: object, lock_mode: str, says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says):
        Lock.of(lock_for, lock_mode)  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["file:///srv/backups", "gs://bucket/p", "abfs://container/p"])
def test_only_s3_locks_and_who_knows_the_url_knows_it(url: str) -> None:
    with pytest.raises(UnlockableStoreError, match="only buckets on S3"):
        check_lockable(VaultUrl.parse(url), Lock.of("90d"))
    check_lockable(VaultUrl.parse(url), None)
    check_lockable(VaultUrl.parse("s3://bucket/p"), Lock.of("90d"))


def test_a_folder_is_not_made_for_a_lock_that_it_cannot_have(tmp_path: Path) -> None:
    with pytest.raises(UnlockableStoreError):
        Vault.open(tmp_path / "vault").draft("xray", "acme", "20261123T014500Z-full-1a2b3c4d", lock=Lock.of("90d"))

    assert not (tmp_path / "vault").exists()
