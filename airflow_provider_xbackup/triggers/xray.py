"""Waiting for a backup job of Xray Cloud in the triggerer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_xbackup.exceptions import XBackupError, XBackupFailError, account_label, airflow_errors
from airflow_provider_xbackup.hooks.xray import XrayHook
from airflow_provider_xbackup.tasks.outage import Outage
from airflow_provider_xbackup.tasks.pace import pause, spread

if TYPE_CHECKING:
    from airflow_provider_xbackup.services.xray import JobStatus


_LOG_EVERY = 60.0
"""Seconds between two lines of the log that say the same but for the progress."""


def too_late(about: str, job_id: str) -> str:
    """Say that the wait for a job is over, in the same words poked and deferred.

    :param about: whom it concerns
    :param job_id: the job
    """
    return (
        f"{about}: backup job {job_id} was not done in time. It may still end: clear this sensor to go on "
        "waiting, or give it a longer timeout."
    )


class XrayBackupTrigger(BaseTrigger):
    """Poll a backup job until it is done, failed, or too late.

    Airflow stores a trigger's arguments in plain text: there is nothing secret in them. The one event has
    ``status`` (``success``, ``error`` or ``timeout``), ``job_id``, ``message``, ``polls`` (how often this trigger
    asked), and with success ``finished_at`` and ``running_at``: when the job was last seen to run, or None.

    :param job_id: the job
    :param xray_conn_id: the connection, of type ``xray``
    :param account: what messages call the tenant
    :param poll_interval: the longest pause between two questions, in seconds; see
        :func:`~airflow_provider_xbackup.tasks.pace.pause`
    :param deadline: seconds since the epoch after which the wait ends
    :param outage_tolerance: seconds the service may be out of reach
    :param running_at: when the job was seen to run before this trigger began, as text; None where it was not
    :param requested_at: seconds since the epoch at which the job was asked for; None for now
    """

    def __init__(
        self,
        *,
        job_id: str,
        xray_conn_id: str,
        account: str,
        poll_interval: float,
        deadline: float,
        outage_tolerance: float,
        running_at: str | None = None,
        requested_at: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's base carries no annotations
        self.job_id = job_id
        self.xray_conn_id = xray_conn_id
        self.account = account
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.outage_tolerance = outage_tolerance
        self.running_at = running_at
        self.requested_at = time.time() if requested_at is None else requested_at
        self._logged: tuple[str, float] | None = None
        self._polls = 0

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, as Airflow stores them."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "job_id": self.job_id,
                "xray_conn_id": self.xray_conn_id,
                "account": self.account,
                "poll_interval": self.poll_interval,
                "deadline": self.deadline,
                "outage_tolerance": self.outage_tolerance,
                "running_at": self.running_at,
                "requested_at": self.requested_at,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll, and yield the one event."""
        try:
            yield await self._wait()
        except XBackupFailError as error:
            yield self._event("error", str(error))

    async def _wait(self) -> TriggerEvent:
        hook = XrayHook(self.xray_conn_id, self.account)
        about = account_label("Xray", self.account, self.xray_conn_id)
        outage = Outage(self.outage_tolerance)
        running_at, progress = self.running_at, None
        with airflow_errors(about):
            async with hook.async_client():
                while True:
                    await asyncio.sleep(self._pause(progress))
                    # The deadline may have passed, and the job ended, while the triggerer was down: one question
                    # comes after it.
                    last = time.time() >= self.deadline
                    status = await self._ask(hook, outage)
                    if status is not None:
                        from airflow_provider_xbackup.services.instants import format_instant
                        from airflow_provider_xbackup.services.xray import is_done

                        seen_at = format_instant(status.at)
                        if is_done(status, self.job_id):
                            message = f"{about}: job {self.job_id} is done."
                            return self._event("success", message, finished_at=seen_at, running_at=running_at)
                        running_at, progress = seen_at, status.progress
                    if last:
                        return self._event("timeout", too_late(about, self.job_id))

    def _event(self, status: str, message: str, **more: str | None) -> TriggerEvent:
        # Questions are counted by the sensor: from 3.2 on a trigger has no metrics of its own in Airflow.
        values = {"status": status, "job_id": self.job_id, "message": message, "polls": self._polls}
        return TriggerEvent({**values, **more})

    async def _ask(self, hook: XrayHook, outage: Outage) -> JobStatus | None:
        """Ask once; return None where the service is out of reach."""
        self._polls += 1
        try:
            status = await hook.aget_backup_status(self.job_id)
        except XBackupFailError:
            raise
        except XBackupError as error:
            outage.bear(error)
            return None
        outage.over()
        self._log_status(status)
        return status

    def _log_status(self, status: JobStatus) -> None:
        """Log what was answered, unless it was logged a moment ago: ten thousand logs grow at once."""
        now = time.monotonic()
        if self._logged is None or self._logged[0] != status.word or now - self._logged[1] >= _LOG_EVERY:
            self.log.info("Xray says of job %s: %s", self.job_id, status)
            self._logged = status.word, now

    def _pause(self, progress: float | None) -> float:
        """Return the seconds until the next question, which comes at the deadline at the latest."""
        now = time.time()
        wanted = spread(pause(max(0.0, now - self.requested_at), progress, self.poll_interval))
        return min(wanted, max(0.0, self.deadline - now))
