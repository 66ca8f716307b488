"""Is this file the backup that was asked for? The rules, as pure functions of what was seen.

The file endpoints take no job id and serve the tenant's latest backup (``docs/vendor-apis.md#download``),
so a file can be an earlier one, another client's, or of other projects.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from airflow_provider_xbackup.services.instants import format_instant
from airflow_provider_xbackup.services.xray import RemoteFile
from airflow_provider_xbackup.services.xray_jobs import XrayBackupJob
from airflow_provider_xbackup.transfer.errors import (
    ClockError,
    ForeignFileError,
    StaleFileError,
    SupersededFileError,
)

CLOCK_TOLERANCE = timedelta(minutes=2)
"""Between the clocks of the service's own machines."""

CLOCK_LIMIT = timedelta(minutes=5)
"""Between the service's clock and ours: beyond it no age can be judged."""

LATE_FILE = timedelta(hours=1)
"""How long after its job a file may still be written."""

_RUN_AGAIN = (
    "Nothing was stored. Run the DAG again: a new run asks for a new backup, once the 6 hours since the last one "
    "are over. Until then, the creating task of this run, cleared, would find this same job."
)
_TWO_SCHEDULES = "Two schedules for one tenant replace each other's files."


def check_clock(theirs: datetime, ours: datetime) -> None:
    """Refuse to judge ages with a clock that is wrong.

    :param theirs: the service's ``Date``
    :param ours: this machine's instant
    :raises ClockError: when they differ by more than 5 minutes
    """
    gap = ours - theirs
    if abs(gap) > CLOCK_LIMIT:
        raise ClockError(
            f"This machine's clock is {_in_minutes(abs(gap))} {'ahead of' if gap > timedelta() else 'behind'} "
            "the service's, so the age of its file cannot be judged. Synchronise the worker's clock (NTP)."
        )


def check_fresh(remote: RemoteFile, job: XrayBackupJob, ours: datetime) -> None:
    """Tell the file of a job from an earlier and from a later one.

    With a ``Last-Modified`` it is ours when it was written between the request and one hour after the
    job's end; without, only when the download starts before another job can have finished. Where nobody
    saw the job run shortly before it was seen to be done, it may have ended long before: what was written when
    another job can have been granted is not taken for ours.

    :param remote: the file's headers
    :param job: the job, finished
    :param ours: when the download started
    :raises StaleFileError: for an earlier file
    :raises ForeignFileError: for a later one, or when nothing proves that it is ours
    """
    finished_at = job.finished_at or job.requested_at
    written = remote.last_modified
    if written is None:
        if ours > job.alone_until:
            raise ForeignFileError(
                f"The server does not say when its file was written, and job {job.job_id} {_end_of(job)}: another "
                "backup may have replaced it since.",
                _RUN_AGAIN,
            )
        return
    if written < job.requested_at - CLOCK_TOLERANCE:
        raise StaleFileError(
            f"The server's file was written at {format_instant(written)}, before job {job.job_id} was asked for "
            f"at {format_instant(job.requested_at)}: it is an earlier backup."
        )
    if written > finished_at + LATE_FILE + CLOCK_TOLERANCE:
        raise ForeignFileError(
            f"The server's file was written at {format_instant(written)}, long after the end of job {job.job_id}, "
            f"which {_end_of(job)}: a later backup of the tenant took its place, and the one asked for is gone.",
            f"{_RUN_AGAIN} {_TWO_SCHEDULES}",
        )
    if written > job.alone_until + CLOCK_TOLERANCE:
        raise ForeignFileError(
            f"Nobody saw when job {job.job_id} ended: it {_last_seen(job)} and was seen to be done at "
            f"{format_instant(finished_at)}. The server's file was written at {format_instant(written)}, when a "
            "later backup of the tenant can have been made already: nothing proves that the file is this job's.",
            f"{_RUN_AGAIN} Of a job that takes hours a file is stored when its sensor asks all along.",
        )


def check_not_superseded(seen: datetime | None, remote: RemoteFile) -> None:
    """Refuse a file that took the place of the job's own, however soon that was.

    :param seen: when the job's file was written, as it was seen before; None where it was not, or did not say
    :param remote: the headers of the file that is served now
    :raises SupersededFileError: when it was written later
    """
    if seen is not None and remote.last_modified is not None and remote.last_modified > seen:
        raise SupersededFileError(
            f"The job's file, written at {format_instant(seen)}, was replaced while it was being downloaded: the "
            f"one served now was written at {format_instant(remote.last_modified)}. A later backup of the tenant "
            "took its place, and the one asked for is gone.",
            f"{_RUN_AGAIN} {_TWO_SCHEDULES}",
        )


def _last_seen(job: XrayBackupJob) -> str:
    at = job.running_at or job.requested_at
    return f"{'was asked for' if at == job.requested_at else 'was last seen to run'} at {format_instant(at)}"


def _end_of(job: XrayBackupJob) -> str:
    finished_at = format_instant(job.finished_at or job.requested_at)
    if job.running_at is None:
        return f"finished at {finished_at}"
    return f"finished between {format_instant(job.running_at)} and {finished_at}"


def check_projects(found: frozenset[str], job: XrayBackupJob) -> None:
    """Refuse a data zip that holds projects nobody asked for.

    :param found: ids of the projects in the zip
    :param job: the job
    :raises ForeignFileError: when there are others than the job's
    """
    if job.project_ids is None:
        return
    others = sorted(found.difference(job.project_ids))
    if others:
        raise ForeignFileError(
            f"The server's file holds data of projects that job {job.job_id} did not ask for "
            f"({', '.join(others[:5])}{', …' if len(others) > 5 else ''}): it is the backup of another request.",
            _RUN_AGAIN,
        )


def check_counts(
    entities: Mapping[str, int] | None,
    live: Mapping[str, int],
    job: XrayBackupJob,
    unread: frozenset[str] = frozenset(),
) -> None:
    """Refuse a full with fewer than half the tests that the service counts right now.

    :param entities: counts in the zip, or None where they were not read
    :param live: the service's totals of the job's projects; empty where it did not answer
    :param job: the job
    :param unread: the types that could not be counted
    :raises ForeignFileError: when the zip holds far too little
    """
    if job.kind != "full" or entities is None or "tests" not in live or "tests" in unread:
        return
    stored = entities.get("tests", 0)
    if stored * 2 < live["tests"]:
        raise ForeignFileError(
            f"The server's file holds {stored} tests where Xray counts {live['tests']} right now: it is not the "
            f"full backup that job {job.job_id} asked for.",
            _RUN_AGAIN,
        )


def _in_minutes(gap: timedelta) -> str:
    minutes = round(gap.total_seconds() / 60)
    return f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} hours"
