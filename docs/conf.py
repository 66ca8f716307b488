"""How Sphinx builds these pages. No network is needed."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from typing import Any

from airflow_provider_xbackup import __version__

# The reference imports the whole package, and so Airflow, which makes a home for itself.
_home = tempfile.mkdtemp(prefix="xbackup-docs-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ["AIRFLOW_HOME"] = _home
os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"

project = "airflow-provider-xbackup"
author = "The airflow-provider-xbackup developers"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx's name for it
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinxcontrib.mermaid"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"show-inheritance": True}

html_theme = "furo"
html_title = f"{project} {version}"
# The address in the schema's own "$id".
html_extra_path = ["manifest.schema.json"]


def setup(app: Any) -> None:  # noqa: ARG001 - Sphinx calls it so
    """Show the task groups as the functions they are made of, with signature and docstring."""
    from airflow_provider_xbackup import task_groups

    for name in ("xray_backup", "xenioo_backup"):
        setattr(task_groups, name, getattr(task_groups, name).function)
