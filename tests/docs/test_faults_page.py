"""The page about faults proves what it says, and its summary counts what did not hold."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROW = "| Power cut | nothing | all of it | lost | `tests/docs/test_faults_page.py::{}` |"


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import faults

    return faults


def test_every_row_names_tests_that_exist(faults: ModuleType):
    rows = list(faults.read_faults(faults.PAGE.read_text()))

    assert faults.missing_tests(rows) == []


def test_a_test_that_does_not_exist_is_named(faults: ModuleType):
    rows = faults.read_faults(ROW.format("test_of_dreams"))

    assert faults.missing_tests(rows) == ["tests/docs/test_faults_page.py::test_of_dreams"]


def test_a_test_of_a_class_is_known_by_both_names(faults: ModuleType):
    row = "| a | b | c | lost | `tests/http/test_carriers.py::TestTls::{}` |"
    there, gone = (
        list(faults.read_faults(row.format(name)))
        for name in ("test_a_private_authority_is_refused_with_the_way_out", "test_x")
    )

    assert (faults.missing_tests(there), len(faults.missing_tests(gone))) == ([], 1)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        pytest.param("| Power cut | nothing | lost |", "3 columns", id="too few columns"),
        pytest.param(
            ROW.format("test_x").replace("` |", "`<br>`tests/nonsense` |"), "is not written as", id="half a proof"
        ),
        pytest.param(ROW.format("test_x").replace("lost", "sad"), "'sad' is none of", id="an unknown outcome"),
        pytest.param(
            "| Power cut | nothing | all of it | lost | believe it |", "is not written as", id="no proof"
        ),
    ],
)
def test_a_row_that_proves_nothing_is_refused(faults: ModuleType, row: str, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        list(faults.read_faults(row))


def test_the_pages_are_not_built_when_a_named_test_does_not_exist(tmp_path: Path):
    for folder in ("docs", "scripts", "tests/docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("_build"))
    with (tmp_path / "docs/reliability.md").open("a") as page:
        page.write(ROW.format("test_of_dreams") + "\n")

    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", tmp_path / "docs", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "test_of_dreams" in done.stderr


@pytest.mark.parametrize(
    ("body", "summary", "code"),
    [
        pytest.param("pass", ["Faults tried       1", "Backups lost       0"], 0, id="held"),
        pytest.param(
            "assert 0", ["NOT AS PROMISED", "Faults tried       1", "Backups lost       1"], 1, id="broke"
        ),
        pytest.param("pytest.skip()", ["NOT TRIED", "Faults tried       0"], 1, id="was not tried"),
    ],
)
def test_the_summary_says_what_held(
    faults: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    body: str,
    summary: list[str],
    code: int,
):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_one.py").write_text(
        f"import pytest\n\nclass TestIt:\n    def test_it(self):\n        {body}\n"
    )
    (tmp_path / "page.md").write_text(
        "## A\n\n| Power cut | - | - | lost | `tests/test_one.py::TestIt::test_it` |\n"
    )
    monkeypatch.setattr(faults, "ROOT", tmp_path)
    monkeypatch.setattr(faults, "PAGE", tmp_path / "page.md")

    monkeypatch.setattr(faults, "RESULTS", tmp_path / "results.md")

    assert faults.main(["--write"]) == code
    printed = capsys.readouterr().out
    assert [line for line in summary if line not in printed] == []
    outcome = {"pass": "held", "assert 0": "BROKE", "pytest.skip()": "not tried"}[body]
    assert (tmp_path / "results.md").read_text().splitlines()[-1] == f"| A | Power cut | lost | 1 | {outcome} |"


def test_reports_of_tests_that_ran_elsewhere_are_summed_up(
    faults: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    test = "test_every_row_names_tests_that_exist"
    case = f'<testcase classname="tests.docs.test_faults_page" name="{test}{{}}">{{}}</testcase>'
    for name, cases in (("a", case.format("@a group", "")), ("b", case.format("[x]@a group", "<failure/>"))):
        (tmp_path / f"{name}.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    (tmp_path / "page.md").write_text("## A\n\n" + ROW.format(test))
    monkeypatch.setattr(faults, "PAGE", tmp_path / "page.md")

    assert faults.main(["--reports", str(tmp_path / "a.xml")]) == 0
    assert "Faults tried       1   in 1 test cases" in capsys.readouterr().out
    assert faults.main(["--reports", str(tmp_path / "a.xml"), str(tmp_path / "b.xml")]) == 1
    assert "Backups lost       1" in capsys.readouterr().out


def test_some_faults_are_chosen_by_words_and_named_with_their_tests(
    faults: ModuleType, capsys: pytest.CaptureFixture[str]
):
    assert faults.main(["--list", "Spooled", "no-such-word"]) == 0

    *told, last = capsys.readouterr().out.splitlines()
    named = [line for line in told if not line.startswith(" ")]
    assert last == f"{len(named)} faults"
    assert named
    assert all("spool" in line.lower() for line in named)


def test_the_table_of_outcomes_tells_of_all_faults_or_is_not_written(faults: ModuleType):
    with pytest.raises(SystemExit):
        faults.main(["--write", "spool"])
