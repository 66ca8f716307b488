"""How often a job is asked about, as numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_xbackup.tasks.pace import SHORTEST, pause, spread

HOUR = 3600.0


@pytest.mark.parametrize(
    ("age", "progress", "expected"),
    [
        pytest.param(0, None, 2, id="a job that has just begun"),
        pytest.param(0, 0.0, 2, id="a job that has just begun and says so"),
        pytest.param(100, None, 5, id="a twentieth of the age where nothing is known"),
        pytest.param(HOUR, None, 180, id="the same of a long job"),
        pytest.param(HOUR, 0.0, 360, id="a tenth where nothing is done yet"),
        pytest.param(HOUR, 0.1, 360, id="a tenth while the most is left"),
        pytest.param(HOUR, 0.9, 100, id="a quarter of what is left near the end"),
        pytest.param(HOUR, 1.0, 10.8, id="a small share where all is done but the job is not"),
        pytest.param(10 * HOUR, 0.5, 600, id="never longer than the user says"),
    ],
)
def test_the_pause_follows_age_and_progress(age: float, progress: float | None, expected: float):
    assert pause(age, progress, longest=600.0) == pytest.approx(expected)


def test_an_interval_below_the_shortest_pause_is_kept():
    assert pause(0.0, None, longest=0.5) == 0.5


AGES = st.floats(0, 1e7)
SHARES = st.none() | st.floats(0, 1)
INTERVALS = st.floats(0.001, 1e5)


@given(AGES, SHARES, INTERVALS)
def test_no_pause_is_longer_than_the_interval_or_a_tenth_of_the_age(
    age: float, share: float | None, longest: float
):
    assert 0 < pause(age, share, longest) <= min(longest, max(SHORTEST, age / 10 * 1.0001))


def questions(takes: float, longest: float, *, told: bool) -> tuple[int, float]:
    """Return how often a job is asked about until it is seen to be done, and how late that is."""
    age, count = 0.0, 0
    while age < takes:
        age += pause(age, age / takes if told else None, longest)
        count += 1
    return count, age - takes


@pytest.mark.parametrize("told", [True, False], ids=["progress", "no progress"])
@pytest.mark.parametrize("takes", [10.0, 60.0, HOUR, 6 * HOUR])
def test_a_job_is_seen_to_be_done_at_most_a_tenth_late_by_few_questions(takes: float, told: bool):
    count, late = questions(takes, HOUR, told=told)

    assert late <= max(SHORTEST, takes / 10)
    assert count <= 170


def test_progress_brings_the_end_closer():
    assert questions(HOUR, HOUR, told=True)[1] < questions(HOUR, HOUR, told=False)[1]


@given(INTERVALS)
def test_many_do_not_ask_at_the_same_instant_and_none_later(seconds: float):
    assert {0.8 * seconds <= spread(seconds) <= seconds for _ in range(10)} == {True}
    assert len({spread(seconds) for _ in range(10)}) > 1
