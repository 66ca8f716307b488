from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_xbackup.services.xray import RemoteFile
from airflow_provider_xbackup.services.xray_jobs import XrayBackupJob
from airflow_provider_xbackup.transfer.errors import ClockError, ForeignFileError, RefusedFileError, StaleFileError
from airflow_provider_xbackup.transfer.judge import (
    check_clock,
    check_counts,
    check_fresh,
    check_projects,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DONE = NOON + timedelta(minutes=30)


def job(**values: Any) -> XrayBackupJob:
    return XrayBackupJob(**{"job_id": "34a4", "requested_at": NOON, "kind": "full", "finished_at": DONE} | values)


def remote(last_modified: datetime | None) -> RemoteFile:
    return RemoteFile(100, None, last_modified, NOON, True, None)


@pytest.mark.parametrize(
    ("last_modified", "error"),
    [
        pytest.param(NOON, None, id="at the request"),
        pytest.param(DONE, None, id="at the end"),
        pytest.param(NOON - timedelta(minutes=2), None, id="within the tolerance before"),
        pytest.param(NOON - timedelta(minutes=2, seconds=1), StaleFileError, id="before"),
        pytest.param(DONE + timedelta(hours=1, minutes=2), None, id="within the tolerance after"),
        pytest.param(DONE + timedelta(hours=1, minutes=2, seconds=1), ForeignFileError, id="after"),
    ],
)
def test_a_file_is_the_jobs_own_by_the_instant_it_was_written(
    last_modified: datetime, error: type[Exception] | None
):
    if error is None:
        check_fresh(remote(last_modified), job(), DONE)
    else:
        with pytest.raises(error):
            check_fresh(remote(last_modified), job(), DONE)


@pytest.mark.parametrize(
    ("started", "ours"),
    [
        pytest.param(DONE, True, id="at once"),
        pytest.param(DONE + timedelta(hours=6), True, id="before another job can have ended"),
        pytest.param(DONE + timedelta(hours=6, seconds=1), False, id="later"),
    ],
)
def test_without_an_instant_only_a_download_within_the_cooldown_is_the_jobs_own(started: datetime, ours: bool):
    if ours:
        check_fresh(remote(None), job(), started)
    else:
        with pytest.raises(ForeignFileError, match="does not say when"):
            check_fresh(remote(None), job(), started)


LONG_AGO = job(finished_at=None).finished(NOON + timedelta(hours=11))
"""Nobody saw it run since it was asked for at noon; it was done when somebody looked at 23:00."""


@pytest.mark.parametrize(
    ("last_modified", "started", "ours"),
    [
        pytest.param(
            NOON + timedelta(hours=6, minutes=2), NOON + timedelta(hours=11), True, id="nobody else can have"
        ),
        pytest.param(
            NOON + timedelta(hours=6, minutes=3), NOON + timedelta(hours=11), False, id="somebody may have"
        ),
        pytest.param(None, NOON + timedelta(hours=6), True, id="no instant, nobody else can have"),
        pytest.param(None, NOON + timedelta(hours=6, seconds=1), False, id="no instant, somebody may have"),
    ],
)
def test_of_a_job_whose_end_nobody_saw_no_file_is_taken_that_another_can_have_made(
    last_modified: datetime | None, started: datetime, ours: bool
):
    if ours:
        check_fresh(remote(last_modified), LONG_AGO, started)
    else:
        with pytest.raises(ForeignFileError):
            check_fresh(remote(last_modified), LONG_AGO, started)


@pytest.mark.parametrize(
    ("last_modified", "ran_at", "words"),
    [
        pytest.param(
            NOON + timedelta(hours=7),
            None,
            "Nobody saw when job 34a4 ended: it was asked for at 2026-11-23T12:00:00Z and was seen to be done at "
            "2026-11-23T23:00:00Z. The server's file was written at 2026-11-23T19:00:00Z",
            id="nobody saw it run",
        ),
        pytest.param(
            NOON + timedelta(hours=9),
            NOON + timedelta(hours=2),
            "Nobody saw when job 34a4 ended: it was last seen to run at 2026-11-23T14:00:00Z and was seen to be "
            "done at 2026-11-23T23:00:00Z. The server's file was written at 2026-11-23T21:00:00Z",
            id="somebody saw it run long before",
        ),
        pytest.param(
            NOON + timedelta(hours=13),
            None,
            "long after the end of job 34a4, which finished between 2026-11-23T12:00:00Z and "
            "2026-11-23T23:00:00Z: a later backup of the tenant took its place",
            id="the file is later than any end",
        ),
        pytest.param(
            None,
            None,
            "does not say when its file was written, and job 34a4 finished between 2026-11-23T12:00:00Z and "
            "2026-11-23T23:00:00Z",
            id="no instant",
        ),
    ],
)
def test_of_a_job_whose_end_nobody_saw_the_refusal_says_what_is_known(
    last_modified: datetime | None, ran_at: datetime | None, words: str
):
    unseen = job(finished_at=None).finished(NOON + timedelta(hours=11), ran_at)

    with pytest.raises(ForeignFileError) as refused:
        check_fresh(remote(last_modified), unseen, NOON + timedelta(hours=13))

    assert words in str(refused.value)
    assert ("Two schedules" in str(refused.value)) == ("later backup of the tenant took" in words)


def test_a_job_that_was_seen_running_before_its_sensor_began_keeps_that():
    seen = job(finished_at=None).seen_running(NOON + timedelta(hours=5)).finished(NOON + timedelta(hours=11))

    assert seen.running_at == NOON + timedelta(hours=5)


def test_a_long_job_that_was_seen_running_until_it_was_done_is_taken():
    long = job(finished_at=None).finished(NOON + timedelta(hours=11), NOON + timedelta(hours=10, minutes=59))

    assert long.running_at is None
    check_fresh(remote(NOON + timedelta(hours=11)), long, NOON + timedelta(hours=11))


@pytest.mark.parametrize(
    ("gap", "good"),
    [(timedelta(minutes=5), True), (timedelta(minutes=-5), True), (timedelta(minutes=5, seconds=1), False)],
)
def test_ages_are_judged_with_a_good_clock_only(gap: timedelta, good: bool):
    if good:
        check_clock(NOON, NOON + gap)
    else:
        with pytest.raises(ClockError, match="ahead of"):
            check_clock(NOON, NOON + gap)


@pytest.mark.parametrize(
    ("asked", "found", "ours"),
    [
        pytest.param(None, {"1", "2"}, True, id="all were asked for"),
        pytest.param(("1", "2"), {"1", "2"}, True, id="those asked for"),
        pytest.param(("1", "2"), {"1"}, True, id="fewer"),
        pytest.param(("1", "2"), set(), True, id="none"),
        pytest.param(("1",), {"1", "2"}, False, id="more"),
        pytest.param(("1",), {"2"}, False, id="others"),
    ],
)
def test_a_zip_holds_no_projects_that_nobody_asked_for(asked: Any, found: set[str], ours: bool):
    if ours:
        check_projects(frozenset(found), job(project_ids=asked))
    else:
        with pytest.raises(ForeignFileError):
            check_projects(frozenset(found), job(project_ids=asked))


@pytest.mark.parametrize(
    ("stored", "live", "kind", "ours"),
    [
        pytest.param({"tests": 50}, {"tests": 100}, "full", True, id="half"),
        pytest.param({"tests": 49}, {"tests": 100}, "full", False, id="under half"),
        pytest.param({}, {"tests": 1}, "full", False, id="none"),
        pytest.param({}, {"tests": 0}, "full", True, id="an empty tenant"),
        pytest.param({}, {}, "full", True, id="no answer"),
        pytest.param({}, {"testSets": 9}, "full", True, id="no answer about tests"),
        pytest.param(None, {"tests": 100}, "full", True, id="content not read"),
        pytest.param({}, {"tests": 100}, "partial", True, id="a partial"),
        pytest.param({"tests": 300}, {"tests": 100}, "full", True, id="more than live"),
    ],
)
def test_a_full_holds_at_least_half_the_tests_there_are(stored: Any, live: Any, kind: Any, ours: bool):
    since = NOON if kind == "partial" else None
    if ours:
        check_counts(stored, live, job(kind=kind, modified_since=since))
    else:
        with pytest.raises(ForeignFileError):
            check_counts(stored, live, job(kind=kind, modified_since=since))


def test_tests_that_could_not_be_counted_are_not_judged():
    check_counts({}, {"tests": 100}, job(), unread=frozenset({"tests"}))


FINAL = [
    pytest.param(lambda: check_fresh(remote(None), job(), DONE + timedelta(days=1)), id="nothing proves it"),
    pytest.param(lambda: check_fresh(remote(DONE + timedelta(days=1)), job(), DONE), id="a later one"),
    pytest.param(
        lambda: check_fresh(remote(NOON + timedelta(hours=9)), LONG_AGO, NOON + timedelta(hours=11)),
        id="perhaps a later one",
    ),
    pytest.param(lambda: check_projects(frozenset({"9"}), job(project_ids=("1",))), id="other projects"),
    pytest.param(lambda: check_counts({}, {"tests": 9}, job()), id="too little"),
]


@pytest.mark.parametrize("judge", FINAL)
def test_whoever_has_a_foreign_file_is_told_to_run_the_dag_again(judge: Any):
    """Within the cooldown, a cleared task would find the very job whose file is gone."""
    with pytest.raises(ForeignFileError) as refused:
        judge()

    assert "Run the DAG again" in str(refused.value)
    assert "Clear the" not in str(refused.value)


@pytest.mark.parametrize("judge", FINAL)
def test_a_refusal_survives_pickling_with_its_finding_apart(judge: Any):
    with pytest.raises(RefusedFileError) as refused:
        judge()

    again = pickle.loads(pickle.dumps(refused.value))

    assert str(again) == str(refused.value)
    assert again.finding == refused.value.finding
    assert "Nothing was stored" not in again.finding
