"""What Airflow makes of the plugin."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

from airflow_provider_xbackup.plugins.page import XBackupPlugin
from airflow_provider_xbackup.provider_info import get_provider_info


def test_airflow_finds_the_plugin_by_its_entry_point_and_by_the_provider_info():
    (entry,) = (each for each in entry_points(group="airflow.plugins") if each.name == "xbackup")
    (listed,) = get_provider_info()["plugins"]

    assert entry.load() is XBackupPlugin
    assert listed == {"name": XBackupPlugin.name, "plugin-class": entry.value.replace(":", ".")}


def test_the_app_is_made_once_and_served_under_the_prefix_of_the_view():
    (app,) = XBackupPlugin().fastapi_apps
    (view,) = XBackupPlugin.external_views

    assert XBackupPlugin.fastapi_apps[0]["app"] is app["app"]
    assert view["href"] == f"{app['url_prefix'].removeprefix('/')}/"


def test_a_process_that_only_loads_plugins_does_not_make_the_app():
    script = (
        "import sys\n"
        "from airflow_provider_xbackup.plugins.page import XBackupPlugin\n"
        "print('airflow_provider_xbackup.page' in sys.modules, 'airflow_provider_xbackup.vault' in sys.modules)\n"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "False False"
