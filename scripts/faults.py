"""Cause every fault of docs/reliability.md and sum up what came of it.

Each row of that page names a fault, what it must never lead to, and the tests that cause it. This runs
those tests, the ones with a whole Airflow included, and counts the rows whose tests did not all pass. With --write
it puts the outcome of every row into docs/results/faults.md. With --reports nothing is run: the tests were,
elsewhere.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
RESULTS = ROOT / "docs" / "results" / "faults.md"

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
    """Run the tests; see :func:`read_reports`."""
    with tempfile.TemporaryDirectory(prefix="xbackup-faults-") as folder:
        report = Path(folder) / "report.xml"
        command = ["-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "-m", "", f"--junitxml={report}"]
        subprocess.run([sys.executable, *command, *tests], cwd=ROOT, check=False)
        if not report.exists():
            sys.exit("The tests were broken off: there is nothing to sum up.")
        return read_reports([report])


def read_reports(reports: Iterable[Path]) -> dict[str, Counter[str]]:
    """Count, for each test of some JUnit reports, how its cases ended: ``passed``, ``failed`` or ``skipped``.

    :param reports: the reports; a test that several tell of counts in all of them
    """
    ended: dict[str, Counter[str]] = {}
    for case in (case for report in reports for case in ElementTree.parse(report).iter("testcase")):
        module, _, group = case.get("classname", "").partition(".Test")
        path = module.replace(".", "/") + ".py"
        # Tests that have to share a process are called by it as well, as in "test_it[s3]@live airflow".
        name = (f"Test{group}::" if group else "") + re.split(r"[\[@]", case.get("name", ""), maxsplit=1)[0]
        outcomes = {"failure": "failed", "error": "failed", "skipped": "skipped"}
        outcome = next((outcomes[child.tag] for child in case if child.tag in outcomes), "passed")
        ended.setdefault(f"{path}::{name}", Counter())[outcome] += 1
    return ended


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one fault.

    :param fault: the fault
    :param cases: how many cases of its tests ended so: ``passed``, ``failed`` or ``skipped``
    :param complete: whether all its tests ran, none of them skipped
    """

    fault: Fault
    cases: Mapping[str, int]
    complete: bool

    @property
    def word(self) -> str:
        """One word: ``held``, ``BROKE`` or ``not tried``."""
        if self.cases.get("failed"):
            return "BROKE"
        return "held" if self.complete else "not tried"


def _outcome(fault: Fault, ended: Mapping[str, Counter[str]]) -> Outcome:
    counts = [ended.get(test, Counter()) for test in fault.tests]
    complete = all(each["passed"] and not each["skipped"] for each in counts)
    return Outcome(fault, sum(counts, Counter()), complete)


def choose(faults: Iterable[Fault], words: Sequence[str]) -> list[Fault]:
    """Return the faults whose section or name holds one of the words, whatever their case; all without words."""
    wanted = [word.lower() for word in words]
    return [
        fault
        for fault in faults
        if not wanted or any(word in f"{fault.section} {fault.name}".lower() for word in wanted)
    ]


def write_results(outcomes: Iterable[Outcome], day: datetime) -> str:
    """Return the table of what came of every fault.

    :param outcomes: the outcomes, in the order of the page
    :param day: when they came about
    """
    python = ".".join(map(str, sys.version_info[:3]))
    cells = (
        (each.fault.section, each.fault.name, each.fault.never, str(sum(each.cases.values())), each.word)
        for each in outcomes
    )
    rows = [f"| {' | '.join(row)} |" for row in cells]
    head = (
        f"Written by `make faults` on {day:%Y-%m-%d}: Airflow {version('apache-airflow')}, Python {python}.\n",
        "| Section | Fault | Never | Cases | Outcome |",
        "|---|---|---|--:|---|",
    )
    return "\n".join([*head, *rows]) + "\n"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Cause every fault of docs/reliability.md and sum up what came of it: all take about 25 "
        "minutes on two cores. A fault whose tests did not all pass counts under what it must never lead to."
    )
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="only faults with one of these in section or name"
    )
    parser.add_argument("--list", action="store_true", help="name the faults and their tests, and cause none")
    parser.add_argument(
        "--reports", nargs="+", type=Path, metavar="FILE", help="sum up JUnit reports of the tests, and run none"
    )
    parser.add_argument("--write", action="store_true", help="write docs/results/faults.md; not with words")
    args = parser.parse_args(argv)
    if args.write and args.words:
        parser.error("--write tells of all faults, so it takes no words")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Cause the faults and print the summary.

    :param argv: the arguments; None for those of the process
    :return: 0 when every fault was caused and none had its consequence
    """
    args = _arguments(argv)
    faults = choose(read_faults(PAGE.read_text()), args.words)
    if missing := missing_tests(faults):
        print("docs/reliability.md names tests that do not exist:", *missing, sep="\n  ")
        return 1
    if args.list or not faults:
        for fault in faults:
            print(f"{fault.section}: {fault.name}", *fault.tests, sep="\n    ")
        print(f"{len(faults)} faults")
        return 0 if faults else 1
    tests = sorted({test for fault in faults for test in fault.tests})
    told = read_reports(args.reports) if args.reports else _run(tests)
    ended = {test: told[test] for test in tests if test in told}
    outcomes = [_outcome(fault, ended) for fault in faults]
    if args.write:
        RESULTS.write_text(write_results(outcomes, datetime.now(UTC)))
    return _sum_up(outcomes, sum(sum(counts.values()) for counts in ended.values()))


def _sum_up(outcomes: Sequence[Outcome], cases: int) -> int:
    titles = {"BROKE": "NOT AS PROMISED", "not tried": "NOT TRIED"}
    for each in outcomes:
        if each.word in titles:
            print(f"{titles[each.word]:<17}{each.fault.section}: {each.fault.name}")
    broken = Counter(each.fault.never for each in outcomes if each.word == "BROKE")
    tried = sum(each.word != "not tried" for each in outcomes)
    print(f"\n{'Faults tried':<14}{tried:>6}   in {cases} test cases")
    for outcome, title in OUTCOMES.items():
        print(f"{title:<14}{broken[outcome]:>6}")
    return 0 if all(each.word == "held" for each in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
