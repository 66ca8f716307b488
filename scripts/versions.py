"""Write what a cell of the matrix came to into docs/results/versions.md.

Called by the cell itself, with its own Python, so that the row says what was really installed. A row of the
same cell is replaced, all others stay.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

PAGE = Path(__file__).resolve().parent.parent / "docs" / "results" / "versions.md"
HEAD = (
    "| Airflow | Python | Dependencies | Tests | Passed | Failed | Skipped | Day |",
    "|---|---|---|---|--:|--:|--:|---|",
)

#: A row's cells; the first four say which cell of the matrix it is, and which tests ran.
Row = tuple[str, ...]
_KEY = 4


def read_rows(page: str) -> list[Row]:
    """Read the rows of the page.

    :param page: its text
    """
    lines = [line for line in page.splitlines() if line.startswith("|") and line not in HEAD]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


def write_rows(rows: list[Row]) -> str:
    """Return the text of the page.

    :param rows: the rows, in any order
    """
    return "\n".join([*HEAD, *(f"| {' | '.join(row)} |" for row in sorted(rows))]) + "\n"


def with_row(rows: list[Row], row: Row) -> list[Row]:
    """Put a row in the place of the one of the same cell."""
    return [*(each for each in rows if _cell(each) != _cell(row)), row]


def _cell(row: Row) -> Row:
    airflow, python, resolution, suite = row[:_KEY]
    return (airflow, python.rpartition(".")[0], resolution, suite)


def read_counts(report: Path) -> tuple[int, int, int]:
    """Count the tests of a JUnit report that passed, failed and were skipped.

    :param report: the report's file
    """
    suites = list(ElementTree.parse(report).iter("testsuite"))
    total, errors, failures, skipped = (
        sum(int(suite.get(name, 0)) for suite in suites) for name in ("tests", "errors", "failures", "skipped")
    )
    failed = errors + failures
    return total - failed - skipped, failed, skipped


def main(resolution: str, suite: str, report: Path) -> int:
    """Write the row of this environment.

    :param resolution: how its dependencies were resolved
    :param suite: which tests ran
    :param report: the JUnit report of the suite
    :return: 0 when no test failed
    """
    passed, failed, skipped = read_counts(report)
    python = ".".join(map(str, sys.version_info[:3]))
    counts = (str(passed), str(failed), str(skipped))
    row = (version("apache-airflow"), python, resolution, suite, *counts, f"{datetime.now(UTC):%Y-%m-%d}")
    PAGE.parent.mkdir(exist_ok=True)
    before = PAGE.read_text() if PAGE.exists() else ""
    PAGE.write_text(write_rows(with_row(read_rows(before), row)))
    print(f"{row[0]} on {python}, {resolution}, {suite}: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
