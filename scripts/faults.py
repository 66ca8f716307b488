"""Cause every fault of docs/reliability.md and sum up what came of it.

Each row of that page names a fault, what it must never lead to, and the tests that cause it. This runs
those tests, the ones with a whole Airflow included, and counts the rows whose tests did not all pass.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"

#: What a fault must never lead to, in the words of the page and of the summary.
OUTCOMES = {"lost": "Backups lost", "duplicate": "Duplicates", "leak": "Leaks"}

_COLUMNS = 5
_CELL_END = re.compile(r"(?<!\\)\|")
_TEST = re.compile(r"`(tests/[\w/]+\.py::(?:\w+::)?\w+)`")


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the page.

    :param section: the heading it stands under
    :param name: the fault
    :param never: what it must not lead to, a key of :data:`OUTCOMES`
    :param tests: the node ids of the tests that cause it
    """

    section: str
    name: str
    never: str
    tests: tuple[str, ...]


def read_faults(page: str) -> Iterator[Fault]:
    """Read the rows of the page.

    :param page: its text
    :return: the faults
    :raises ValueError: when a row has another form, proves nothing or names an unknown outcome
    """
    section = ""
    for line in page.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ").strip()
        if not line.startswith("|") or line.startswith(("|---", "| Fault ")):
            continue
        cells = [cell.strip() for cell in _CELL_END.split(line)[1:-1]]
        if len(cells) != _COLUMNS:
            raise ValueError(f"a row has {len(cells)} columns, not {_COLUMNS}: {line}")
        named = [item.strip() for item in cells[4].split("<br>")]
        tests = [match[1] for item in named if (match := _TEST.fullmatch(item))]
        if len(tests) != len(named):
            raise ValueError(f"a proof is not written as `tests/file.py::test`: {line}")
        fault = Fault(section, cells[0], cells[3].strip("`"), tuple(tests))
        if fault.never not in OUTCOMES:
            raise ValueError(f"{fault.never!r} is none of {', '.join(OUTCOMES)}: {line}")
        yield fault


def missing_tests(faults: Iterable[Fault]) -> list[str]:
    """Return the tests that the page names and that do not exist."""
    named = sorted({test for fault in faults for test in fault.tests})
    return [test for test in named if test.partition("::")[2] not in _tests_in(test.partition("::")[0])]


def _tests_in(path: str) -> set[str]:
    file = ROOT / path
    if not file.is_file():
        return set()
    body = ast.parse(file.read_text()).body
    classes = [node for node in body if isinstance(node, ast.ClassDef)]
    return {*_functions(body), *(f"{each.name}::{name}" for each in classes for name in _functions(each.body))}


def _functions(body: list[ast.stmt]) -> list[str]:
    return [node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _run(tests: list[str]) -> dict[str, Counter[str]]:
    """Run the tests and count, for each, how its cases ended: ``passed``, ``failed`` or ``skipped``."""
    with tempfile.TemporaryDirectory(prefix="xbackup-faults-") as folder:
        report = Path(folder) / "report.xml"
        command = ["-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "-m", "", f"--junitxml={report}"]
        subprocess.run([sys.executable, *command, *tests], cwd=ROOT, check=False)
        cases = ElementTree.parse(report).iter("testcase")
        ended: dict[str, Counter[str]] = {}
        for case in cases:
            module, _, group = case.get("classname", "").partition(".Test")
            path = module.replace(".", "/") + ".py"
            name = (f"Test{group}::" if group else "") + case.get("name", "").partition("[")[0]
            outcomes = {"failure": "failed", "error": "failed", "skipped": "skipped"}
            outcome = next((outcomes[child.tag] for child in case if child.tag in outcomes), "passed")
            ended.setdefault(f"{path}::{name}", Counter())[outcome] += 1
    return ended


def main() -> int:
    """Run every fault and print the summary.

    :return: 0 when every fault was caused and none had its consequence
    """
    faults = list(read_faults(PAGE.read_text()))
    if missing := missing_tests(faults):
        print("docs/reliability.md names tests that do not exist:", *missing, sep="\n  ")
        return 1
    tests = sorted({test for fault in faults for test in fault.tests})
    ended = _run(tests)
    broken = [fault for fault in faults if any(ended.get(test, {}).get("failed") for test in fault.tests)]
    untried = [
        fault
        for fault in faults
        if fault not in broken
        and any(not ended.get(test, {}).get("passed") or ended[test]["skipped"] for test in fault.tests)
    ]
    for fault in broken:
        print(f"NOT AS PROMISED  {fault.section}: {fault.name}")
    for fault in untried:
        print(f"NOT TRIED        {fault.section}: {fault.name}")
    cases = sum(sum(counts.values()) for counts in ended.values())
    print(f"\n{'Faults tried':<14}{len(faults) - len(untried):>6}   in {cases} test cases")
    consequences = Counter(fault.never for fault in broken)
    for outcome, title in OUTCOMES.items():
        print(f"{title:<14}{consequences[outcome]:>6}")
    return 1 if broken or untried else 0


if __name__ == "__main__":
    sys.exit(main())
