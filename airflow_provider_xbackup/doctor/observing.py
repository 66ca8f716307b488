"""What both examinations look at: logging in step by step, clocks, headers, refusals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from airflow_provider_xbackup.doctor.questions import Question
from airflow_provider_xbackup.doctor.report import Observation, Seen
from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.http.message import Answer, Request
from airflow_provider_xbackup.http.sync import Client
from airflow_provider_xbackup.http.tokens import GivenToken, Token, TokenSource
from airflow_provider_xbackup.services.answers import describe
from airflow_provider_xbackup.transfer.judge import CLOCK_TOLERANCE

_NAMES_OF_A_BUDGET = re.compile(r"rate-?limit|retry-after|quota", re.IGNORECASE)
_CHECKSUMS = re.compile(r"md5|sha|crc|digest|checksum|x-goog-hash", re.IGNORECASE)
_NO_TOKEN = "not-a-token-of-anybody"  # noqa: S105 - that is what it says


class LoggingIn:
    """A log-in that was watched.

    :param client: the client of the connection
    :param tokens: its credentials
    :raises BackupError: when the credentials are refused or nobody answers
    """

    def __init__(self, client: Client, tokens: TokenSource) -> None:
        self.steps: list[tuple[Request, Answer]] = []
        self.token: Token = tokens.keep(self._follow(client, tokens))

    def _follow(self, client: Client, tokens: TokenSource) -> Token:
        conversation, answer = tokens.login(), None
        while True:
            try:
                request = next(conversation) if answer is None else conversation.send(answer)
            except StopIteration as end:
                token: Token = end.value
                return token
            answer = client.call(request)
            self.steps.append((request, answer))

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The answers, in their order; none where the token was given."""
        return tuple(answer for _, answer in self.steps)


def ask_all(questions: Iterable[Question], asked: Callable[[Question], Seen]) -> Iterator[Observation]:
    """Ask one question after the other; one that fails keeps none of the others from being asked.

    :param questions: what to ask
    :param asked: asks one of them
    """
    for question in questions:
        try:
            seen = asked(question)
        except BackupError as error:
            seen = Seen.unanswered(str(error))
        yield Observation(question, seen)


def stranger(client: Client) -> Client:
    """Return a client of the same service with a token that nobody ever handed out."""
    return Client(client.endpoint, GivenToken(_NO_TOKEN, client.endpoint.url))


def judge_clock(answer: Answer) -> Seen:
    """Compare the service's clock with this machine's."""
    if "date" not in answer.headers:
        return Seen.judged(False, "no Date header: this machine's clock is used instead")
    apart = answer.date - answer.received_at.replace(microsecond=0)
    seconds = round(apart.total_seconds())
    return Seen.judged(
        abs(apart) <= CLOCK_TOLERANCE, f"a Date header, {abs(seconds)} s {'ahead' if seconds > 0 else 'behind'}"
    )


def name_budget(answers: Iterable[Answer]) -> Seen:
    """Name the headers that tell of a budget of requests."""
    names = sorted({name for answer in answers for name in answer.headers if _NAMES_OF_A_BUDGET.search(name)})
    return Seen.settled(f"yes: {', '.join(names)}" if names else "no header speaks of one")


def describe_refusal(answer: Answer) -> str:
    """Say in words how something was refused."""
    kind = answer.headers.get("content-type", "").split(";")[0].strip() or "no content type"
    pause = f", Retry-After {in_words(answer.retry_after)}" if answer.retry_after is not None else ""
    return f"{answer.status}, {kind}{pause}, {describe(answer)}"


def describe_headers(answer: Answer) -> str:
    """Say what the headers tell of a body, and name the checksums among them."""
    headers = answer.headers
    told = [
        headers.get("content-type", "no Content-Type").split(";")[0],
        "a Content-Length" if answer.length is not None else "no Content-Length",
        f"Content-Encoding {headers['content-encoding']}" if "content-encoding" in headers else "no encoding",
        "a Content-Disposition" if "content-disposition" in headers else "no file name",
    ]
    checksums = sorted(name for name in headers if _CHECKSUMS.search(name))
    return ", ".join([*told, f"checksums: {', '.join(checksums)}" if checksums else "no checksum"])


def in_words(duration: timedelta) -> str:
    """Return a duration in seconds, or in hours where it has some."""
    seconds = duration.total_seconds()
    return f"{seconds / 3600:g} h" if seconds >= 3600 else f"{seconds:g} s"
