"""A licence that nobody has decided about fails `make licences`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("says", "code"),
    [
        pytest.param("License-Expression: MIT", 0, id="permissive"),
        pytest.param("License-Expression: MPL-2.0", 0, id="weak copyleft that was decided about"),
        pytest.param("License-Expression: GPL-3.0-only", 1, id="copyleft"),
        pytest.param("Classifier: License :: OSI Approved :: GNU Affero General Public License v3", 1, id="AGPL"),
        pytest.param("License-Expression: LGPL-3.0-or-later", 1, id="weak copyleft that was not"),
        pytest.param("License-Expression: MIT AND GPL-2.0-only", 1, id="partly copyleft"),
        pytest.param("Summary: no word of it", 1, id="unknown"),
    ],
)
def test_a_licence_passes_only_when_it_was_decided_about(tmp_path: Path, says: str, code: int):
    info = tmp_path / "newcomer-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: newcomer\nVersion: 1.0\n{says}\n")

    done = subprocess.run(
        [Path(sys.executable).parent / "pip-licenses", "--packages", "newcomer"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == code, done.stdout + done.stderr
    assert "newcomer" in done.stdout + done.stderr
