"""The numbers of this package among Airflow's metrics: their names and what they are about.

They go where Airflow sends its own: to StatsD, Datadog or OpenTelemetry, or nowhere (``[metrics]``).
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_xbackup.transfer.tally import Tally

log = logging.getLogger(__name__)

_PREFIX = "xbackup"
#: What every backend takes in a name or a tag.
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]")


class Metric(StrEnum):
    """The names, which come after ``xbackup.``; ``docs/metrics.md`` says what they count."""

    STORED_BACKUPS = "stored_backups"
    STORED_BYTES = "stored_bytes"
    TRANSFER = "transfer"
    RESUMES = "resumes"
    RETRIES = "retries"
    REFUSED_FILES = "refused_files"
    POLLS = "polls"
    COOLDOWN_WAITS = "cooldown_waits"
    COOLDOWN_WAIT = "cooldown_wait"
    AGE_OF_WHOLE = "age_of_whole"
    AGE_OF_VERIFIED = "age_of_verified"
    CHECKS = "checks"
    EXPIRED_BACKUPS = "expired_backups"
    REMOVED_BACKUPS = "removed_backups"
    REFUSED_PLANS = "refused_plans"


def count(metric: Metric, number: int = 1, /, *, service: str, account: str, **tags: str) -> None:
    """Add to a counter.

    :param metric: which
    :param number: how many; nothing is sent for none
    :param service: ``xray`` or ``xenioo``
    :param account: the account's name
    :param tags: what else it is about, of few values
    """
    if number:
        _send("incr", metric, number, service=service, account=account, **tags)


def tell(metric: Metric, value: float, *, service: str, account: str) -> None:
    """Set a gauge.

    :param metric: which
    :param value: what it shows from now on
    :param service: ``xray`` or ``xenioo``
    :param account: the account's name
    """
    _send("gauge", metric, value, service=service, account=account)


def time_taken(metric: Metric, duration: timedelta, *, service: str, account: str) -> None:
    """Tell how long something took.

    :param metric: what
    :param duration: how long
    :param service: ``xray`` or ``xenioo``
    :param account: the account's name
    """
    _send("timing", metric, duration, service=service, account=account)


@contextmanager
def of_transfer(service: str, account: str, tally: Tally, repeats: Callable[[], int]) -> Iterator[None]:
    """Tell of a transfer when it is over, however it ends.

    :param service: ``xray`` or ``xenioo``
    :param account: the account's name
    :param tally: what the transfer counts
    :param repeats: how many requests were sent again
    """
    begun = time.monotonic()
    try:
        yield
    finally:
        about = {"service": service, "account": account}
        if tally.stored_bytes:
            count(Metric.STORED_BACKUPS, **about)
            count(Metric.STORED_BYTES, tally.stored_bytes, **about)
            time_taken(Metric.TRANSFER, timedelta(seconds=time.monotonic() - begun), **about)
        count(Metric.RESUMES, tally.resumed, **about)
        count(Metric.RETRIES, tally.repeated + repeats(), **about)
        for reason, number in tally.refused.items():
            count(Metric.REFUSED_FILES, number, reason=reason, **about)


def _send(way: str, metric: Metric, value: float | timedelta, **tags: str) -> None:
    """Hand a number to Airflow. Where that fails it is lost, and the backup it is about goes on."""
    try:
        from airflow.providers.common.compat.sdk import Stats

        name, kept = _named(metric, **tags)
        getattr(Stats, way)(name, value, tags=kept)
    except Exception as error:  # noqa: BLE001 - backends raise what they like, and no backup depends on them
        log.warning("The metric %s.%s was not sent (%s: %s).", _PREFIX, metric, type(error).__name__, error)


def _named(metric: Metric, **tags: str) -> tuple[str, dict[str, str]]:
    """Return a metric's name and tags; what has no tags gets their values as the end of the name."""
    labels = {name: _FOREIGN.sub("_", value) for name, value in tags.items()}
    name = f"{_PREFIX}.{metric}"
    return (".".join((name, *labels.values())), {}) if _without_tags() else (name, labels)


def _without_tags() -> bool:
    """Tell whether metrics go to a StatsD that gets no tags, where all accounts would be one."""
    from airflow.providers.common.compat.sdk import conf

    def on(option: str, *, unless_set: bool = False) -> bool:
        return bool(conf.getboolean("metrics", option, fallback=unless_set))

    if on("statsd_datadog_enabled"):  # which Airflow takes before all others
        return not on("statsd_datadog_metrics_tags", unless_set=True)
    return on("statsd_on") and not on("statsd_influxdb_enabled")
