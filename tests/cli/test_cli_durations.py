"""Durations that people write."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_xbackup.cli.durations import duration
from airflow_provider_xbackup.cli.main import main


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90min", timedelta(minutes=90)),
        ("26h", timedelta(hours=26)),
        ("1d12h", timedelta(days=1, hours=12)),
        ("2w", timedelta(weeks=2)),
        ("0d", timedelta(0)),
        ("36525d", timedelta(days=36525)),
    ],
)
def test_a_duration_is_read(text: str, expected: timedelta) -> None:
    assert duration(text) == expected


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["hold", "VAULT", "20261101", "--why", "x", "--for"], id="a hold"),
        pytest.param(["undelete", "VAULT", "20261101", "--for"], id="an undeletion"),
        pytest.param(["retention", "plan", "VAULT", "--keep-last", "1", "--grace"], id="a grace period"),
        pytest.param(
            ["retention", "apply", "VAULT", "--keep-last", "1", "--garbage-after"], id="an age of garbage"
        ),
        pytest.param(["garbage", "VAULT", "--older-than"], id="an age"),
        pytest.param(["status", "VAULT", "--rpo"], id="a promise"),
    ],
)
@pytest.mark.parametrize("text", ["36526d", "999999w", "999999w" * 200, "1y", "", "\u0663d"])
def test_what_is_no_duration_or_leads_off_the_calendar_is_wrong_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    assert main([str(tmp_path) if word == "VAULT" else word for word in (*words, text)]) == 2

    told = capsys.readouterr().err.splitlines()[-1]
    assert "duration" in told or "longer than 100 years" in told
