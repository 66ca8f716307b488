"""The questions to Xenioo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

from airflow_provider_xbackup.doctor import questions
from airflow_provider_xbackup.doctor.observing import (
    LoggingIn,
    ask_all,
    describe_headers,
    describe_refusal,
    judge_clock,
    name_budget,
    stranger,
)
from airflow_provider_xbackup.doctor.report import Observation, Seen
from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.http.endpoint import Endpoint
from airflow_provider_xbackup.http.message import Answer, Request
from airflow_provider_xbackup.http.sync import Client
from airflow_provider_xbackup.http.tokens import TokenSource
from airflow_provider_xbackup.services import xenioo
from airflow_provider_xbackup.services.answers import field, json_object
from airflow_provider_xbackup.services.errors import CooldownError

_MINUTES = 60
_GIVEN = "the connection holds a token, so none was made"
_NOT_STARTED = "it would spend the bot's backup of this hour: give --start-backup if that is meant"


class XeniooExamination:
    """Asks Xenioo what its documents leave open. A backup that is started is given up after its headers.

    :param endpoint: the bot's service endpoint
    :param tokens: the bot's credentials
    :param account: the account's endpoint and credentials, where the connection holds its key; else None
    :param start_backup: call for the bot's backup twice, which spends its hour
    """

    def __init__(
        self,
        endpoint: Endpoint,
        tokens: TokenSource,
        *,
        account: tuple[Endpoint, TokenSource] | None = None,
        start_backup: bool = False,
    ) -> None:
        self._client = Client(endpoint, tokens)
        self._tokens = tokens
        self._account = None if account is None else Client(*account)
        self._start_backup = start_backup
        self._answers: list[Answer] = []

    def __iter__(self) -> Iterator[Observation]:
        return ask_all(questions.XENIOO, lambda question: self._ASK[question.key](self))

    @cached_property
    def _login(self) -> LoggingIn:
        login = LoggingIn(self._client, self._tokens)
        self._answers += login.answers
        return login

    @cached_property
    def _refusal(self) -> Answer:
        """How a stranger is refused, who asks for the list of bots: it has no hour that could be spent."""
        return self._call(xenioo.bots_request(), stranger(self._client))

    def _call(self, request: Request, client: Client) -> Answer:
        answer = client.call(request)
        self._answers.append(answer)
        return answer

    def _token_address(self) -> Seen:
        if not self._login.steps:
            return Seen.not_asked(_GIVEN)
        paths = [request.path for request, _ in self._login.steps]
        at_once = len(paths) == 1
        return Seen.judged(at_once, f"{paths[-1]}, {'at once' if at_once else 'after a refusal'}")

    def _token_fields(self) -> Seen:
        if not self._login.steps:
            return Seen.not_asked(_GIVEN)
        values = json_object(self._login.answers[-1], "a token")
        name, life = next(((k, v) for k, v in values.items() if k.lower().startswith("expir")), ("", None))
        number = life if isinstance(life, int | float) else type(life).__name__
        as_assumed = field(values, "token") is not None and number == _MINUTES
        return Seen.judged(as_assumed, f"{', '.join(values)}; {name or 'no life'}: {number}")

    def _clock(self) -> Seen:
        return judge_clock((*self._login.answers, self._refusal)[0])

    def _bad_token(self) -> Seen:
        as_assumed = self._refusal.status in (400, 401) and bool(self._refusal.body.strip())
        return Seen.judged(as_assumed, describe_refusal(self._refusal))

    def _list(self) -> Seen:
        if self._account is None:
            return Seen.not_asked("the connection holds no account_api_key")
        answer = self._call(xenioo.bots_request(), self._account)
        bots = xenioo.read_bots(answer)
        values = json_object(answer, "the list of bots")
        listed = next((entry for entry in field(values, "Result") if isinstance(entry, dict)), {})
        return Seen.judged(
            all(bot.name for bot in bots),
            f"{len(bots)} bots in {', '.join(values)}; a bot has {', '.join(listed) or 'nothing'}",
        )

    def _budget(self) -> Seen:
        return name_budget(self._answers)

    @cached_property
    def _backup(self) -> Answer:
        with self._client.open(xenioo.backup_request()) as stream:
            self._answers.append(stream.answer)
            return stream.answer

    def _headers(self) -> Seen:
        if not self._start_backup:
            return Seen.not_asked(_NOT_STARTED)
        if self._backup.status != 200:
            return Seen.unanswered(describe_refusal(self._backup))
        kind = xenioo.read_backup(self._backup).media_type
        return Seen.judged(kind in (None, "application/json"), describe_headers(self._backup))

    def _throttle(self) -> Seen:
        if not self._start_backup:
            return Seen.not_asked(_NOT_STARTED)
        # Where the first call was refused already, that is how the service refuses.
        answer = self._backup if self._backup.status != 200 else self._second_call
        if answer.status == 200:
            return Seen.judged(False, "200: the second call was answered, too")
        return Seen.judged(_means_to_wait(answer), describe_refusal(answer))

    @property
    def _second_call(self) -> Answer:
        with self._client.open(xenioo.backup_request()) as stream:
            return stream.answer

    _ASK: ClassVar[Mapping[str, Callable[[Any], Seen]]] = {
        "token-address": _token_address,
        "token-fields": _token_fields,
        "clock": _clock,
        "bad-token": _bad_token,
        "list": _list,
        "rate-limit-headers": _budget,
        "backup-headers": _headers,
        "throttle": _throttle,
    }


def _means_to_wait(answer: Answer) -> bool:
    try:
        xenioo.read_backup(answer)
    except CooldownError as error:
        return error.certain
    except BackupError:
        return False
    return False
