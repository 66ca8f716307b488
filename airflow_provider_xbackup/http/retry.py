"""When a call is made again: the one place that decides it, for both carriers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

from tenacity import RetryCallState, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random

from airflow_provider_xbackup.http.errors import AnswerLostError, CertificateError, ConnectionFailedError
from airflow_provider_xbackup.http.message import Request

log = logging.getLogger(__name__)

TRIES = 5
LONGEST_PAUSE = 120.0
"""Seconds. A server that asks for a longer pause is told about instead: Airflow's own retry waits then."""

_backoff = wait_exponential(multiplier=0.5, max=30) + wait_random(0, 1)


class Outcome(Protocol):
    """What the decision needs to know of an answer."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def retry_after(self) -> timedelta | None:
        """The pause the server asks for."""


class SendError(Exception):
    """A request did not bring an answer. Internal to the carriers; :func:`give_up` turns it into words.

    :param reason: what happened, without URL or secret
    :param sent: whether the server may have seen the request
    """

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent


def policy(request: Request, on_repeat: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Return the arguments of tenacity's ``Retrying`` or ``AsyncRetrying`` for a request.

    A request that never reached the server may always be sent again; one that did only if it is
    repeatable. A 429 to one that is not repeatable is for its caller to judge: it may be a cooldown.

    :param request: the request
    :param on_repeat: called when it will be sent again
    """

    def tell(state: RetryCallState) -> None:
        _tell(request, state)
        on_repeat()

    return {
        "retry": lambda state: _may_repeat(request, state),
        "wait": _pause,
        "stop": stop_after_attempt(TRIES),
        "before_sleep": tell,
        "retry_error_callback": _last_outcome,
    }


def give_up(error: SendError, request: Request, host: str) -> ConnectionFailedError:
    """Turn the last failure into the error that callers see."""
    if error.sent and not request.repeatable:
        return AnswerLostError(
            f"{host} did not answer {request.method} {request.path} ({error.reason}): "
            "whether it took effect is not known, so it was not sent again."
        )
    return ConnectionFailedError(
        f"{host} could not be reached for {request.method} {request.path} ({error.reason}). "
        "Check the network, the proxy and the host in the Airflow connection; it may pass by itself."
    )


def certificate_refused(host: str, reason: str) -> CertificateError:
    """Return the error for a TLS certificate that does not check."""
    return CertificateError(
        f"The TLS certificate of {host} was not accepted ({reason}). If the server uses a private "
        "authority, set 'verify' in the connection's extra to the path of its CA bundle."
    )


def _may_repeat(request: Request, state: RetryCallState) -> bool:
    outcome = state.outcome
    if outcome is None:
        return False
    error = outcome.exception()
    if error is not None:
        return isinstance(error, SendError) and (request.repeatable or not error.sent)
    answer: Outcome = outcome.result()
    if answer.retry_after is not None and answer.retry_after.total_seconds() > LONGEST_PAUSE:
        return False
    return request.repeatable and (answer.status == 429 or answer.status >= 500)


def _tell(request: Request, state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    failed = error if error is not None else f"status {state.outcome.result().status}" if state.outcome else ""
    log.warning(
        "%s %s failed (%s); try %d of %d comes in %.0f s.",
        request.method,
        request.path,
        failed,
        state.attempt_number + 1,
        TRIES,
        state.upcoming_sleep,
    )


def _pause(state: RetryCallState) -> float:
    outcome = state.outcome
    backoff = float(_backoff(state))
    if outcome is None or outcome.failed:
        return backoff
    asked: Outcome = outcome.result()
    return backoff if asked.retry_after is None else asked.retry_after.total_seconds() + backoff / 10


def _last_outcome(state: RetryCallState) -> Any:
    return state.outcome.result() if state.outcome else None
