"""Adds the page to Airflow's API server and to its navigation."""

from __future__ import annotations

from functools import cache
from typing import Any

from airflow.plugins_manager import AirflowPlugin


class _Apps:
    """Makes the app when it is asked for: every process of Airflow loads plugins, one serves pages."""

    def __get__(self, instance: object, owner: type) -> list[dict[str, Any]]:
        return _apps()


@cache
def _apps() -> list[dict[str, Any]]:
    from airflow_provider_xbackup.page.app import create_app

    return [{"app": create_app(), "url_prefix": "/xbackup", "name": "XBackup"}]


class XBackupPlugin(AirflowPlugin):
    """The page ``Backups``, served under ``/xbackup``."""

    name = "xbackup"
    fastapi_apps = _Apps()
    external_views = [  # noqa: RUF012 - as the base class declares it
        {
            "name": "Backups",
            "href": "xbackup/",
            "url_route": "xbackup",
            "destination": "nav",
            "icon": "xbackup/assets/icon.svg",
            "icon_dark_mode": "xbackup/assets/icon-dark.svg",
            "nav_top_level": True,
        }
    ]
