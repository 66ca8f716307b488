"""The options that stand in Airflow's configuration, section ``[xbackup]``."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

from airflow_provider_xbackup.errors import InvalidArgumentError

if TYPE_CHECKING:
    from airflow_provider_xbackup.page.watched import WatchedVault

_SECTION = "xbackup"
_LONGEST = timedelta(days=31)


def xray_cooldown() -> timedelta:
    """Return how long to wait where Xray refuses a backup and names no time: ``[xbackup] xray_cooldown``.

    :return: the wait, by default the vendor's six hours
    :raises InvalidArgumentError: when the option is no number of seconds
    """
    from airflow_provider_xbackup.services.xray_cooldown import COOLDOWN

    return _read_seconds("xray_cooldown", COOLDOWN)


def xenioo_cooldown() -> timedelta:
    """Return how long to wait where Xenioo refuses a call and names no time: ``[xbackup] xenioo_cooldown``.

    :return: the wait, by default the vendor's hour
    :raises InvalidArgumentError: when the option is no number of seconds
    """
    from airflow_provider_xbackup.services.xenioo import COOLDOWN

    return _read_seconds("xenioo_cooldown", COOLDOWN)


def spool_dir() -> Path:
    """Return the private folder of the worker for what cannot be had again: ``[xbackup] spool_dir``.

    :return: the folder, which may not exist; by default one of this user's in the system's temporary folder
    """
    from airflow.providers.common.compat.sdk import conf

    configured = conf.get(_SECTION, "spool_dir", fallback="")
    return Path(configured) if configured else Path(gettempdir()) / f"xbackup-spool-{os.getuid()}"


def page_timeout() -> timedelta:
    """Return how long the page waits for a vault: ``[xbackup] page_timeout``, by default ten seconds.

    :raises InvalidArgumentError: when the option is no number of seconds
    """
    return _read_seconds("page_timeout", timedelta(seconds=10))


def vaults() -> tuple[WatchedVault, ...]:
    """Return the vaults that the page shows: ``[xbackup] vaults``, a JSON list.

    :raises InvalidArgumentError: when it cannot be meant
    """
    from airflow.providers.common.compat.sdk import conf

    from airflow_provider_xbackup.page.watched import read_vaults

    return read_vaults(conf.get(_SECTION, "vaults", fallback=""))


def download_connections() -> int:
    """Return how many connections bring a file where one is slow: ``[xbackup] download_connections``.

    :return: the number, 1 for no more than one
    :raises InvalidArgumentError: when the option is no such number
    """
    from airflow.providers.common.compat.sdk import conf

    from airflow_provider_xbackup.transfer.parts import CONNECTIONS, MOST_CONNECTIONS

    text = conf.get(_SECTION, "download_connections", fallback="").strip()
    if not text:
        return CONNECTIONS
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 2 else 0
    if not 1 <= number <= MOST_CONNECTIONS:
        raise InvalidArgumentError(
            f"[{_SECTION}] download_connections in Airflow's configuration must be a whole number from 1 to "
            f"{MOST_CONNECTIONS}, and is {text!r}."
        )
    return number


def _read_seconds(option: str, default: timedelta) -> timedelta:
    from airflow.providers.common.compat.sdk import conf

    text = conf.get(_SECTION, option, fallback="")
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    # Written so that "nan" is refused as well.
    if not 0 < seconds <= _LONGEST.total_seconds():
        raise InvalidArgumentError(
            f"[{_SECTION}] {option} in Airflow's configuration must be a number of seconds above 0 and at most "
            f"31 days, and is {text!r}."
        )
    return timedelta(seconds=seconds)
