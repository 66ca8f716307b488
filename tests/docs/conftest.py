"""Terminals in which pages are followed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from processes import free_port
from terminal import Terminal, environment


@pytest.fixture
def open_terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Open a terminal in which the ports that pages name are free ones."""
    with ExitStack() as stack:

        def open_terminal(stand_ins: dict[str, str] | None = None, **more: str) -> Terminal:
            folder = tmp_path / "you"
            ports = {port: str(free_port()) for port in ("8091", "5555")}
            return stack.enter_context(Terminal(folder, environment(folder) | more, ports | (stand_ins or {})))

        yield open_terminal
