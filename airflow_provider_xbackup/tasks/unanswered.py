"""Remembering a request that was sent and not answered, so that what comes of it can be explained later."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_xbackup.errors import BackupError, InvalidArgumentError
from airflow_provider_xbackup.exceptions import XBackupError
from airflow_provider_xbackup.tasks.memory import TaskMemory

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

_KEY = "xbackup_unanswered"


class UnansweredRequest:
    """A request of this task instance that no try has seen an answer to.

    A process that dies while it asks, or whose connection breaks, leaves open whether the vendor began a backup.
    If it did, the next try is refused for hours and nobody knows why. So every request is noted before it is
    sent, in Airflow's task state store, and the note is removed with the answer.

    :param context: the task's context
    :param arguments: what is asked for; a request for something else explains nothing
    :param within: how long after it a refusal can be due to it
    """

    def __init__(self, context: Context, arguments: Mapping[str, Any], within: timedelta) -> None:
        self._memory = TaskMemory(context, _KEY, arguments)
        self._first_try = context["ti"].try_number <= 1
        self._within = within
        self._earlier = self._recall()

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Note the request that is sent in this block, until its answer is known and kept.

        The note of an earlier one stays as long as later ones are refused: it is what they are refused for.
        """
        if self._earlier is None:
            self._safely(lambda: self._memory.keep(asked_at=datetime.now(UTC).isoformat()))
        try:
            yield
        except (BackupError, XBackupError) as error:
            if self._earlier is None and _had_no_effect(error):
                self._safely(self._memory.forget)
            raise
        self._safely(self._memory.forget)

    def explain(self, probably: str, perhaps: str) -> str:
        """Say what an earlier try has to do with a refusal; empty where nothing.

        :param probably: a sentence for one that was sent and not answered, with ``{at}`` for the instant
        :param perhaps: a sentence for when there may have been one, and this Airflow has no store to tell
        """
        if self._earlier is not None:
            return probably.format(at=f"{self._earlier:%Y-%m-%d %H:%M} UTC")
        return "" if self._memory.exists or self._first_try else perhaps

    def _recall(self) -> datetime | None:
        from airflow_provider_xbackup.services.instants import parse_instant

        try:
            known = self._memory.recall()
            asked_at = None if known is None else parse_instant(known.get("asked_at", ""), "asked_at")
        except InvalidArgumentError:
            return None
        except Exception as error:  # noqa: BLE001 - whatever its kind, it must not cost the backup
            log.warning(
                "Whether an earlier request was answered could not be looked up (%s).", type(error).__name__
            )
            return None
        return asked_at if asked_at is not None and datetime.now(UTC) - asked_at < self._within else None

    def _safely(self, change: Callable[[], None]) -> None:
        try:
            change()
        except Exception as error:  # noqa: BLE001 - whatever its kind, it must not cost the backup
            log.warning("That a backup is asked for could not be noted (%s).", type(error).__name__)


def _had_no_effect(error: Exception) -> bool:
    from airflow_provider_xbackup.services.errors import had_no_effect

    plain = error.error if isinstance(error, XBackupError) else error
    return isinstance(plain, BackupError) and had_no_effect(plain)
