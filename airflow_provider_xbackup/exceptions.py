"""What goes wrong, as Airflow's operators and hooks raise it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSensorTimeout

from airflow_provider_xbackup.errors import BackupError


class XBackupError(AirflowException):
    """The base of every error of this package. Unless it says otherwise, trying again may help."""

    #: The plain error that this one tells of, where there is one.
    error: BackupError | None = None


class XBackupFailError(XBackupError, AirflowFailException):
    """A person has to change something first: the task fails at once, without the retries it has left."""


class XBackupSensorTimeout(XBackupError, AirflowSensorTimeout):  # noqa: N818 - named as Airflow's own
    """What was waited for did not come in time."""


class XBackupCooldownError(XBackupError):
    """The vendor's minimum gap between two backups is not over. Nothing was started.

    :param message: the text for people
    :param available_at: when the next backup is possible
    :param certain: False where the answer may also mean something else
    """

    def __init__(self, message: str, *, available_at: datetime, certain: bool) -> None:
        super().__init__(message)
        self.available_at = available_at
        self.certain = certain

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are pickled with their positional arguments only.
        return partial(type(self), available_at=self.available_at, certain=self.certain), self.args


def account_label(service: str, account: str, conn_id: str) -> str:
    """Return what errors call an account: its name, and the connection to look at where that has another."""
    connection = "" if account == conn_id else f" (connection {conn_id!r})"
    return f"{service} account {account!r}{connection}"


@contextlib.contextmanager
def airflow_errors(about: str) -> Iterator[None]:
    """Raise the package's plain errors as Airflow's, saying what they are about.

    :param about: whom the error concerns, for example ``Xray account 'acme'``
    :raises XBackupError: instead of any :class:`~airflow_provider_xbackup.errors.BackupError`
    """
    try:
        yield
    except BackupError as error:
        # One message is enough, and the chain of a network error may hold a signed link.
        raise _as_airflow_error(error, about).with_traceback(error.__traceback__) from None


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Raise Airflow's errors of this package as the plain ones that they tell of: the way back.

    :raises BackupError: instead of any :class:`XBackupError`
    """
    try:
        yield
    except XBackupError as error:
        plain = error.error or BackupError(str(error))
    else:
        return
    raise plain


def _as_airflow_error(error: BackupError, about: str) -> XBackupError:
    # Imported here, as DAG files import this module: only a failure pays for the services.
    from airflow_provider_xbackup.services.errors import CooldownError

    message = f"{about}: {error}"
    told: XBackupError
    if isinstance(error, CooldownError):
        told = XBackupCooldownError(message, available_at=error.available_at, certain=error.certain)
    else:
        told = XBackupError(message) if error.retryable else XBackupFailError(message)
    told.error = error
    return told
