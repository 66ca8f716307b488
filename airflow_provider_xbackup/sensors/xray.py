"""Waiting for a backup job of Xray Cloud."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_xbackup.exceptions import (
    XBackupError,
    XBackupFailError,
    XBackupSensorTimeout,
    account_label,
    airflow_errors,
)
from airflow_provider_xbackup.hooks.xray import XrayHook
from airflow_provider_xbackup.tasks import arguments, metrics
from airflow_provider_xbackup.tasks.metrics import Metric
from airflow_provider_xbackup.tasks.outage import Outage
from airflow_provider_xbackup.tasks.seen_running import SeenRunning

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg

    from airflow_provider_xbackup.services.xray_jobs import XrayBackupJob


NOTE_EVERY = timedelta(minutes=10)
"""How often a process remembers for the next one that the job runs: often enough to tell its end by it."""


class XrayBackupSensor(BaseSensorOperator):
    """Wait until a backup job of Xray Cloud is done.

    Poked or deferred, it answers the same: it returns the job with ``finished_at`` added. A job that
    failed or is unknown to the service fails the task at once; a job that never ends ends with the
    sensor's timeout. An unknown status word means that the job still runs.

    Below Airflow 3.3 ``reschedule`` mode is for jobs that end within six hours: every poke is a process of its
    own, and without a task state store the one that sees the job done does not know that others saw it run.
    When it ended is not known then, and the transfer takes no file that another job can have made.

    :param job: what :class:`~airflow_provider_xbackup.operators.xray.XrayCreateBackupOperator` returned
    :param xray_conn_id: the connection, of type ``xray``
    :param account: what errors call the tenant; default the connection id
    :param deferrable: wait in the triggerer, without holding a worker; default Airflow's
        ``[operators] default_deferrable``
    :param poke_interval: seconds between two questions; deferred, the longest pause between two, most of which are
        shorter
    :param timeout: seconds after which the wait ends with AirflowSensorTimeout
    :param outage_tolerance: how long the service may be out of reach, or answer what cannot be read,
        before the wait ends. In ``reschedule`` mode only the timeout ends it.
    """

    template_fields: Sequence[str] = ("job", "xray_conn_id", "account")
    ui_color = "#dff0e6"

    def __init__(
        self,
        *,
        job: dict[str, Any] | XComArg,
        xray_conn_id: str = XrayHook.default_conn_name,
        account: str | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: timedelta | float = 30,
        timeout: timedelta | float = timedelta(hours=6),
        outage_tolerance: timedelta | float = timedelta(minutes=30),
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        self.job = job
        self.xray_conn_id = xray_conn_id
        self.account = account
        self.deferrable = deferrable
        self.outage_tolerance = outage_tolerance
        arguments.check_literals(self, self._checks)
        # In reschedule mode every poke is a process of its own, and only the timeout can end an outage.
        bounded = self.mode != "reschedule"
        self._outage = Outage(arguments.seconds_of(outage_tolerance) if bounded else math.inf)
        self._running_at: datetime | None = None
        self._noted_at: datetime | None = None

    def execute(self, context: Context) -> Any:  # noqa: RET503 - to defer is to raise
        """Wait for the job.

        :return: the job, with ``finished_at``
        """
        arguments.check_all(self, self._checks)
        if self._job.finished_at is not None:
            self.log.info("Job %s is known to be done.", self._job.job_id)
            return self._job.to_dict()
        if not self.deferrable:
            try:
                return super().execute(context)
            except AirflowSensorTimeout:
                from airflow_provider_xbackup.triggers.xray import too_late

                # Airflow's own words name neither tenant nor job.
                raise XBackupSensorTimeout(too_late(self._about, self._job.job_id)) from None
        started = time.time()
        # A job that is done already must not pay for a deferral, which the scheduler could trip over.
        try:
            answer = self.poke(context)
        except XBackupFailError as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"Skipping, as the sensor may not fail: {error}") from None
            raise
        if answer:
            return answer.xcom_value
        from airflow_provider_xbackup.services.instants import format_instant
        from airflow_provider_xbackup.triggers.xray import XrayBackupTrigger

        self.defer(
            trigger=XrayBackupTrigger(
                job_id=self._job.job_id,
                xray_conn_id=self.xray_conn_id,
                account=self._account,
                poll_interval=self.poke_interval,
                deadline=started + self.timeout,
                outage_tolerance=arguments.seconds_of(self.outage_tolerance),
                running_at=None if self._running_at is None else format_instant(self._running_at),
                requested_at=self._job.requested_at.timestamp(),
            ),
            method_name="execute_complete",
        )

    def poke(self, context: Context) -> PokeReturnValue:
        """Ask once how far the job is.

        :raises XBackupFailError: when it failed, is unknown, or the service was out of reach for too long
        """
        from airflow_provider_xbackup.services.xray import is_done

        job = self._job
        self._count_polls(1)
        try:
            status = self._hook.get_backup_status(job.job_id)
        except XBackupFailError:
            raise
        except XBackupError as error:
            self._outage.bear(error)
            return PokeReturnValue(is_done=False)
        self._outage.over()
        with airflow_errors(self._about):
            done = is_done(status, job.job_id)
        self.log.info("Xray says of job %s: %s", job.job_id, status)
        if not done:
            self._note_running(context, status.at)
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self._done(context, status.at, self._running_at))

    def execute_complete(self, context: Context, event: dict[str, Any] | None) -> dict[str, Any]:
        """Return the job that the trigger saw done, or raise what poking would have raised.

        :param context: the task's context
        :param event: the trigger's event
        :return: the job, with ``finished_at``
        """
        from airflow_provider_xbackup.services.instants import parse_instant

        about = self._about
        values = event if isinstance(event, dict) else {}
        polls = values.get("polls")
        self._count_polls(polls if isinstance(polls, int) else 0)
        status = values.get("status")
        message = str(values.get("message") or f"{about}: the wait for job {self._job.job_id} ended: {status}.")
        if status == "success":
            with airflow_errors(about):
                finished_at = parse_instant(values.get("finished_at", ""), "finished_at")
                running_at = values.get("running_at") and parse_instant(values["running_at"], "running_at")
            return self._done(context, finished_at, running_at)
        if status == "timeout":
            raise XBackupSensorTimeout(message)
        if status == "error":
            raise XBackupFailError(message)
        raise XBackupFailError(
            f"{about}: the trigger of job {self._job.job_id} sent an event nobody knows: {status!r}. "
            "Clear this sensor to wait again."
        )

    def _count_polls(self, number: int) -> None:
        metrics.count(Metric.POLLS, number, service="xray", account=self._account)

    def _note_running(self, context: Context, at: datetime) -> None:
        self._running_at = at
        if self._noted_at is None or at - self._noted_at >= NOTE_EVERY:
            SeenRunning(context, self._job.job_id).note(at)
            self._noted_at = at

    def _done(self, context: Context, at: datetime, running_at: datetime | None) -> dict[str, Any]:
        job = self._job
        return job.finished(at, running_at or SeenRunning(context, job.job_id).recall()).to_dict()

    @property
    def _job(self) -> XrayBackupJob:
        from airflow_provider_xbackup.services.xray_jobs import XrayBackupJob

        with airflow_errors(f"Task {self.task_id!r}, argument job"):
            return XrayBackupJob.from_dict(self.job)

    @cached_property
    def _hook(self) -> XrayHook:
        """One hook for all pokes: one look-up of the connection, one session."""
        return XrayHook(self.xray_conn_id, self._account)

    @property
    def _account(self) -> str:
        return self.account or self.xray_conn_id

    @property
    def _about(self) -> str:
        return account_label("Xray", self._account, self.xray_conn_id)

    @property
    def _checks(self) -> arguments.Checks:
        return {
            "xray_conn_id": arguments.check_conn_id,
            "account": arguments.check_account,
            "job": arguments.check_job,
            "outage_tolerance": arguments.check_outage_tolerance,
        }
