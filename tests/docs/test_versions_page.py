"""What the runs of the matrix write, and what the page says of them."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPORT = '<testsuites><testsuite tests="9" errors="1" failures="2" skipped="1"/></testsuites>'


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import versions

    monkeypatch.setattr(versions, "PAGE", tmp_path / "results" / "versions.md")
    return versions


@pytest.fixture
def report(tmp_path: Path) -> Path:
    file = tmp_path / "report.xml"
    file.write_text(REPORT)
    return file


def test_a_run_writes_what_was_installed_and_how_its_tests_ended(versions: ModuleType, report: Path):
    assert versions.main("highest", "all", report) == 1

    (row,) = versions.read_rows(versions.PAGE.read_text())
    assert row[0] == version("apache-airflow")
    assert row[2:7] == ("highest", "all", "5", "3", "1")


def test_another_run_of_a_cell_replaces_its_row_and_no_other(versions: ModuleType, report: Path):
    versions.main("lowest", "all", report)
    versions.main("highest", "all", report)
    report.write_text(REPORT.replace('errors="1" failures="2"', 'errors="0" failures="0"'))

    assert versions.main("highest", "all", report) == 0

    rows = versions.read_rows(versions.PAGE.read_text())
    assert [(row[2], row[5]) for row in rows] == [("highest", "0"), ("lowest", "3")]


def test_a_patch_of_python_is_not_another_cell(versions: ModuleType):
    old, new = ("3.3.2", "3.12.1", "lowest", "all", "1"), ("3.3.2", "3.12.13", "lowest", "all", "2")

    assert versions.with_row([old], new) == [new]


def test_a_run_of_some_tests_is_not_one_of_all(versions: ModuleType):
    some, everything = ("3.3.2", "3.12.1", "lowest", "airflow"), ("3.3.2", "3.12.1", "lowest", "all")

    assert versions.with_row([some], everything) == [some, everything]


def test_every_folder_of_the_shorter_suite_is_there(versions: ModuleType):
    chosen = re.search(r'"airflow": \((.*?)\n    \),', (ROOT / "noxfile.py").read_text(), re.DOTALL)[1]

    places = re.findall(r"tests/[\w/.]+", chosen)
    assert {"tests/dags", "tests/test_notifications.py", "tests/upgrade"} <= set(places)
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_the_table_holds_nothing_but_rows_of_the_matrix(versions: ModuleType):
    page = (ROOT / "docs" / "results" / "versions.md").read_text()

    assert versions.write_rows(versions.read_rows(page)) == page


def test_every_supported_python_and_airflow_is_in_the_matrix_and_on_the_page():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    matrix = (ROOT / "noxfile.py").read_text()
    page = (ROOT / "docs" / "versions.md").read_text()

    pythons = [found[1] for each in project["classifiers"] if (found := re.search(r"Python :: (3\.\d+)", each))]
    assert "PYTHONS = " + json.dumps(pythons).replace("[", "(").replace("]", ")") in matrix
    assert f"| Python | {', '.join(pythons)} |" in page
    (lowest,) = (each.partition(">=")[2] for each in project["dependencies"] if each.startswith("apache-airflow>"))
    assert f'"{lowest}": ' in matrix
    assert f"{lowest} on" in page
