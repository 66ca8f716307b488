"""Bearing a service that is out of reach for a while, as a wait of hours must."""

from __future__ import annotations

import logging
import time

from airflow_provider_xbackup.exceptions import XBackupError, XBackupFailError

log = logging.getLogger(__name__)


class Outage:
    """The time since a service last gave an answer that could be read.

    :param tolerance: seconds it may be
    """

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self._since: float | None = None

    def bear(self, error: XBackupError) -> None:
        """Take note of a failed question.

        :param error: why it failed
        :raises XBackupFailError: when this has gone on for too long
        """
        now = time.time()
        self._since = now if self._since is None else self._since
        if now - self._since >= self._tolerance:
            raise XBackupFailError(f"{error} This has gone on for {round((now - self._since) / 60)} minutes.")
        log.warning("%s The wait goes on.", error)

    def over(self) -> None:
        """Take note of an answer."""
        self._since = None
