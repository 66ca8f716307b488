"""What a policy keeps of one group: restic's rules, answered by restic itself and by what they say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.vault.retention import COUNTS, DURATIONS, Duration, RetentionPolicy, select

NOW = datetime(2026, 11, 23, tzinfo=UTC)
#: Answered by restic's own policy code. Regenerating them is nobody's business here: they are the judge.
VECTORS = (Path(__file__).parent / "retention_vectors.jsonl").read_text().splitlines()


def days(*numbers: float) -> list[datetime]:
    """So many days before now, at noon."""
    return [NOW - timedelta(days=number) + timedelta(hours=12) for number in numbers]


def kept(policy: dict[str, Any], times: list[datetime], now: datetime = NOW) -> list[int]:
    return [index for index, _ in select(RetentionPolicy(**{"timezone": None, **policy}), times, now)]


def test_all_300_answers_of_restic_are_here() -> None:
    assert len(VECTORS) == 300


@pytest.mark.parametrize("line", [pytest.param(line, id=f"case {n}") for n, line in enumerate(VECTORS, 1)])
def test_it_keeps_what_restic_keeps_for_restics_reasons(line: str) -> None:
    case = json.loads(line)
    policy = RetentionPolicy(**case["policy"], timezone=None)
    times = [datetime.fromisoformat(time) for time in case["times"]]

    assert select(policy, times, NOW) == list(zip(case["keep"], case["reasons"], strict=True))


# -- rules that are easily got wrong -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "times", "expected"),
    [
        pytest.param({"keep_last": 3}, [], [], id="nothing is kept of nothing"),
        pytest.param({}, days(1, 2), [], id="no rule keeps nothing"),
        pytest.param({"keep_last": 2}, days(3, 1, 2), [1, 2], id="the newest first, whatever the order given"),
        pytest.param({"keep_last": 2}, days(1, 1, 1), [0, 1], id="ties keep the order given"),
        pytest.param({"keep_daily": 2}, days(1, 1.1, 2, 2.1, 9), [0, 2], id="the newest of each day"),
        pytest.param({"keep_daily": 2}, days(1, 8, 9), [0, 1], id="days without a backup use up no count"),
        pytest.param({"keep_daily": 3}, days(1, 1.1, 1.2), [0, 2], id="the oldest uses up what is left"),
        pytest.param({"keep_daily": -1}, days(1, 1.1, 2, 9, 9.1), [0, 2, 3, 4], id="-1 keeps every day"),
        pytest.param({"keep_last": 1, "keep_daily": 2}, days(1, 1.1, 2), [0, 2], id="rules overlap"),
        pytest.param({"keep_within": "7d"}, days(1, 7.5, 8, 8.5), [0, 1], id="within is strictly after"),
        pytest.param({"keep_within": "2d"}, days(100, 101, 103), [0, 1], id="within counts from the newest"),
        pytest.param({"keep_within": "2d"}, days(-5, 1, 2, 3, 4), [0, 1, 2], id="and not from one in the future"),
        pytest.param({"keep_within": "1h"}, days(-5, -9), [1, 0], id="without a past all is within"),
        pytest.param({"keep_within": "9999y"}, days(1, 20000), [0, 1], id="further back than the calendar"),
        pytest.param({"keep_within": "0d"}, days(1), [], id="a length of nothing is no rule"),
        pytest.param(
            {"keep_weekly": 2},
            [datetime(*day, tzinfo=UTC) for day in ((2021, 1, 4), (2021, 1, 3), (2020, 12, 28), (2020, 12, 27))],
            [0, 1],
            id="the last days of December and the first of January are one ISO week",
        ),
    ],
)  # fmt: skip
def test_a_policy_keeps(policy: dict[str, Any], times: list[datetime], expected: list[int]) -> None:
    assert kept(policy, times) == expected


@pytest.mark.parametrize(
    ("duration", "instant", "expected"),
    [
        pytest.param("1m", "2026-03-31T10:00:00+00:00", "2026-03-03T10:00:00+00:00", id="31 February runs over"),
        pytest.param("1m", "2024-03-31T10:00:00+00:00", "2024-03-02T10:00:00+00:00", id="in a leap year by less"),
        pytest.param("1y", "2024-02-29T10:00:00+00:00", "2023-03-01T10:00:00+00:00", id="29 February last year"),
        pytest.param(
            "1m1d", "2026-03-31T10:00:00+00:00", "2026-03-02T10:00:00+00:00", id="days are taken off too"
        ),
        pytest.param("14m", "2026-01-15T10:00:00+00:00", "2024-11-15T10:00:00+00:00", id="more than a year"),
        pytest.param("25h", "2026-01-01T00:00:00+00:00", "2025-12-30T23:00:00+00:00", id="hours"),
        pytest.param("1m", "2026-03-31T00:30:00+05:30", "2026-03-03T00:30:00+05:30", id="in its own offset"),
    ],
)
def test_a_duration_is_taken_off_the_calendar(duration: str, instant: str, expected: str) -> None:
    assert Duration.parse(duration).before(datetime.fromisoformat(instant)) == datetime.fromisoformat(expected)


def test_hours_are_hours_even_when_the_clocks_change() -> None:
    from zoneinfo import ZoneInfo

    noon = datetime(2026, 3, 29, 12, tzinfo=ZoneInfo("Europe/Berlin"))  # the clocks went forward that night

    assert Duration.parse("24h").before(noon) == noon.astimezone(UTC) - timedelta(hours=24)
    assert Duration.parse("1d").before(noon) == datetime(2026, 3, 28, 11, tzinfo=UTC)


def test_days_begin_in_the_policys_time_zone() -> None:
    evening = [datetime(2026, 11, 20, 23, 30, tzinfo=UTC), datetime(2026, 11, 20, 22, 30, tzinfo=UTC)]

    assert kept({"keep_daily": 1, "keep_last": 0, "timezone": "UTC"}, [*evening, *days(9)]) == [0]
    assert kept({"keep_daily": 2, "timezone": "UTC"}, [*evening, *days(9)]) == [0, 2]
    assert kept({"keep_daily": 2, "timezone": "Europe/Berlin"}, [*evening, *days(9)]) == [0, 1]


def test_without_a_time_zone_the_offset_of_each_time_counts() -> None:
    kolkata = timezone(timedelta(hours=5, minutes=30))
    times = [
        datetime(2026, 11, 20, 20, tzinfo=UTC),
        datetime(2026, 11, 20, 19, 30, tzinfo=UTC).astimezone(kolkata),
    ]

    assert kept({"keep_daily": 2}, [*times, *days(9)]) == [0, 1]
    assert kept({"keep_daily": 2, "timezone": "UTC"}, [*times, *days(9)]) == [0, 2]


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="no time zone"):
        select(RetentionPolicy(keep_last=1), [datetime(2026, 1, 1)], NOW)  # noqa: DTZ001


# -- policies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        pytest.param({"keep_last": -2}, "keep_last", id="a negative count"),
        pytest.param({"keep_daily": 1.5}, "keep_daily", id="a broken count"),
        pytest.param({"keep_daily": True}, "keep_daily", id="a switch for a count"),
        pytest.param({"keep_within": "7"}, "keep_within", id="a duration without a unit"),
        pytest.param({"keep_within_daily": "-7d"}, "keep_within_daily", id="a negative duration"),
        pytest.param({"keep_within": "7d7d"}, "each once", id="a unit twice"),
        pytest.param({"keep_within": ""}, "keep_within", id="an empty duration"),
        pytest.param({"keep_within": 7}, "keep_within", id="a number for a duration"),
        pytest.param({"timezone": "Mars/Olympus"}, "Mars/Olympus", id="an unknown time zone"),
        pytest.param({"timezone": "../etc/passwd"}, "timezone", id="a path for a time zone"),
        pytest.param({"min_verified": -1}, "min_verified", id="fewer than no verified backups"),
        pytest.param({"max_delete_fraction": 1.1}, "max_delete_fraction", id="more than all"),
        pytest.param({"max_delete_fraction": "half"}, "max_delete_fraction", id="a word for a fraction"),
        pytest.param({"keep_forever": 1}, "keep_forever", id="an unknown field"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, Any], word: str) -> None:
    with pytest.raises(InvalidArgumentError, match=word):
        RetentionPolicy.of(fields)


def test_a_policy_is_read_from_a_dict_and_taken_as_it_is() -> None:
    policy = RetentionPolicy.of({"keep_last": 3, "keep_within": "1y2m3d4h", "timezone": None})

    assert policy == RetentionPolicy(keep_last=3, keep_within="1y2m3d4h", timezone=None)
    assert RetentionPolicy.of(policy) is policy


@pytest.mark.parametrize(
    ("fields", "empty"),
    [({}, True), ({"keep_last": 0, "keep_within": "0h"}, True), ({"keep_yearly": -1}, False),
     ({"keep_within_hourly": "1h"}, False)],
)  # fmt: skip
def test_a_policy_knows_whether_it_keeps_anything(fields: dict[str, Any], empty: bool) -> None:
    assert RetentionPolicy(**fields).is_empty is empty


def test_durations_are_told_in_one_form() -> None:
    assert [str(Duration.parse(text)) for text in ("4h3d2m1y", " 0y7d ", "36h")] == ["1y2m3d4h", "7d", "36h"]


# -- laws --------------------------------------------------------------------------------------------------

instants = st.datetimes(datetime(2019, 1, 1), datetime(2027, 6, 1)).map(lambda time: time.replace(tzinfo=UTC))  # noqa: DTZ001
histories = st.lists(instants, max_size=30)
counted = st.fixed_dictionaries({}, optional={name: st.integers(-1, 6) for name in COUNTS})
reaching = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(["1h", "36h", "7d", "1m", "1m14d", "1y1m"]) for name in DURATIONS}
)


@given(histories, counted, reaching)
def test_applying_it_twice_changes_nothing(times, counts, durations) -> None:
    policy = counts | durations
    first = [times[index] for index in kept(policy, times)]

    assert [first[index] for index in kept(policy, first)] == first


@given(histories, counted, st.sampled_from(COUNTS))
def test_a_higher_count_drops_nothing_that_was_kept(times, counts, name) -> None:
    more = counts | {name: -1 if counts.get(name, 0) == -1 else counts.get(name, 0) + 1}

    assert set(kept(counts, times)) <= set(kept(more, times))


@given(histories.filter(bool), counted, reaching)
def test_the_newest_is_always_kept(times, counts, durations) -> None:
    policy = counts | durations
    if not RetentionPolicy(**policy).is_empty:
        found = kept(policy, times)
        assert times[found[0]] == max(times)


@given(histories, st.fixed_dictionaries({name: st.integers(0, 6) for name in COUNTS}))
def test_no_more_are_kept_than_the_counts_add_up_to(times, counts) -> None:
    assert len(kept(counts, times)) <= sum(counts.values())


@given(histories, counted, reaching)
def test_every_kept_one_has_a_reason_and_is_told_newest_first(times, counts, durations) -> None:
    found = select(RetentionPolicy(**counts, **durations), times, NOW)

    assert all(reasons for _, reasons in found)
    assert [times[index] for index, _ in found] == sorted((times[index] for index, _ in found), reverse=True)
