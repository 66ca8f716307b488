"""The Xray Cloud REST v2 API of backups: the requests it takes and the answers it gives. No I/O here.

What the vendor documents and what is only known from elsewhere: ``docs/vendor-apis.md#xray-cloud``.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Literal
from urllib.parse import quote

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.http.message import Answer, Request, read_http_date, read_unsatisfied_range
from airflow_provider_xbackup.http.tokens import Token
from airflow_provider_xbackup.services.answers import (
    describe,
    describe_unquoted,
    error_text,
    field,
    is_foreign_page,
    json_object,
    message_of,
    quote_from,
    refusal,
    unreadable,
)
from airflow_provider_xbackup.services.errors import (
    AuthenticationError,
    CooldownError,
    FileNotAvailableError,
    JobFailedError,
    JobNotFoundError,
    SpentLinkError,
    UnreadableAnswerError,
)
from airflow_provider_xbackup.services.instants import format_instant, parse_instant, whole_seconds

HOSTS = (
    "xray.cloud.getxray.app",
    "us.xray.cloud.getxray.app",
    "eu.xray.cloud.getxray.app",
    "au.xray.cloud.getxray.app",
)
"""The hosts the vendor documents; any other is accepted as well (``docs/vendor-apis.md#hosts``)."""

COOLDOWN = timedelta(hours=6)
"""The vendor's minimum gap between the end of a backup and the next request for one.

What is concluded from it, such as whose a file can be, always counts with this gap; how long to wait where the
vendor names no time is for the caller of :func:`read_job` to say.
"""

_WELL_KNOWN = timedelta(hours=1)
"""An end that lies within so long a time is known well enough to tell this job's file from a later one."""

_TOKEN_LIFETIME = timedelta(hours=23)
_TOKEN_SHAPE = re.compile(r"[A-Za-z0-9._~+/=-]{8,8192}")
_PART = r"(\d{1,6})\s*(hour|minute|second)s?\b"
_REMAINING = re.compile(_PART, re.IGNORECASE)
# The time left is the run of parts right after an "in": "once every 6 hours" is none.
_TIME_LEFT = re.compile(rf"\bin\b:?\s*(?:about\s+)?((?:{_PART}[\s,;]*(?:and\b\s*)?)+)", re.IGNORECASE)
_COOLDOWN_WORDS = re.compile(
    r"\bonce every\b|\bcreate a new one in\b|\balready (being|running|started|in)\b|\balready\b.*\brunning\b"
    r"|\bin progress\b|\b(still|currently|is) (running|being)\b|\banother (backup|job)\b"
    r"|\btoo (soon|early|often)\b",
    re.IGNORECASE,
)
# Polite words that end any refusal: alone they prove nothing.
_WAIT_WORDS = re.compile(r"\bwait\b|\btry again\b", re.IGNORECASE)
_WRONG_VALUE_WORDS = re.compile(r"\binvalid\b|\bmust be\b|\brequired\b|\bmalformed\b", re.IGNORECASE)
_LONGEST_PROJECT_ID = 18
_COUNTED = {
    "tests": "getTests",
    "testSets": "getTestSets",
    "testPlans": "getTestPlans",
    "preconditions": "getPreconditions",
    "testExecutions": "getTestExecutions",
}


@dataclass(frozen=True, slots=True)
class XrayBackupRequest:
    """What a backup shall hold.

    :param project_ids: ids of the Jira projects, or None for all that have Xray data
    :param modified_since: only entities changed since then (a partial backup); None for a full one
    :param with_attachments: whether a second zip with the attachments is made
    """

    project_ids: tuple[str, ...] | None = None
    modified_since: datetime | None = None
    with_attachments: bool = False

    @classmethod
    def checked(
        cls,
        project_ids: Sequence[str | int] | None = None,
        modified_since: str | datetime | None = None,
        with_attachments: bool | str = False,
        *,
        now: datetime | None = None,
    ) -> XrayBackupRequest:
        """Check what a user wrote and return the request it means.

        :param project_ids: ids as strings or numbers, in any order, or None
        :param modified_since: an ISO 8601 instant, without an offset read as UTC, or None
        :param with_attachments: a bool, or the text a template made of one
        :param now: the instant that ``modified_since`` must not pass; None for this one
        :raises InvalidArgumentError: for an empty list, ids that are no numbers, an instant that cannot
            be read or lies in the future
        """
        request = cls._read(project_ids, modified_since, with_attachments)
        since = request.modified_since
        if since and since > (now or datetime.now(UTC)):
            raise InvalidArgumentError(
                f"modified_since={format_instant(since)} lies in the future: the backup would be empty. "
                "Give an instant that has passed, or leave it out for a full backup."
            )
        return request

    @classmethod
    def _read(cls, project_ids: Any, modified_since: Any, with_attachments: Any) -> XrayBackupRequest:
        since = None if modified_since is None else parse_instant(modified_since, "modified_since")
        return cls(_checked_project_ids(project_ids), since, _checked_bool(with_attachments))

    @property
    def kind(self) -> Literal["full", "partial"]:
        """``full`` or ``partial``."""
        return "partial" if self.modified_since else "full"

    @property
    def sorted_project_ids(self) -> tuple[str, ...] | None:
        """The projects in one order, whatever order they were written in: what two scopes are compared by."""
        return None if self.project_ids is None else tuple(sorted(self.project_ids, key=int))

    def to_json(self) -> dict[str, Any]:
        """Return the body of ``POST /api/v2/backup``; what was not asked for is left out."""
        body: dict[str, Any] = {}
        if self.project_ids is not None:
            body["projectIds"] = list(self.project_ids)
        if self.modified_since is not None:
            body["modifiedSince"] = format_instant(self.modified_since)
        if self.with_attachments:
            body["withAttachment"] = True
        return body


@dataclass(frozen=True, slots=True)
class XrayBackupJob:
    """A backup job that Xray accepted.

    :param job_id: the vendor's id; it cannot be found again if lost
    :param requested_at: when the server accepted it, in whole seconds
    :param kind: ``full`` or ``partial``
    :param base: id of the backup a partial builds on, or None
    :param project_ids: the projects asked for, or None for all
    :param modified_since: the instant a partial starts from, or None
    :param with_attachments: whether attachments were asked for
    :param running_at: when the job was last seen to run, in whole seconds; None where nobody saw it. Once it
        is done, only where that is long before it was seen to be: the instant of its request where nobody did
    :param finished_at: when the job was first seen to be done, in whole seconds; None before
    """

    job_id: str
    requested_at: datetime
    kind: Literal["full", "partial"]
    base: str | None = None
    project_ids: tuple[str, ...] | None = None
    modified_since: datetime | None = None
    with_attachments: bool = False
    running_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def request(self) -> XrayBackupRequest:
        """What was asked for."""
        return XrayBackupRequest(self.project_ids, self.modified_since, self.with_attachments)

    @property
    def alone_until(self) -> datetime:
        """Until when no other job's file can have taken the place of this one's, as far as is known."""
        return (self.running_at or self.finished_at or self.requested_at) + COOLDOWN

    def seen_running(self, at: datetime) -> XrayBackupJob:
        """Return the job as one that runs.

        :param at: when it was seen to
        """
        return replace(self, running_at=whole_seconds(at))

    def finished(self, at: datetime, running_at: datetime | None = None) -> XrayBackupJob:
        """Return the job as one that is done.

        :param at: when it was first seen to be done
        :param running_at: when it was last seen to run; None where that is not known better than by the job
            itself. Where nobody saw it at all it may have ended soon after it was asked for, and others may
            have been granted a backup since
        """
        seen = max(known for known in (running_at, self.running_at, self.requested_at) if known is not None)
        well_known = at - seen <= _WELL_KNOWN
        return replace(self, finished_at=whole_seconds(at), running_at=None if well_known else whole_seconds(seen))

    def to_dict(self) -> dict[str, Any]:
        """Return the job as JSON values: what the operators hand to each other through XCom."""
        values: dict[str, Any] = {
            "job_id": self.job_id,
            "requested_at": format_instant(self.requested_at),
            "kind": self.kind,
            "base": self.base,
            "project_ids": None if self.project_ids is None else list(self.project_ids),
            "modified_since": None if self.modified_since is None else format_instant(self.modified_since),
            "with_attachments": self.with_attachments,
        }
        for name, instant in (("running_at", self.running_at), ("finished_at", self.finished_at)):
            if instant is not None:
                values[name] = format_instant(instant)
        return values

    @classmethod
    def from_dict(cls, values: object) -> XrayBackupJob:
        """Read back what :meth:`to_dict` made. No clock is asked: a job that exists is a fact.

        :raises InvalidArgumentError: when it is not the dict of a job
        """
        if not isinstance(values, Mapping) or not isinstance(values.get("job_id"), str):
            raise InvalidArgumentError(
                f"job must be the dict that XrayCreateBackupOperator returns, this is {type(values).__name__}. "
                "Pass the operator's output, for example job=create.output."
            )
        job_id, base = values["job_id"].strip(), values.get("base")
        if not job_id or "requested_at" not in values:
            raise InvalidArgumentError("job needs a job_id and the requested_at of its request.")
        if not job_id.isprintable() or not (base is None or isinstance(base, str)):
            raise InvalidArgumentError("job holds a job_id or a base that XrayCreateBackupOperator never returns.")
        request = XrayBackupRequest._read(
            values.get("project_ids"), values.get("modified_since"), values.get("with_attachments", False)
        )
        kind = values.get("kind", request.kind)
        if kind != request.kind:
            raise InvalidArgumentError(
                f"job says kind={kind!r} and modified_since={values.get('modified_since')!r}, which contradict "
                "each other. Pass the dict that XrayCreateBackupOperator returned, unchanged."
            )
        instants = {
            name: None if values.get(name) is None else parse_instant(values[name], name)
            for name in ("running_at", "finished_at")
        }
        return cls(
            job_id=job_id,
            requested_at=parse_instant(values["requested_at"], "requested_at"),
            kind=request.kind,
            base=base,
            project_ids=request.project_ids,
            modified_since=request.modified_since,
            with_attachments=request.with_attachments,
            **instants,
        )


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
        _refuse_cooldown(answer, assumed_wait)
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
    ids = () if project_id is None else _checked_project_ids([project_id]) or ()
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


def read_remaining(text: str) -> timedelta | None:
    """Read how long the cooldown still lasts, from the vendor's sentence.

    The sentence says "once every 6 hours" before it says how long is left: only what follows ``in:``
    at once counts, and without an ``in`` nothing does.

    :return: the time left, or None where the sentence names none
    """
    found = _TIME_LEFT.search(text)
    if not found:
        return None
    parts = _REMAINING.findall(found[1])
    return sum((timedelta(**{f"{unit.lower()}s": int(count)}) for count, unit in parts), timedelta())


def _refuse_cooldown(answer: Answer, assumed_wait: timedelta) -> None:
    """Raise what a 400 means if it means to wait; words about a wrong value mean it only next to a time.

    :raises CooldownError: not certain when the words only ask to wait, with neither a time nor a reason
    """
    said = message_of(answer)
    named = _COOLDOWN_WORDS.search(said) is not None
    timed = read_remaining(said) is not None or "once every" in said.lower()
    if not named and not _WAIT_WORDS.search(said):
        return
    if timed or not _WRONG_VALUE_WORDS.search(said):
        raise _cooldown(answer, assumed_wait, certain=named or timed)


def _cooldown(answer: Answer, assumed_wait: timedelta, *, certain: bool) -> CooldownError:
    remaining = read_remaining(message_of(answer))
    # Without a time, the last backup may have ended just now, or one may still be running: asked again
    # after the wait, the server says more.
    wait = assumed_wait if remaining is None else min(remaining, COOLDOWN * 4)
    available_at = answer.received_at + wait
    when = f"{available_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC (in {_in_words(wait)})"
    if remaining is None:
        because = f"{error_text(answer)!r}. It named no time; a new one may be possible at {when}."
    else:
        because = (
            f"one is made at most every 6 hours, counted from the end of the last. The next is possible at {when}."
        )
    return CooldownError(
        f"Xray refused a new backup: {because}",
        available_at=available_at,
        certain=certain,
    )


def _in_words(duration: timedelta) -> str:
    minutes = max(1, round(duration.total_seconds() / 60))
    hours, minutes = divmod(minutes, 60)
    return " ".join(([f"{hours} h"] if hours else []) + ([f"{minutes} min"] if minutes or not hours else []))


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


def _checked_project_ids(project_ids: Sequence[str | int] | None) -> tuple[str, ...] | None:
    if project_ids is None:
        return None
    if isinstance(project_ids, (str, bytes)) or not isinstance(project_ids, Sequence):
        raise InvalidArgumentError(
            f"project_ids must be a list of Jira project ids, for example ['10042'], and is {project_ids!r}."
        )
    if not project_ids:
        raise InvalidArgumentError(
            "project_ids is an empty list: nothing would be backed up. Leave it out to back up all projects."
        )
    ids = []
    for given in project_ids:
        text = _digits(given)
        if not text:
            raise InvalidArgumentError(
                f"project_ids holds {given!r}: Xray takes the numeric ids of Jira projects, not their keys. "
                "The id stands in the answer of Jira's /rest/api/3/project/KEY."
            )
        ids.append(text)
    return tuple(dict.fromkeys(ids))


def _digits(given: object) -> str:
    """Return an id as text, empty where it cannot be one."""
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < 10**_LONGEST_PROJECT_ID:
        return str(given)
    text = given.strip() if isinstance(given, str) else ""
    return text if text.isascii() and text.isdigit() and len(text) <= _LONGEST_PROJECT_ID else ""


def _checked_bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    known = {"true": True, "false": False}
    if isinstance(value, str) and value.strip().lower() in known:
        return known[value.strip().lower()]
    raise InvalidArgumentError(f"with_attachments must be True or False and is {value!r}.")
