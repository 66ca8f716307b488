"""The base of every error below the Airflow line: plain exceptions with one clear sentence first."""

from __future__ import annotations


class BackupError(Exception):
    """Something in the way of a backup, told to the person who has to act.

    The text says what happened, to which account or vault, and what to do next. It holds no secret.
    """

    #: Whether the same call may succeed later without anybody changing anything.
    retryable: bool = True


class InvalidArgumentError(BackupError, ValueError):
    """A value given by the user cannot be meant: a name, a URL, an instant, an option."""

    retryable = False


class MissingDependencyError(BackupError):
    """An optional dependency is needed for what was asked; the text names the extra to install."""

    retryable = False


class ScratchError(BackupError):
    """There is no room in the folder for temporary files; the text tells how to name another one."""
