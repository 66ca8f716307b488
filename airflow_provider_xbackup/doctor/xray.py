"""The questions to Xray Cloud."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from airflow_provider_xbackup.doctor import questions
from airflow_provider_xbackup.doctor.observing import (
    LoggingIn,
    ask_all,
    describe_headers,
    describe_refusal,
    in_words,
    judge_clock,
    name_budget,
    stranger,
)
from airflow_provider_xbackup.doctor.report import Observation, Seen
from airflow_provider_xbackup.http.endpoint import Endpoint
from airflow_provider_xbackup.http.message import Answer, Request, read_content_range
from airflow_provider_xbackup.http.sync import Client
from airflow_provider_xbackup.http.tokens import TokenSource
from airflow_provider_xbackup.services import xray, xray_cooldown, xray_jobs
from airflow_provider_xbackup.services.answers import field, json_object, message_of
from airflow_provider_xbackup.services.errors import CooldownError

_NO_JOB = "0" * 32
_DAY_HOURS = 24
_NO_FILE = "the tenant has no backup file now; ask again after a backup"
_NOBODYS_ETAG = '"the-entity-tag-of-no-file"'


@dataclass(frozen=True, slots=True)
class _Served:
    """How a file was handed out: the first answer, where it pointed to, and the answer that holds the file."""

    first: Answer
    link: str | None
    last: Answer


class XrayExamination:
    """Asks Xray what its documents leave open. Downloads begin and are given up after their headers.

    :param endpoint: where the service lives
    :param tokens: the credentials
    :param project_id: a project to count, or None
    :param job_id: a job to look at, or None
    :param start_backup: ask for a full backup, which takes the tenant's next six hours
    """

    def __init__(
        self,
        endpoint: Endpoint,
        tokens: TokenSource,
        *,
        project_id: str | None = None,
        job_id: str | None = None,
        start_backup: bool = False,
    ) -> None:
        self._client = Client(endpoint, tokens)
        self._tokens = tokens
        self._project_id = project_id
        self._job_id = job_id
        self._start_backup = start_backup
        self._answers: list[Answer] = []

    def __iter__(self) -> Iterator[Observation]:
        return ask_all(questions.XRAY, lambda question: self._ASK[question.key](self))

    @cached_property
    def _login(self) -> LoggingIn:
        login = LoggingIn(self._client, self._tokens)
        self._answers += login.answers
        return login

    def _call(self, request: Request, client: Client | None = None) -> Answer:
        answer = (client or self._client).call(request)
        self._answers.append(answer)
        return answer

    def _token_form(self) -> Seen:
        body = self._login.answers[-1].text.strip()
        quoted, parts = body.startswith('"'), self._login.token.value.count(".") + 1
        is_jwt = parts == 3
        return Seen.judged(
            quoted and is_jwt,
            f"{'a JSON string' if quoted else 'text without quotes'} that "
            f"{'holds a JWT' if is_jwt else 'holds no JWT'}",
        )

    def _token_life(self) -> Seen:
        told = xray.token_lifetime(self._login.token.value, self._login.answers[-1])
        if told is None:
            return Seen.judged(False, "the token does not say")
        return Seen.judged(told.total_seconds() == _DAY_HOURS * 3600, in_words(told))

    def _clock(self) -> Seen:
        return judge_clock(self._login.answers[-1])

    def _bad_token(self) -> Seen:
        answer = self._call(xray.status_request(_NO_JOB), stranger(self._client))
        return Seen.judged(answer.status == 401 and "jwt" in message_of(answer).lower(), describe_refusal(answer))

    def _unknown_job(self) -> Seen:
        answer = self._call(xray.status_request(_NO_JOB))
        as_assumed = answer.status == 404 and field(json_object(answer, "an error"), "error") is not None
        return Seen.judged(as_assumed, describe_refusal(answer))

    def _budget(self) -> Seen:
        return name_budget(self._answers)

    @cached_property
    def _file(self) -> _Served:
        return self._open(xray.Artifact.DATA)

    def _open(self, artifact: xray.Artifact, **headers: str) -> _Served:
        """Ask for a file, read the headers and give it up."""
        request = xray.file_request(artifact).with_headers(**headers)
        with self._client.open(request) as stream:
            first = stream.answer
        self._answers.append(first)
        link = xray.read_redirect(first)
        return _Served(first, link, first if link is None else self._follow(request, link))

    def _follow(self, request: Request, link: str) -> Answer:
        with self._client.open_link(request, link) as stream:
            return stream.answer

    def _redirect(self) -> Seen:
        served = self._file
        if served.link is None:
            return Seen.not_asked(_NO_FILE) if served.last.status == 404 else Seen.judged(False, "at once")
        target = urlsplit(served.link)
        elsewhere = target.netloc not in ("", self._client.endpoint.host)
        life = parse_qs(target.query).get("X-Amz-Expires", [""])[0]
        lives = f", for {life} s" if life.isdigit() else ""
        return Seen.judged(
            elsewhere and target.scheme == "https",
            f"{served.first.status} to {target.scheme or 'the same scheme'} on "
            f"{target.hostname if elsewhere else 'the same host'}{lives}; the link answers {served.last.status}",
        )

    def _link_reuse(self) -> Seen:
        link = self._file.link
        if link is None:
            return Seen.not_asked("no link was handed out")
        answer = self._follow(xray.file_request(xray.Artifact.DATA), link)
        return Seen.judged(answer.status >= 400, f"the second use answers {answer.status}")

    def _ranges(self) -> Seen:
        if self._file.last.status != 200:
            return Seen.not_asked(_NO_FILE)
        answer = self._open(xray.Artifact.DATA, Range="bytes=1-1").last
        served = answer.status == 206 and read_content_range(answer.headers.get("content-range")) is not None
        return Seen.settled(f"{'yes' if served else 'no'}: {answer.status} to the second byte alone")

    def _validator(self) -> Seen:
        if self._file.last.status != 200:
            return Seen.not_asked(_NO_FILE)
        headers = self._file.last.headers
        etag = headers.get("etag")
        kind = "no ETag" if not etag else "a weak ETag" if etag.startswith("W/") else "a strong ETag"
        return Seen.settled(f"{kind}, {'a' if 'last-modified' in headers else 'no'} Last-Modified")

    def _if_range(self) -> Seen:
        if self._file.last.status != 200:
            return Seen.not_asked(_NO_FILE)
        answer = self._open(xray.Artifact.DATA, Range="bytes=1-1", If_Range=_NOBODYS_ETAG).last
        return Seen.judged(answer.status == 200, f"the tag of another file brings {answer.status}")

    def _headers(self) -> Seen:
        answer = self._file.last
        if answer.status != 200:
            return Seen.not_asked(_NO_FILE)
        kind = answer.headers.get("content-type", "").split(";")[0].strip().lower()
        as_assumed = answer.length is not None and kind == "application/octet-stream"
        return Seen.judged(as_assumed and "content-encoding" not in answer.headers, describe_headers(answer))

    def _attachments(self) -> Seen:
        answer = self._open(xray.Artifact.ATTACHMENTS).last
        return Seen.settled(describe_refusal(answer) if answer.status >= 400 else f"{answer.status}: there is one")

    def _count(self) -> Seen:
        if self._project_id is None:
            return Seen.not_asked("give --project with the numeric id of a Jira project")
        counts = xray.read_counts(self._call(xray.count_request(self._project_id)))
        return Seen.judged("tests" in counts, f"totals of {', '.join(counts)}")

    @cached_property
    def _job(self) -> Answer | None:
        return None if self._job_id is None else self._call(xray.status_request(self._job_id))

    def _status(self) -> Seen:
        if self._job is None or self._job_id is None:
            return Seen.not_asked("give --job with the id of a job")
        if self._job.status == 404:
            return Seen.unanswered("the job is not known")
        status = xray.read_status(self._job, self._job_id)
        values = json_object(self._job, "the state of a job")
        progress = field(values, "progressValue")
        addresses = [_describe_address(values, name, self._client) for name in ("fileUrl", "attachmentUrl")]
        kind = "no progress" if progress is None else f"progress as {type(progress).__name__}"
        as_assumed = status.is_known and isinstance(progress, str | None)
        return Seen.judged(as_assumed, ", ".join([f"the word {status.word!r}", kind, *addresses]))

    def _forgotten(self) -> Seen:
        if self._job is None:
            return Seen.not_asked("give --job with the id of a job that ended long ago")
        return Seen.settled(describe_refusal(self._job) if self._job.status >= 400 else "it is known")

    def _backup(self) -> Seen:
        if not self._start_backup:
            return Seen.not_asked("it would start a backup: give --start-backup if that is meant")
        request = xray_jobs.XrayBackupRequest()
        answer = self._call(xray.create_backup_request(request))
        try:
            job = xray.read_job(answer, request)
        except CooldownError as error:
            left = xray_cooldown.read_remaining(message_of(answer))
            time = "no time that can be read" if left is None else f"{in_words(left)} left"
            return Seen.judged(error.certain, f"{describe_refusal(answer)}; {time}")
        return Seen.judged(True, f"200 with the job {job.job_id}: a full backup of all projects has begun")

    _ASK: ClassVar[dict[str, Callable[[XrayExamination], Seen]]] = {
        "token-form": _token_form,
        "token-life": _token_life,
        "clock": _clock,
        "bad-token": _bad_token,
        "unknown-job": _unknown_job,
        "rate-limit-headers": _budget,
        "file-redirect": _redirect,
        "file-link-reuse": _link_reuse,
        "file-ranges": _ranges,
        "file-validator": _validator,
        "file-if-range": _if_range,
        "file-headers": _headers,
        "attachments-file": _attachments,
        "count": _count,
        "job-status": _status,
        "job-forgotten": _forgotten,
        "backup-answer": _backup,
    }


def _describe_address(values: object, name: str, client: Client) -> str:
    address = field(values, name) if isinstance(values, dict) else None
    if not isinstance(address, str):
        return f"no {name}"
    parts = urlsplit(address)
    where = "on this host" if parts.netloc == client.endpoint.host else "on another host"
    version = next((part for part in parts.path.split("/") if part in ("v1", "v2")), "no version")
    return f"{name} {where} ({version})"
