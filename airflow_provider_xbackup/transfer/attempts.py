"""Taking a file of a job again and again until it is here, and saying in the end what stood in the way."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type
from tenacity.stop import stop_base
from tenacity.wait import wait_exponential, wait_random

from airflow_provider_xbackup.contents.errors import DamagedZipError
from airflow_provider_xbackup.errors import BackupError
from airflow_provider_xbackup.http.errors import ConnectionFailedError
from airflow_provider_xbackup.services.errors import (
    FileNotAvailableError,
    ServerFaultError,
    SpentLinkError,
    ThrottledError,
    UnreadableAnswerError,
)
from airflow_provider_xbackup.transfer.download import Download
from airflow_provider_xbackup.transfer.errors import (
    RefusedFileError,
    ReplacedFileError,
    StaleFileError,
    UntakenFileError,
    WrongLengthError,
)
from airflow_provider_xbackup.transfer.tally import Tally, refusal_of

log = logging.getLogger(__name__)
T = TypeVar("T")

BROKEN_TRIES = 3
"""How often a file is taken from its beginning after its download broke beyond resuming."""

_NOT_THERE_YET = (FileNotAvailableError, StaleFileError)
_BROKEN = (
    ConnectionFailedError,
    DamagedZipError,
    ReplacedFileError,
    ServerFaultError,
    SpentLinkError,
    ThrottledError,
    UnreadableAnswerError,
    WrongLengthError,
)
_ASK_AGAIN = (
    "Nothing was stored. The task's next try goes on asking. Where that does not help, run the DAG again: a new "
    "run asks for a new backup, once the 6 hours since the last one are over."
)
_BEGIN_ANEW = (
    "Nothing was stored. The task's next try begins anew; when none is left, clear this task: it takes the same "
    "job's file."
)


@dataclass(slots=True)
class Attempts:
    """The attempts to take one file of a job.

    :param begin: begins to download it
    :param name: what it is, and whose
    :param patience: how long a file that is not there yet is asked for again
    :param tally: counts what happens
    """

    begin: Callable[[], Download]
    name: str
    patience: timedelta
    tally: Tally = field(default_factory=Tally)
    _refusals: set[str] = field(default_factory=set, init=False, repr=False)
    _download: Download | None = field(default=None, init=False, repr=False)

    def open(self) -> Download:
        """Begin to download the file, from its first byte.

        :raises ServiceError: when there is no file to be had
        """
        self._download = self.begin()
        return self._download

    def persist(self, take: Callable[[], T]) -> T:
        """Take the file; what may be different a moment later is tried again.

        :param take: takes the file, which it opens with :meth:`open`
        :return: what it returned
        :raises UntakenFileError: when it could not be taken again and again
        :raises BackupError: what was raised that another attempt does not cure
        """
        retrying = Retrying(
            retry=retry_if_exception_type((*_NOT_THERE_YET, *_BROKEN)),
            wait=wait_exponential(multiplier=1, max=60) + wait_random(0, 1),
            stop=_Patience(self.patience),
            before=self._forget,
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            taken: T = retrying(self._watching, take)
        except (*_NOT_THERE_YET, *_BROKEN) as error:
            raise self._failure(error, retrying.statistics["attempt_number"]) from None
        return taken

    def _watching(self, take: Callable[[], T]) -> T:
        try:
            return take()
        except BackupError as error:
            reason = refusal_of(error)
            # One that is not there yet is looked at again and again, and is one file all the same.
            if reason is not None and reason not in self._refusals:
                self._refusals.add(reason)
                self.tally.refuse(reason)
            raise

    def _forget(self, _: RetryCallState) -> None:
        self._download = None

    def _tell(self, state: RetryCallState) -> None:
        self.tally.repeat()
        error = state.outcome.exception() if state.outcome else None
        log.warning("The %s: %s It is asked for again in %.0f s.", self, _finding(error), state.upcoming_sleep)

    def _failure(self, error: BackupError, tries: int) -> UntakenFileError:
        if isinstance(error, _NOT_THERE_YET):
            minutes = round(self.patience.total_seconds() / 60)
            finding = f"The {self} did not come in {minutes} minutes, asked for {tries} times: {_finding(error)}"
            return UntakenFileError(finding, " ".join((*_advice(error), _ASK_AGAIN)))
        finding = f"The {self} could not be taken in {tries} tries; the last one{self._reached}: {_finding(error)}"
        return UntakenFileError(finding, _BEGIN_ANEW)

    @property
    def _reached(self) -> str:
        """How far the last attempt came."""
        if self._download is None:
            return " brought nothing"
        length, resumed = self._download.remote.length, self._download.resumed
        of = "" if length is None else f" of {length}"
        again = f", gone on with {resumed} times" if resumed else ""
        return f" ended after {self._download.received}{of} bytes{again}"

    def __str__(self) -> str:
        return self.name


class _Patience(stop_base):
    """A file that is not there yet is worth a wait; one that breaks again and again is not.

    :param wait: how long a file that is not there yet is asked for again; downloading does not count
    """

    def __init__(self, wait: timedelta) -> None:
        self._wait = wait.total_seconds()
        self._broken = 0

    def __call__(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _NOT_THERE_YET):
            return state.idle_for >= self._wait
        self._broken += 1
        return self._broken >= BROKEN_TRIES


def _finding(error: BaseException | None) -> str:
    return error.finding if isinstance(error, RefusedFileError) else str(error)


def _advice(error: BackupError) -> tuple[str, ...]:
    return (error.advice,) if isinstance(error, RefusedFileError) and error.advice else ()
