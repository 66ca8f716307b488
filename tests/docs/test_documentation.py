"""What the documentation says can be followed: links from the code, snippets, the build itself."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from pages import pages

from airflow_provider_xbackup.cli import list_backups
from airflow_provider_xbackup.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / page for page in pages()]
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


def test_every_file_that_the_readme_links_to_is_there():
    links = re.findall(r"\]\(((?!https?:)[^)#]+)", (ROOT / "README.md").read_text())

    assert "docs/quickstart.md" in links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("code", snippets())
def test_every_python_snippet_runs_as_a_dag_file_would(code: str):
    module = ModuleType("snippet")
    module.__file__ = str(ROOT / "example_dags" / "snippet.py")

    exec(compile(code, "snippet", "exec"), module.__dict__)


def test_the_sample_of_a_list_in_the_readme_is_what_the_command_writes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    text = (ROOT / "README.md").read_text()
    sample = text.partition("$ xbackup list s3://backups/xbackup\n")[2].partition("```")[0]
    monkeypatch.setenv("COLUMNS", "120")
    sizes = {"xray/acme": 1_420_000_000, "xenioo/welcome": 151_000}
    backups = [
        SimpleNamespace(
            backup_id=line.split()[0],
            path=SimpleNamespace(service=account.partition("/")[0], account=account.partition("/")[2]),
            instant=datetime.now(UTC) - timedelta(hours=6),
            manifest=SimpleNamespace(stored_size=size),
            state="ok",
        )
        for line, (account, size) in zip(sample.splitlines()[1:3], sizes.items(), strict=True)
    ]

    list_backups._write_table(backups, "s3://backups/xbackup", checks=False)

    written = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert written == sample.splitlines()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.NAME)
def test_every_option_of_a_command_is_described(command: ModuleType):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    words = set(re.findall(r"--[\w-]+", (ROOT / "docs" / "cli.md").read_text()))

    # Of the rules of retention the page names the first and the last.
    rule = re.compile(r"--keep-(within-)?(daily|weekly|monthly)")
    assert {option for option in options(parser) if not rule.fullmatch(option)} <= words


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from options(each)
        elif action.help != argparse.SUPPRESS and action.dest != "help":
            yield from (name for name in action.option_strings if name.startswith("--"))


def test_the_documentation_builds_without_warnings(tmp_path: Path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", ROOT / "docs", tmp_path]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
