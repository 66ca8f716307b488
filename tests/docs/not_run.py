"""The blocks that no test types, as `docs/limits.md` names them to its readers."""

from __future__ import annotations

import re

from pages import ROOT

PAGE = ROOT / "docs" / "limits.md"
_ROW = re.compile(r"^\| `(README\.md|docs/[^`]+)` \| `([^`]+)` \| (.+) \|$", re.MULTILINE)


def not_run() -> dict[tuple[str, str], str]:
    """Return the reason for each block that is not run, by its page and its first line."""
    rows = _ROW.findall(PAGE.read_text())
    reasons = {(page, first): reason for page, first, reason in rows}
    assert len(reasons) == len(rows), "a block stands twice in the table"
    return reasons
