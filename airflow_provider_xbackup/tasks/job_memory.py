"""Remembering an accepted job across retries and clears, so that it is asked for once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.tasks.memory import TaskMemory

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_xbackup.services.xray_jobs import XrayBackupJob

log = logging.getLogger(__name__)

_KEY = "xbackup_job"


class JobMemory:
    """What Airflow's task state store knows of this task instance's job.

    :param context: the task's context
    :param arguments: what was asked for; a job asked for with other arguments is not remembered
    """

    def __init__(self, context: Context, arguments: Mapping[str, Any]) -> None:
        self._memory = TaskMemory(context, _KEY, arguments)
        if not self._memory.exists:
            log.info(
                "This Airflow has no task state store (it came with 3.3): if this task dies after its request, "
                "the retry cannot find the job again and waits for the cooldown instead."
            )

    def recall(self) -> XrayBackupJob | None:
        """Return the job that an earlier try was granted for the same arguments, or None."""
        from airflow_provider_xbackup.services.xray_jobs import XrayBackupJob

        known = self._memory.recall()
        try:
            return None if known is None else XrayBackupJob.from_dict(known["job"])
        except (KeyError, InvalidArgumentError):
            return None

    def keep(self, job: XrayBackupJob) -> None:
        """Remember a job; to be called before anything else is done with it.

        A store that fails is told of and no more: the job exists, and is handed on all the same.
        """
        try:
            self._memory.keep(job=job.to_dict())
        except Exception as error:  # noqa: BLE001 - whatever its kind, it must not cost the job
            log.warning(
                "Job %s could not be remembered (%s): if this task dies now, its retry may not find it again.",
                job.job_id,
                type(error).__name__,
            )
