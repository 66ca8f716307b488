"""What a task does when the vendor's minimum gap between two backups is not over."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_xbackup.exceptions import XBackupCooldownError, XBackupFailError
from airflow_provider_xbackup.tasks import metrics
from airflow_provider_xbackup.tasks.metrics import Metric

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

SHORTEST_WAIT = timedelta(seconds=3)
"""A deferral that ends sooner can meet the scheduler still busy with its beginning."""

LONGEST_BACKOFF = timedelta(minutes=10)
"""The shortest wait doubles with every refusal up to this: a service may go on saying "now" for hours."""

LONGEST_JITTER = timedelta(minutes=1)


def read_end(give_up_at: str | None, max_wait: timedelta) -> datetime:
    """Return the instant at which waiting ends: the one that was carried through a deferral, or a new one.

    :param give_up_at: the carried instant, or None
    :param max_wait: the longest wait
    """
    return datetime.now(UTC) + max_wait if give_up_at is None else datetime.fromisoformat(give_up_at)


def handle(
    refusal: XBackupCooldownError,
    task: BaseOperator,
    *,
    on_cooldown: str,
    give_up_at: datetime,
    refusals: int,
    service: str,
    account: str,
    because: str = "",
) -> NoReturn:
    """Skip, fail, or wait without holding a worker and go on in the task's ``try_again`` method.

    :param refusal: the service's answer
    :param task: the operator; its ``try_again(context, event, give_up_at, refusals)`` is called after the wait
    :param on_cooldown: ``wait``, ``skip`` or ``fail``
    :param give_up_at: no wait reaches beyond this instant, over all refusals together
    :param refusals: how many there were before this one
    :param service: whose cooldown it is, for the metrics
    :param account: the account's name, for the same
    :param because: what is known of its cause, for people
    :raises AirflowSkipException: for ``skip``
    :raises XBackupFailError: for ``fail``, when the wait would be too long, and when an answer that may
        also mean something else comes again after a wait
    :raises TaskDeferred: for ``wait``
    """
    told = f"{refusal} {because}".rstrip()
    if on_cooldown == "skip":
        raise AirflowSkipException(told)
    if on_cooldown == "fail":
        raise XBackupFailError(f"{told} Set on_cooldown='wait' to wait without holding a worker.")
    if not refusal.certain and refusals:
        raise XBackupFailError(f"{told} The wait for it is over and the answer is the same.")
    now = datetime.now(UTC)
    if refusal.available_at > give_up_at:
        raise XBackupFailError(
            f"{told} That is later than this task may wait (max_wait, until {give_up_at:%Y-%m-%d %H:%M} UTC). "
            "Raise max_wait, or look for what else asks for backups of this account."
        )
    # Imported here: only a refusal needs it.
    from airflow.providers.standard.triggers.temporal import DateTimeTrigger

    backoff = min(SHORTEST_WAIT * 2 ** min(refusals, 16), LONGEST_BACKOFF)
    # The end of waiting is never slept through: the last question comes there.
    wait = max(refusal.available_at - now, min(backoff, give_up_at - now), SHORTEST_WAIT)
    jitter = min(LONGEST_JITTER, wait / 20) * random.random()  # noqa: S311 - spreads load, hides nothing
    metrics.count(Metric.COOLDOWN_WAITS, service=service, account=account)
    metrics.time_taken(Metric.COOLDOWN_WAIT, wait + jitter, service=service, account=account)
    task.log.warning("%s Waiting for it; no worker is held meanwhile.", told)
    task.defer(
        trigger=DateTimeTrigger(moment=now + wait + jitter),
        method_name="try_again",
        kwargs={"give_up_at": give_up_at.isoformat(), "refusals": refusals + 1},
    )
