"""Remembering when a job was last seen to run, for the next process of the task that waits for it."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_provider_xbackup.errors import InvalidArgumentError
from airflow_provider_xbackup.tasks.memory import TaskMemory

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

_KEY = "xbackup_seen_running"


class SeenRunning:
    """What Airflow's task state store knows of when a job last ran.

    Whose a file can be is told from it. In ``reschedule`` mode every poke is a process of its own, and so is
    every retry: without a store each knows only what it saw itself.

    :param context: the task's context
    :param job_id: the job
    """

    def __init__(self, context: Context, job_id: str) -> None:
        self._memory = TaskMemory(context, _KEY, {"job_id": job_id})

    def recall(self) -> datetime | None:
        """Return when an earlier process last saw the job run; None where none did, or the store does not tell."""
        from airflow_provider_xbackup.services.instants import parse_instant

        try:
            known = self._memory.recall()
            return None if known is None else parse_instant(known.get("at", ""), "at")
        except InvalidArgumentError:
            return None
        except Exception as error:  # noqa: BLE001 - whatever its kind, it must not end the wait
            log.warning("When the job was last seen to run could not be looked up (%s).", type(error).__name__)
            return None

    def note(self, at: datetime) -> None:
        """Remember that the job ran.

        :param at: the server's instant
        """
        from airflow_provider_xbackup.services.instants import format_instant

        try:
            self._memory.keep(at=format_instant(at))
        except Exception as error:  # noqa: BLE001 - whatever its kind, it must not end the wait
            log.warning("That the job runs could not be remembered (%s).", type(error).__name__)
