"""Whatever comes over the wire is understood or refused; nothing makes a reader crash."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.http.message import Answer
from airflow_provider_xbackup.services import xenioo, xray, xray_jobs

NAMES = [
    "status", "progressValue", "jobId", "error", "message", "data", "errors", "tests", "total", "token", "Token",
    "expire", "Expires", "Result", "APIKey", "APISecret", "Channels", "Name",
]  # fmt: skip
WORDS = [
    "working", "successful", "10%", "once per hour", "invalid token", "\ud800", "\x00", "1" * 5000,
    "A backup can be created once every 6 hours, you can create a new one in: 5 hours",
    "in: 999999 hours", "eyJhbGciOiJIUzI1NiJ9.W10.x",
]  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(WORDS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
BODIES = (
    VALUES.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=200)
    | st.sampled_from([b"", b"<html>x</html>", b"[" * 20_000, b'{"error": ' * 20_000, b"\xff\xfe", b"1" * 5000])
)
HEADER_VALUES = st.text(max_size=30) | st.sampled_from(
    [
        "9" * 5000,
        "-1",
        "Fri, 31 Dec 9999 23:59:59 -1200",
        "Mon, 01 Jan 0001 00:00:00 +1400",
        "text/html",
        "gzip",
        "\u0661",
    ]
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "date",
            "retry-after",
            "content-length",
            "content-type",
            "content-encoding",
            "last-modified",
            "etag",
            "location",
        ]
    ),
    HEADER_VALUES,
)
ANSWERS = st.builds(
    Answer,
    st.sampled_from([200, 200, 200, 206, 301, 302, 400, 401, 403, 404, 410, 429, 500, 503])
    | st.integers(100, 999),
    HEADERS,
    BODIES,
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
READERS: dict[str, Callable[[Answer], Any]] = {
    "token": xray.read_token,
    "job": lambda answer: xray.read_job(answer, xray_jobs.XrayBackupRequest()),
    "status": lambda answer: xray.read_status(answer, "x"),
    "redirect": xray.read_redirect,
    "file": xray.read_file,
    "linked file": xray.read_linked_file,
    "counts": xray.read_counts,
    "bot token": xenioo.read_token,
    "bot backup": xenioo.read_backup,
    "restored bot": xenioo.read_restored,
    "bots": xenioo.read_bots,
}


@pytest.mark.parametrize("name", READERS)
@given(answer=ANSWERS)
def test_an_answer_is_understood_or_refused(name, answer):
    try:
        outcome = READERS[name](answer)
    except BackupError as error:
        outcome = error
    assert outcome is None or str(outcome)
    assert not isinstance(outcome, BackupError) or (str(outcome).isprintable() and len(str(outcome)) < 800)


@given(VALUES)
def test_any_value_is_a_job_or_refused(value):
    try:
        job = xray_jobs.XrayBackupJob.from_dict(value)
    except BackupError:
        return
    assert xray_jobs.XrayBackupJob.from_dict(job.to_dict()) == job


@given(
    st.fixed_dictionaries(
        {"job_id": SCALARS, "requested_at": SCALARS | st.just("2026-11-23T00:00:00Z")},
        optional={
            "kind": SCALARS | st.sampled_from(["full", "partial"]),
            "base": SCALARS,
            "project_ids": VALUES,
            "modified_since": SCALARS | st.just("2020-01-01T00:00:00Z"),
            "with_attachments": SCALARS,
            "finished_at": SCALARS | st.just("2026-11-23T01:00:00Z"),
        },
    )
)
def test_any_dict_of_a_job_is_one_or_refused(values):
    try:
        job = xray_jobs.XrayBackupJob.from_dict(values)
    except BackupError:
        return
    assert xray_jobs.XrayBackupJob.from_dict(job.to_dict()) == job


@given(st.binary(max_size=100))
def test_any_first_bytes_begin_a_backup_or_not(start):
    try:
        xenioo.check_start(start)
    except BackupError:
        return
