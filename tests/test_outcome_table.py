"""The table of outcomes says what the tests did."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

TESTS = """
    import pytest

    STORES = [pytest.param(name, marks=pytest.mark.column(name)) for name in ("disk", "s3", "gcs")]

    @pytest.fixture(params=STORES)
    def store(request):
        return request.param

    @pytest.mark.row("put")
    def test_put(store, outcome_fact):
        outcome_fact("emulator", "1.2")
        assert store != "gcs"

    @pytest.mark.row("put")
    def test_put_again(store, outcome_note):
        if store == "s3":
            outcome_note("the second one wins")

    @pytest.mark.row("lock | hold")
    def test_lock(store):
        if store == "disk":
            pytest.skip("a disk\\n locks nothing")

    @pytest.mark.row("a server that is not there")
    @pytest.mark.column("s3")
    class TestSetup:
        @pytest.fixture
        def server(self):
            raise RuntimeError("no server")

        def test_it(self, server):
            pass

    @pytest.mark.row("names")
    @pytest.mark.parametrize("name", ["short", "long"])
    def test_names(store, name):
        if (store, name) == ("disk", "long"):
            pytest.skip("a disk locks nothing")

    def test_in_no_table(store):
        assert False
"""


@pytest.fixture(autouse=True)
def plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


@pytest.mark.parametrize("workers", [pytest.param((), id="alone"), pytest.param(("-n", "2"), id="with workers")])
def test_cells_rows_and_columns_come_from_the_run(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    pytester.makepyfile(TESTS)

    done = pytester.run(
        sys.executable, "-m", "pytest", "-p", "outcome_table", *workers, "--outcome-table", "results/table.md"
    )

    assert done.ret == 1
    lines = (pytester.path / "results" / "table.md").read_text().splitlines()
    assert lines[1].startswith("16 tests on 20")
    assert lines[1].endswith("emulator 1.2.")
    assert lines[4:] == [
        "|  | disk | s3 | gcs |",
        "| --- | --- | --- | --- |",
        "| put | passed | passed [^table-1] | failed |",
        r"| lock \| hold | n/a [^table-2] | passed | passed |",
        "| a server that is not there | - | failed | - |",
        "| names | passed [^table-2] | passed | passed |",
        "",
        "[^table-1]: the second one wins",
        "[^table-2]: a disk locks nothing",
    ]


def test_what_tests_counted_stands_before_the_outcomes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.column("Outcome")
        @pytest.mark.parametrize("arrived", [
            pytest.param(3, marks=pytest.mark.row("worker killed")),
            pytest.param(2, marks=pytest.mark.row("disk full")),
        ])
        def test_faults(arrived, outcome_figure):
            outcome_figure("Arrived", f"{arrived} of 3")
            assert arrived == 3

        @pytest.mark.row("no fault")
        @pytest.mark.column("Outcome")
        def test_no_fault():
            pass
    """)

    pytester.run(sys.executable, "-m", "pytest", "-p", "outcome_table", "--outcome-table", "table.md")

    assert (pytester.path / "table.md").read_text().splitlines()[4:] == [
        "|  | Arrived | Outcome |",
        "| --- | --- | --- |",
        "| worker killed | 3 of 3 | passed |",
        "| disk full | 2 of 3 | failed |",
        "| no fault | - | passed |",
        "",
    ]


def test_nothing_is_written_unless_a_file_is_named(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)

    done = pytester.run(sys.executable, "-m", "pytest", "-p", "outcome_table", "-p", "no:cacheprovider")

    assert done.ret == 1
    assert list(pytester.path.rglob("*.md")) == []


def test_a_run_that_is_broken_off_leaves_the_table_as_it_was(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.row("no fault")
        @pytest.mark.column("Outcome")
        @pytest.mark.parametrize("number", range(2))
        def test_no_fault(number):
            if number:
                raise KeyboardInterrupt
    """)
    table = pytester.path / "table.md"
    table.write_text("of an earlier run")

    done = pytester.run(sys.executable, "-m", "pytest", "-p", "outcome_table", "--outcome-table", str(table))

    assert done.ret == pytest.ExitCode.INTERRUPTED
    assert table.read_text() == "of an earlier run"
    done.stdout.fnmatch_lines(["*was not written: the run was broken off*"])
