"""What is shown of an account's past and future: marks, lines and the day on which a backup goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_xbackup.vault.catalog import Group
from airflow_provider_xbackup.vault.entries import Entry
from airflow_provider_xbackup.vault.forecast import forecast, rhythm
from airflow_provider_xbackup.vault.history import line, strip
from airflow_provider_xbackup.vault.layout import BackupPath, make_backup_id
from airflow_provider_xbackup.vault.manifest import Scope
from airflow_provider_xbackup.vault.overview import Seen
from airflow_provider_xbackup.vault.retention import RetentionPolicy
from airflow_provider_xbackup.vault.standing import Standing

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
GROUP = Group("xray", "acme", Scope())


def seen(days: float, kind: Any = "full", **fields: Any) -> Seen:
    path = BackupPath("xray", "acme", make_backup_id(NOW - timedelta(days=days), kind, "1a2b3c4d"))
    standing = Standing.EXPIRED if fields.get("state") == "expired" else Standing.WHOLE
    given = {"state": "ok", "reliable": True, "verified": True, "group": GROUP, **fields}
    return Seen(Entry(path, standing, size=10), **given)


def marks(*backups: Seen, days: int = 4, **fields: Any) -> list[str]:
    newest_first = sorted(backups, key=lambda one: one.backup_id, reverse=True)
    return [day.mark.value for day in strip(newest_first, NOW, days=days, **fields)]


FAILED = {"reliable": False, "flaws": ("It is not what it was.",)}
KEEPS_LITTLE = RetentionPolicy(keep_last=1, keep_weekly=4)


@pytest.mark.parametrize(
    ("backups", "options", "shown"),
    [
        pytest.param([seen(2.1), seen(0.1)], {}, ["none", "full", "none", "full"], id="without a promise"),
        pytest.param([seen(1.1, "partial"), seen(0.1)], {}, ["none", "none", "partial", "full"], id="partials"),
        pytest.param([seen(0.1, **FAILED)], {}, ["none", "none", "none", "failed"], id="failed"),
        pytest.param([seen(0.1, **FAILED), seen(0.2)], {}, ["none", "none", "none", "full"], id="and done again"),
        pytest.param([seen(3.1)], {"rpo": DAY}, ["full", "overdue", "overdue", "overdue"], id="overdue"),
        pytest.param([seen(3.1)], {"rpo": 2 * DAY}, ["full", "none", "overdue", "overdue"], id="a longer promise"),
        pytest.param(
            [seen(1.1)], {"rpo": 2 * DAY}, ["none", "none", "full", "none"], id="before the first nothing"
        ),
        pytest.param(
            [seen(3.1, state="expired", reliable=False), seen(0.1)],
            {},
            ["full", "none", "none", "full"],
            id="an expired one was there",
        ),
        pytest.param(
            [seen(4.1), seen(1.1), seen(0.1)],
            {"rpo": DAY, "policy": KEEPS_LITTLE},
            ["none", "none", "full", "full"],
            id="what retention may have taken is not overdue",
        ),
        pytest.param(
            [seen(4.1), seen(1.1), seen(0.1)],
            {"rpo": DAY, "policy": RetentionPolicy(keep_daily=30)},
            ["overdue", "overdue", "full", "full"],
            id="what retention would have kept is",
        ),
    ],
)
def test_every_day_has_its_mark(backups: list[Seen], options: dict[str, Any], shown: list[str]):
    assert marks(*backups, **options) == shown


def test_a_line_marks_what_fell_against_the_last_that_counts():
    points = line(
        [
            seen(0, sizes={"size of the data file": 95}),
            seen(1, sizes={"size of the data file": 30}, state="suspect", reliable=False, flaws=("it fell",)),
            seen(2, sizes={"size of the data file": 100}, entities={"tests": 4}),
            seen(3, sizes={"size of the data file": 90}, entities={"tests": 9}),
        ]
    )

    assert [point.anomalies for point in points] == [(), ("tests fell from 9 to 4",), ("it fell",), ()]


def test_a_line_holds_fulls_of_one_scope_only():
    other = Group("xray", "acme", Scope(project_ids=("10000",)))

    points = line(
        [seen(0), seen(1, "partial"), seen(2, group=other), seen(3, state="expired", reliable=False), seen(4)]
    )

    assert [point.seen.instant for point in points] == [NOW - 4 * DAY, NOW]


def entries(*days: float) -> list[Entry]:
    return [seen(day).entry for day in days]


def test_the_rhythm_is_the_usual_gap():
    assert rhythm(entries(0, 1, 2, 3, 9)) == DAY
    assert rhythm(entries(0, 1)) is None


def test_the_forecast_is_what_retention_does_when_the_day_comes():
    policy = RetentionPolicy(keep_last=3, max_delete_fraction=1)

    going = list(forecast(policy, GROUP, entries(0, 1, 2), now=NOW))

    assert going == [
        (seen(2).backup_id, NOW + DAY),
        (seen(1).backup_id, NOW + 2 * DAY),
        (seen(0).backup_id, NOW + 3 * DAY),
    ]


def test_what_expires_today_comes_first_and_what_is_held_never():
    policy = RetentionPolicy(keep_last=2, max_delete_fraction=1)
    old, held = seen(4).entry, Entry(seen(5).path, held=True)

    going = list(forecast(policy, GROUP, [*entries(0, 1), old, held], now=NOW, steps=30))

    assert going[0] == (old.backup_id, NOW)
    assert held.backup_id not in dict(going)
