"""A table of what passed where, made by the run itself, for a page of the documentation.

A test says which row it belongs to and which column, with marks on itself or on a parameter::

    @pytest.mark.row("create-only")
    @pytest.mark.parametrize("store", [pytest.param("disk", marks=pytest.mark.column("local disk"))])
    def test_what_exists_is_not_created_again(store): ...

All tests of a row and a column make one cell: ``failed`` when one of them did, else ``passed`` when one of them
did, else ``n/a``. Why something was skipped becomes a footnote, and so does what a test tells to the fixture
``outcome_note``. What a reader has to know of the whole run, such as versions, a test tells to ``outcome_fact``;
what it counted, for a column of its own before the others, to ``outcome_figure``.
``pytest --outcome-table FILE`` writes the table, rows and columns in the order of the tests. A run that is
broken off leaves the file as it was.
"""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_CELL, _FACT, _FIGURE, _NOTE = "outcome-cell", "outcome-fact", "outcome-figure", "outcome-note"
_LEGEND = "`n/a`: does not apply, see the footnote. `-`: no test tries it."


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcome-table", metavar="FILE", type=Path, help="write what passed where into this file")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "row(name): the row of the test in the table of outcomes")
    config.addinivalue_line("markers", "column(name): its column")
    file = config.getoption("--outcome-table")
    if file is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(OutcomeTable(file), "outcome-table")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks: dict[tuple[str, str], int] = {}
    for item in items:
        row, column = (item.get_closest_marker(name) for name in ("row", "column"))
        if row is not None and column is not None:
            names = row.args[0], column.args[0]
            places = [ranks.setdefault(key, len(ranks)) for key in zip(("row", "column"), names, strict=True)]
            item.user_properties.append((_CELL, [*names, *places]))


@pytest.fixture
def outcome_fact(record_property: Callable[[str, object], None]) -> Callable[[str, str], None]:
    """Tell a fact about the run by its name, such as the version of a server."""
    return lambda name, value: record_property(_FACT, [name, value])


@pytest.fixture
def outcome_figure(record_property: Callable[[str, object], None]) -> Callable[[str, str], None]:
    """Tell what the test counted, such as "3 of 3", for a column of its row."""
    return lambda column, text: record_property(_FIGURE, [column, text])


@pytest.fixture
def outcome_note(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Tell what a reader has to know of the test's cell."""
    return lambda text: record_property(_NOTE, text)


@dataclass
class Cell:
    """What the tests of a row and a column did.

    :param outcomes: ``passed``, ``failed`` and ``skipped``, as far as they came
    :param notes: why tests were skipped, and what they told
    """

    outcomes: set[str] = field(default_factory=set)
    notes: dict[str, None] = field(default_factory=dict)

    def add(self, report: pytest.TestReport, notes: list[str]) -> None:
        self.notes.update(dict.fromkeys(notes))
        if report.failed:
            self.outcomes.add("failed")
        elif report.skipped:
            self.outcomes.add("skipped")
            self.notes[_reason(report)] = None
        elif report.when == "call":
            self.outcomes.add("passed")

    @property
    def word(self) -> str:
        for outcome, word in (("failed", "failed"), ("passed", "passed"), ("skipped", "n/a")):
            if outcome in self.outcomes:
                return word
        return ""


class OutcomeTable:
    """Collects outcomes and writes them down when the run ends.

    :param file: where
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._cells: dict[tuple[str, str], Cell] = {}
        self._rows: dict[str, int] = {}
        self._columns: dict[str, int] = {}
        self._figures: dict[str, dict[str, str]] = {}
        self._facts: dict[str, str] = {}
        self._tests: set[str] = set()
        self._written = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told: dict[str, list[Any]] = {}
        for name, value in report.user_properties:
            told.setdefault(name, []).append(value)
        self._facts.update(dict(told.get(_FACT, ())))
        for row, column, row_rank, column_rank in told.get(_CELL, ()):
            self._rows[row], self._columns[column] = row_rank, column_rank
            self._cells.setdefault((row, column), Cell()).add(report, told.get(_NOTE, []))
            self._tests.add(report.nodeid)
            for name, text in told.get(_FIGURE, ()):
                self._figures.setdefault(name, {})[row] = text

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        # What a run that was broken off did not come to must not stand there as if nothing tried it.
        complete = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if self._cells and complete:
            self._written = True
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text("\n".join(self._lines()) + "\n")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        place = f"is in {self._file}" if self._written else "was not written: the run was broken off"
        terminalreporter.write_line(f"The table of outcomes {place}.")

    def _lines(self) -> Iterator[str]:
        columns = sorted(self._columns, key=self._columns.__getitem__)
        day = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
        versions = {"Python": platform.python_version(), **dict(sorted(self._facts.items()))}
        yield "<!-- Written by the tests with --outcome-table, not by hand. -->"
        yield f"{len(self._tests)} tests on {day}: {', '.join(' '.join(fact) for fact in versions.items())}."
        yield _LEGEND
        yield ""
        yield _line("", *self._figures, *columns)
        yield _line("---", *("---" for _ in (*self._figures, *columns)))
        notes: dict[str, int] = {}
        for row in sorted(self._rows, key=self._rows.__getitem__):
            figures = (counted.get(row, "-") for counted in self._figures.values())
            yield _line(row, *figures, *(self._word(row, column, notes) for column in columns))
        yield ""
        yield from (f"[^{self._label(number)}]: {reason}" for reason, number in notes.items())

    def _word(self, row: str, column: str, notes: dict[str, int]) -> str:
        cell = self._cells.get((row, column), Cell())
        marks = (f"[^{self._label(notes.setdefault(reason, len(notes) + 1))}]" for reason in cell.notes)
        return " ".join((cell.word, *marks)) or "-"

    def _label(self, number: int) -> str:
        return f"{self._file.stem}-{number}"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _reason(report: pytest.TestReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return " ".join(text.removeprefix("Skipped: ").split())
