"""The tutorials, followed from their first block to their last; what they show is what comes of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from not_run import not_run
from pages import Block, blocks, pages
from terminal import EMULATORS, Terminal, shows

TUTORIALS = [page for page in pages() if page.startswith("docs/tutorials/")]


def to_follow(page: str) -> list[Block]:
    """What is done of a page: all but what the table of exceptions names."""
    return [block for block in blocks(page) if (page, block.first) not in not_run()]


@pytest.mark.parametrize("page", TUTORIALS)
def test_a_tutorial_leads_where_it_says(page: str, open_terminal: Callable[..., Terminal]):
    steps = to_follow(page)
    if any("ministack" in step.body for step in steps) and not shutil.which("ministack", path=EMULATORS / "bin"):
        pytest.skip("ministack is not installed: make .venv-emulators/.ready")
    terminal = open_terminal()

    for step in steps:
        terminal.follow(step)


@pytest.mark.parametrize(
    ("page", "terminal", "same"),
    [
        pytest.param("of 2026-11-27 07:38:54 UTC", "of 2027-01-02 03:04:05 UTC", True, id="another instant"),
        pytest.param("20261127T073854Z-full-69eded57", "20270102T030405Z-full-00000001", True, id="another id"),
        pytest.param(
            "20261127T073854Z-full-69eded57", "20270102T030405Z-partial-00000001", False, id="another kind"
        ),
        pytest.param("80 tests", "79 tests", False, id="another number"),
        pytest.param("one\n...\nfour", "one\ntwo\nthree\nfour", True, id="lines left out"),
        pytest.param("one\nfour", "one\ntwo\nfour", False, id="a line more"),
        pytest.param("is at ... now", "is at home now", True, id="words left out"),
        pytest.param("State  ok", "State   damaged", False, id="another word"),
    ],
)
def test_what_passes_for_the_same(page: str, terminal: str, same: bool):
    assert shows(page, terminal) is same


def test_a_page_that_shows_something_else_is_found_out(open_terminal: Callable[..., Terminal]):
    def block(body: str) -> Block:
        return Block("page.md", 1, "console", "", body)

    terminal = open_terminal()

    terminal.follow(block("$ echo whole\nwhole\n$ false\n$ echo $?\n1\n"))
    with pytest.raises(AssertionError, match="The page shows"):
        terminal.follow(block("$ echo damaged\nwhole\n"))
    with pytest.raises(AssertionError, match="ended with 1"):
        terminal.follow(block("$ false\n"))
    with pytest.raises(AssertionError, match="ended the shell"):
        terminal.follow(Block("page.md", 1, "sh", "", "false\ntrue\n"))
