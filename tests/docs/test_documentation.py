"""What the documentation says can be followed: links from the code, snippets, the build itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
_NAMED = re.compile(r"docs/([\w-]+\.md)(?:#([\w-]+))?")
_PYTHON = re.compile(r"^(?:```|:::)\{?(?:python)\}?\n(.*?)^(?:```|:::)", re.MULTILINE | re.DOTALL)


def places_named_in_the_code() -> list[tuple[str, str | None]]:
    sources = (ROOT / "airflow_provider_xbackup").rglob("*.py")
    found = {match.groups() for path in sources for match in _NAMED.finditer(path.read_text())}
    return sorted(found, key=str)


def snippets() -> list[object]:
    return [
        pytest.param(code, id=f"{page.name}-{number}")
        for page in PAGES
        for number, code in enumerate(_PYTHON.findall(page.read_text()))
    ]


@pytest.mark.parametrize(("page", "anchor"), places_named_in_the_code())
def test_every_place_of_the_documentation_that_the_code_names_exists(page: str, anchor: str | None):
    text = (ROOT / "docs" / page).read_text()

    assert anchor is None or f"({anchor})=" in text


@pytest.mark.parametrize("code", snippets())
def test_every_python_snippet_runs_as_a_dag_file_would(code: str):
    module = ModuleType("snippet")
    module.__file__ = str(ROOT / "example_dags" / "snippet.py")

    exec(compile(code, "snippet", "exec"), module.__dict__)


def test_the_documentation_builds_without_warnings(tmp_path: Path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", ROOT / "docs", tmp_path]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
