"""How Sphinx builds these pages. No network is needed."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from sphinx.errors import ExtensionError

from airflow_provider_xbackup import __version__

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
import faults

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
exclude_patterns = ["_build", "results"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"show-inheritance": True}

html_theme = "furo"
html_title = f"{project} {version}"
# The addresses in the schemas' own "$id".
html_extra_path = ["lineage.schema.json", "manifest.schema.json", "records.schema.json"]


def setup(app: Any) -> None:
    """Demand the tests that pages name, and show the task groups as the functions they are made of."""
    from airflow_provider_xbackup import task_groups

    app.connect("builder-inited", demand_proofs)

    for name in ("xray_backup", "xenioo_backup"):
        setattr(task_groups, name, getattr(task_groups, name).function)


def demand_proofs(app: Any) -> None:  # noqa: ARG001 - Sphinx calls it so
    """Build no page about faults whose tests are not there.

    :raises ExtensionError: when reliability.md names a test that does not exist
    """
    try:
        missing = faults.missing_tests(faults.read_faults(faults.PAGE.read_text()))
    except ValueError as exc:
        raise ExtensionError(f"reliability.md: {exc}") from None
    if missing:
        raise ExtensionError(f"reliability.md names tests that do not exist: {', '.join(missing)}")
