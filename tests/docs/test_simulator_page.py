"""The page about the simulator is what its models say."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_tells_every_setting_and_every_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import simulator_page

    assert simulator_page.PAGE.read_text() == simulator_page.page()
