"""The Xray Cloud REST v2 API of backups: the requests it takes and the answers it gives. No I/O here.

What the vendor documents and what is only known from elsewhere: ``docs/vendor-apis.md#xray-cloud``.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from urllib.parse import quote

from airflow_provider_xbackup.http.message import Answer, Request, read_http_date, read_unsatisfied_range
from airflow_provider_xbackup.http.tokens import Token
from airflow_provider_xbackup.services.answers import (
    describe,
    describe_unquoted,
    field,
    is_foreign_page,
    json_object,
    quote_from,
    refusal,
    unreadable,
)
from airflow_provider_xbackup.services.errors import (
    AuthenticationError,
    FileNotAvailableError,
    JobFailedError,
    JobNotFoundError,
    SpentLinkError,
    UnreadableAnswerError,
)
from airflow_provider_xbackup.services.instants import whole_seconds
from airflow_provider_xbackup.services.xray_cooldown import COOLDOWN, refuse_cooldown
from airflow_provider_xbackup.services.xray_jobs import XrayBackupJob, XrayBackupRequest, checked_project_ids

HOSTS = (
    "xray.cloud.getxray.app",
    "us.xray.cloud.getxray.app",
    "eu.xray.cloud.getxray.app",
    "au.xray.cloud.getxray.app",
)
"""The hosts the vendor documents; any other is accepted as well (``docs/vendor-apis.md#hosts``)."""

_TOKEN_LIFETIME = timedelta(hours=23)
_TOKEN_SHAPE = re.compile(r"[A-Za-z0-9._~+/=-]{8,8192}")
_COUNTED = {
    "tests": "getTests",
    "testSets": "getTestSets",
    "testPlans": "getTestPlans",
    "preconditions": "getPreconditions",
    "testExecutions": "getTestExecutions",
}


class JobPhase(Enum):
    """What a status word means for somebody who waits."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


_PHASES = {
    "successful": JobPhase.SUCCEEDED,
    "failed": JobPhase.FAILED,
    "unsuccessful": JobPhase.FAILED,
    "partially_successful": JobPhase.FAILED,
}
_KNOWN_WORDS = {*_PHASES, "working", "pending"}


@dataclass(frozen=True, slots=True)
class JobStatus:
    """One answer of the status endpoint.

    :param word: the status word as sent, for example ``working``
    :param progress: share done, 0 to 1, or None where the server gave none
    :param at: the server's instant
    """

    word: str
    progress: float | None
    at: datetime

    @property
    def phase(self) -> JobPhase:
        """Unknown words mean running: never success, and a deadline ends the wait."""
        return _PHASES.get(self.word.strip().lower(), JobPhase.RUNNING)

    @property
    def is_known(self) -> bool:
        """Whether the word is one of those that anybody has seen."""
        return self.word.strip().lower() in _KNOWN_WORDS

    def __str__(self) -> str:
        known = "" if self.is_known else " (a word nobody knows: waiting goes on)"
        done = "" if self.progress is None else f", {self.progress:.0%} done"
        return f"{self.word[:80]}{done}{known}"


def is_done(status: JobStatus, job_id: str) -> bool:
    """Turn a status into "done", "go on" or a failure: the same for everybody who waits.

    :raises JobFailedError: when the job ended without a backup
    """
    if status.phase is JobPhase.FAILED:
        raise JobFailedError(
            f"Xray's backup job {job_id} ended as {status.word!r}: there is no backup of it. "
            "Clear the creating task to ask for a new one; if it fails again, ask Xray's support, naming the job."
        )
    return status.phase is JobPhase.SUCCEEDED


class Artifact(Enum):
    """A file that a finished job leaves: the value is its path below the API's root."""

    DATA = "/api/v2/backup/file"
    ATTACHMENTS = "/api/v2/backup/file/attachment"

    @property
    def label(self) -> str:
        """What people call it."""
        return "data file" if self is Artifact.DATA else "attachments file"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file about to be read, as its answer's headers describe it.

    :param length: bytes the body will have, or None where the server does not say
    :param etag: the entity tag as sent, or None
    :param last_modified: when the server made the file, or None
    :param date: the server's clock
    :param accepts_ranges: whether the server says that it serves ranges
    :param encoding: content coding of the body in spite of ``Accept-Encoding: identity``, or None
    """

    length: int | None
    etag: str | None
    last_modified: datetime | None
    date: datetime
    accepts_ranges: bool
    encoding: str | None


def authenticate_request(client_id: str, client_secret: str) -> Request:
    """Describe the call that turns an API key into a token."""
    return Request(
        "POST",
        "/api/v2/authenticate",
        json={"client_id": client_id, "client_secret": client_secret},
        authenticated=False,
        secrets=(client_secret,),
    )


def read_token(answer: Answer) -> Token:
    """Read the answer to :func:`authenticate_request`: a JSON string in double quotes.

    :raises AuthenticationError: when the key was refused
    :raises UnreadableAnswerError: when the body is no token
    """
    if answer.status in (400, 401, 403) and not is_foreign_page(answer):
        raise AuthenticationError(
            f"Xray refused the API key ({answer.status}, {describe(answer)}). "
            "Check client id and client secret in the Airflow connection, the licence, and the region's host."
        )
    if answer.status != 200:
        raise refusal(answer, "authenticating")
    try:
        value = answer.parse_json()
    except ValueError:
        value = answer.text.strip()
    if not isinstance(value, str) or not _TOKEN_SHAPE.fullmatch(value):
        raise UnreadableAnswerError(
            f"Xray answered the authentication with no token ({describe_unquoted(answer)}). "
            "Check the host in the Airflow connection; a proxy or a login page may stand in between."
        )
    return Token(value, answer.received_at, token_lifetime(value, answer) or _TOKEN_LIFETIME)


def token_lifetime(token: str, answer: Answer) -> timedelta | None:
    """Read how long a JWT lives; measured by the issuer's own clock, so that ours may be wrong.

    :param token: the token
    :param answer: what handed it out; its instant counts where the token does not name its own
    :return: None where it names no end that can be meant
    """
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        begin = claims.get("iat", answer.date.timestamp())
        lifetime = timedelta(seconds=float(claims["exp"]) - float(begin))
    except (IndexError, KeyError, AttributeError, TypeError, ValueError, ArithmeticError, RecursionError):
        return None
    return lifetime if timedelta() < lifetime < timedelta(days=366) else None


def create_backup_request(request: XrayBackupRequest) -> Request:
    """Describe the call that starts a backup. It must not be repeated blindly: it starts a job."""
    return Request("POST", "/api/v2/backup", json=request.to_json(), repeatable=False)


def read_job(
    answer: Answer,
    request: XrayBackupRequest,
    base: str | None = None,
    *,
    assumed_wait: timedelta = COOLDOWN,
) -> XrayBackupJob:
    """Read the answer to :func:`create_backup_request`.

    :param answer: the answer
    :param request: what was asked for
    :param base: id of the backup that a partial one builds on
    :param assumed_wait: how long a refusal that names no time is taken to last
    :return: the accepted job
    :raises CooldownError: when the gap to the last backup is not over; Xray says so with a 400
    :raises UnreadableAnswerError: when a success names no job
    """
    if answer.status == 400:
        refuse_cooldown(answer, assumed_wait)
    if answer.status != 200:
        raise refusal(answer, "asking for a backup")
    job_id = _read_job_id(field(json_object(answer, "the id of a backup job"), "jobId"))
    if not job_id:
        raise unreadable(answer, "the id of a backup job")
    return XrayBackupJob(
        job_id=job_id,
        requested_at=whole_seconds(answer.date),
        kind=request.kind,
        base=base,
        project_ids=request.project_ids,
        modified_since=request.modified_since,
        with_attachments=request.with_attachments,
    )


def status_request(job_id: str) -> Request:
    """Describe the call that asks how far a job is."""
    return Request("GET", f"/api/v2/backup/{quote(job_id, safe='')}/status")


def read_status(answer: Answer, job_id: str) -> JobStatus:
    """Read the answer to :func:`status_request`.

    :raises JobNotFoundError: on 404
    :raises UnreadableAnswerError: on anything that is not a status
    """
    if answer.status == 404 and field(_object_or_empty(answer), "error") is not None:
        raise JobNotFoundError(
            f"Xray does not know the backup job {job_id!r} ({describe(answer)}). It forgets jobs after a time, "
            "and jobs of another tenant or region are unknown to it. Check the connection's host; "
            "clear the creating task to ask for a new backup."
        )
    if answer.status == 404 and not is_foreign_page(answer):
        # The host has taken the job on, so the address is right: something in between has answered.
        raise UnreadableAnswerError(
            f"A 404 came without Xray's words for an unknown job ({describe(answer)}): a proxy or gateway in "
            "between has probably answered. It may pass by itself; if it stays, check the host in the Airflow "
            "connection."
        )
    if answer.status != 200:
        raise refusal(answer, "asking for the state of a backup job")
    values = json_object(answer, "the state of a backup job")
    word = field(values, "status")
    if not isinstance(word, str) or not word.strip():
        raise unreadable(answer, "the state of a backup job")
    progress = _read_progress(field(values, "progressValue"))
    return JobStatus(quote_from(answer, word), progress, whole_seconds(answer.date))


def file_request(artifact: Artifact) -> Request:
    """Describe the call for a file of the tenant's latest backup.

    The path is built here and not taken from the status answer, whose ``fileUrl`` names the v1 endpoint.
    Encodings are declined, so that the bytes stored are the bytes served.
    """
    return Request("GET", artifact.value, headers={"Accept-Encoding": "identity", "Accept": "*/*"})


def read_redirect(answer: Answer) -> str | None:
    """Return where a file answer points to, or None when it is no redirect.

    The link is a credential of its own: it is followed without the token and appears in no text.

    :raises UnreadableAnswerError: when a redirect names no target
    """
    if answer.status not in (301, 302, 303, 307, 308):
        return None
    location = answer.headers.get("location", "").strip()
    if not location:
        raise UnreadableAnswerError(
            f"Xray answered {answer.status} for the backup file and named no place to fetch it from."
        )
    return location


def read_file(answer: Answer) -> RemoteFile:
    """Read status and headers of a file answer, its body still unread unless it is an error.

    :raises FileNotAvailableError: on 404
    :raises ServiceError: on any other status than 200 and 206, and on a success that holds a page
    """
    if answer.status == 404 and not is_foreign_page(answer):
        raise FileNotAvailableError(
            f"Xray has no file for the finished backup job (404, {describe(answer)}). "
            "Soon after the job's end it may still come; long after it is gone, and a new backup is needed."
        )
    if answer.status not in (200, 206):
        raise refusal(answer, "downloading the backup file")
    content_type = answer.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type in ("text/html", "application/json"):
        raise UnreadableAnswerError(
            f"Xray answered {answer.status} with {content_type} where the backup file was expected. "
            "A proxy, a login page or an error of the service stands in its place."
        )
    return _remote_file(answer, answer.length)


def read_file_end(answer: Answer) -> RemoteFile:
    """Read a 416, the answer to a range that begins where the file ends or beyond: its length is the file's.

    :param answer: the answer
    """
    return _remote_file(answer, read_unsatisfied_range(answer.headers.get("content-range")))


def _remote_file(answer: Answer, length: int | None) -> RemoteFile:
    headers = answer.headers
    encoding = headers.get("content-encoding", "").strip().lower()
    return RemoteFile(
        length=length,
        etag=headers.get("etag") or None,
        last_modified=read_http_date(headers.get("last-modified")),
        date=answer.date,
        accepts_ranges=headers.get("accept-ranges", "").strip().lower() == "bytes",
        encoding=encoding if encoding not in ("", "identity") else None,
    )


def read_linked_file(answer: Answer) -> RemoteFile:
    """Read the answer of the storage that a redirect pointed to.

    :raises SpentLinkError: when the link was used before or is too old: ask for the file again
    :raises ServiceError: as :func:`read_file`
    """
    if answer.status in (400, 401, 403, 410):
        raise SpentLinkError(
            f"The storage behind Xray refused its one-time link ({answer.status}): it was used or is too old."
        )
    return read_file(answer)


def count_request(project_id: str | None = None) -> Request:
    """Describe the GraphQL call that counts entities: one request for all kinds of them.

    :param project_id: of which project; None for those of the whole tenant, which the service may refuse
    :raises InvalidArgumentError: when the id is no number
    """
    ids = () if project_id is None else checked_project_ids([project_id]) or ()
    arguments = ", ".join((*(f'projectId: "{checked}"' for checked in ids), "limit: 1"))
    fields = " ".join(f"{entity}: {query}({arguments}) {{ total }}" for entity, query in _COUNTED.items())
    return Request("POST", "/api/v2/graphql", json={"query": f"{{ {fields} }}"})


def read_counts(answer: Answer) -> dict[str, int]:
    """Read the answer to :func:`count_request`: totals by entity, without those that were not answered.

    GraphQL errors come with status 200; an answer that counts nothing at all is an error.

    :raises UnreadableAnswerError: when nothing was counted
    """
    if answer.status != 200:
        raise refusal(answer, "counting the entities of a project")
    values = json_object(answer, "the totals of a project")
    data = field(values, "data")
    counts = {}
    for entity in _COUNTED:
        result = field(data, entity) if isinstance(data, dict) else None
        total = field(result, "total") if isinstance(result, dict) else None
        if isinstance(total, int) and not isinstance(total, bool) and total >= 0:
            counts[entity] = total
    if not counts:
        raise UnreadableAnswerError(
            f"Xray's GraphQL counted nothing: {_graphql_errors(answer, values) or describe(answer)}."
        )
    return counts


def _read_job_id(value: object) -> str:
    """Return a job id, or an empty text. One that comes as a number must not be lost either."""
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    return text if text.isprintable() else ""


def _read_progress(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        share = float(value.strip().removesuffix("%") if isinstance(value, str) else value) / 100
    except (ValueError, OverflowError):
        return None
    return share if 0 <= share <= 1 else None


def _object_or_empty(answer: Answer) -> Mapping[str, Any]:
    try:
        value = answer.parse_json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _graphql_errors(answer: Answer, values: Mapping[str, Any]) -> str:
    errors = field(values, "errors")
    found = [e for e in errors if isinstance(e, dict)] if isinstance(errors, list) else []
    messages = [field(error, "message") for error in found]
    return "; ".join(quote_from(answer, message) for message in messages[:3] if isinstance(message, str))
