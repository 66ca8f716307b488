from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_xbackup.vault.drops import find_drops


def test_what_could_not_be_counted_did_not_fall():
    before = {"tests": 100, "testSets": 10}

    assert find_drops({}, before, 0.5, frozenset({"tests"})) == ["testSets fell from 10 to 0"]


@pytest.mark.parametrize(
    ("now", "before", "max_drop", "expected"),
    [
        pytest.param({"tests": 50}, {"tests": 100}, 0.5, [], id="just what may fall"),
        pytest.param({"tests": 49}, {"tests": 100}, 0.5, ["tests fell from 100 to 49"], id="more"),
        pytest.param({}, {"tests": 100}, 0.5, ["tests fell from 100 to 0"], id="gone"),
        pytest.param(*({"tests": 9000}, {"tests": 116000}, 0.5, ["tests fell from 116,000 to 9,000"]), id="many"),
        pytest.param({"tests": 5}, {}, 0.5, [], id="new"),
        pytest.param({"tests": 0}, {"tests": 0}, 0.0, [], id="none before"),
        pytest.param({"tests": 99}, {"tests": 100}, 0.0, ["tests fell from 100 to 99"], id="nothing may fall"),
        pytest.param({}, {"tests": 100}, 1.0, [], id="everything may fall"),
    ],
)
def test_what_fell_too_far_is_named(now: Any, before: Any, max_drop: float, expected: list[str]):
    assert list(find_drops(now, before, max_drop)) == expected
