"""Waiting for a backup job of Xray Cloud in the triggerer."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_xbackup.exceptions import XBackupError, XBackupFailError, account_label, airflow_errors
from airflow_provider_xbackup.hooks.xray import XrayHook
from airflow_provider_xbackup.tasks.outage import Outage

if TYPE_CHECKING:
    from airflow_provider_xbackup.services.xray import JobStatus


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
    :param poll_interval: seconds between two questions; the first come sooner
    :param deadline: seconds since the epoch after which the wait ends
    :param outage_tolerance: seconds the service may be out of reach
    :param running_at: when the job was seen to run before this trigger began, as text; None where it was not
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
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's base carries no annotations
        self.job_id = job_id
        self.xray_conn_id = xray_conn_id
        self.account = account
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.outage_tolerance = outage_tolerance
        self.running_at = running_at
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
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll, and yield the one event."""
        try:
            event = await self._wait()
        except XBackupFailError as error:
            event = {"status": "error", "job_id": self.job_id, "message": str(error)}
        # Counted by the sensor: from 3.2 on a trigger has no metrics of its own in Airflow.
        yield TriggerEvent({**event, "polls": self._polls})

    async def _wait(self) -> dict[str, Any]:
        hook = XrayHook(self.xray_conn_id, self.account)
        about = account_label("Xray", self.account, self.xray_conn_id)
        outage = Outage(self.outage_tolerance)
        running_at = self.running_at
        with airflow_errors(about):
            async with hook.async_client():
                for pause in self._pauses():
                    await asyncio.sleep(pause)
                    status = await self._ask(hook, outage)
                    if status is None:
                        continue
                    from airflow_provider_xbackup.services.instants import format_instant
                    from airflow_provider_xbackup.services.xray import is_done

                    if is_done(status, self.job_id):
                        return {
                            "status": "success",
                            "job_id": self.job_id,
                            "message": f"{about}: job {self.job_id} is done.",
                            "finished_at": format_instant(status.at),
                            "running_at": running_at,
                        }
                    running_at = format_instant(status.at)
        return {
            "status": "timeout",
            "job_id": self.job_id,
            "message": too_late(about, self.job_id),
        }

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
        self.log.info("Xray says of job %s: %s", self.job_id, status)
        return status

    def _pauses(self) -> Iterator[float]:
        """Yield the seconds before each question until the deadline: few at first, for small tenants' sake.

        There is one question at least: the deadline may have passed, and the job ended, while the triggerer was
        down.
        """
        pause = min(2.0, self.poll_interval)
        left = max(0.0, self.deadline - time.time())
        while True:
            # Spread, so that many triggers of one tenant do not ask at the same instant.
            yield min(left, pause * random.uniform(0.9, 1.1))  # noqa: S311 - no secret depends on it
            pause = min(2 * pause, self.poll_interval)
            left = self.deadline - time.time()
            if left <= 0:
                return
