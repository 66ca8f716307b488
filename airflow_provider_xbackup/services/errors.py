"""What a vendor's answer can mean when it is not the one that was hoped for."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from airflow_provider_xbackup.errors import BackupError, InvalidArgumentError
from airflow_provider_xbackup.http.errors import (
    AnswerLostError,
    CertificateError,
    ConnectionFailedError,
    InsecureHostError,
)


class ServiceError(BackupError):
    """A vendor's service answered, and not with what was asked for."""


class AuthenticationError(ServiceError):
    """The credentials, or the token made of them, were not accepted."""

    retryable = False


class AccessDeniedError(ServiceError):
    """The credentials are known and do not allow this."""

    retryable = False


class CooldownError(ServiceError):
    """The vendor's minimum gap between two backups is not over. Nothing was started.

    :param message: the text for people
    :param available_at: when the next backup is possible, by this machine's clock
    :param certain: False where the answer may also mean something else, for example a token without
        permission: worth waiting for once, not more
    """

    def __init__(self, message: str, *, available_at: datetime, certain: bool = True) -> None:
        super().__init__(message)
        self.available_at = available_at
        self.certain = certain

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are pickled with their positional arguments only.
        return partial(type(self), available_at=self.available_at, certain=self.certain), self.args


class ThrottledError(ServiceError):
    """Too many requests a minute, also after waiting as the server asked."""


class ServerFaultError(ServiceError):
    """The server failed (5xx), also when asked again."""


class UnreadableAnswerError(ServiceError):
    """The answer cannot be what the endpoint promises: an HTML page, broken JSON, nothing at all."""


class RefusedRequestError(ServiceError):
    """The server understood the request and will not do it (4xx)."""

    retryable = False


class JobNotFoundError(ServiceError):
    """The server does not know the job, or no longer."""

    retryable = False


class JobFailedError(ServiceError):
    """The vendor's job ended without a backup."""

    retryable = False


class FileNotAvailableError(ServiceError):
    """The job is done and the server has no file yet, or no longer."""


class NotFoundError(ServiceError):
    """What the call is about does not exist at the vendor: a bot, a key, an endpoint."""

    retryable = False


class SpentLinkError(ServiceError):
    """A one-time link was used before or has run out; a fresh one can be had."""


_NO_EFFECT = (
    CooldownError,
    AuthenticationError,
    AccessDeniedError,
    NotFoundError,
    RefusedRequestError,
    ThrottledError,
    CertificateError,
    InsecureHostError,
    InvalidArgumentError,
)


def had_no_effect(error: BackupError) -> bool:
    """Tell whether a call that failed so has begun nothing and made nothing, for certain.

    A server that fails, an answer that is lost and one that cannot be read leave it open.

    :param error: why the call failed
    """
    if isinstance(error, ConnectionFailedError):
        return not isinstance(error, AnswerLostError)
    return isinstance(error, _NO_EFFECT)
