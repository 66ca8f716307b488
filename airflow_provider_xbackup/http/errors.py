"""What can go wrong on the way to a server and back, before anybody reads the answer."""

from __future__ import annotations

from airflow_provider_xbackup.errors import BackupError


class ConnectionFailedError(BackupError):
    """The server could not be reached, or the connection broke, after all the tries the rules allow."""


class AnswerLostError(ConnectionFailedError):
    """A request that must not be repeated was sent and no answer came: it may have taken effect."""


class CertificateError(BackupError):
    """The server's TLS certificate was not accepted."""

    retryable = False


class InsecureHostError(BackupError):
    """The call would send a secret over plain http to another machine."""

    retryable = False
