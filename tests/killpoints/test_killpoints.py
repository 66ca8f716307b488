"""Every storage call of a transfer fails, or is the last one of its process.

A call is one of obstore's functions, of the interpreter's own on a disk, or a single request to an object store.
The default run tries every call of the scenarios below where it matters most; ``make faults`` tries them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from killpoint_plan import FAILS, KILLS
from killpoint_world import Scenario, Trial, World, count_calls, refuse_accidents, try_all

_UPLOAD_FAILED = {"at": "open bot.", "mode": "fail from"}
_DIED_AT_MANIFEST = {"at": "os.link", "mode": "kill before"}
# Data and attachments are stored side by side: what lies around must not depend on who was quicker.
_DIED_IN_UPLOAD = {"at": "PUT attachments", "mode": "kill after", "once": "PUT backup"}

SCENARIOS = {
    "xray on disk": Scenario("xray", "disk", floor=50),
    "xray encrypted on disk": Scenario("xray", "disk", encrypted=True, floor=50),
    "xray on s3": Scenario("xray", "s3", floor=15),
    "xray encrypted on s3": Scenario("xray", "s3", encrypted=True, floor=15),
    "xenioo on disk": Scenario("xenioo", "disk", floor=50),
    "xenioo encrypted on disk": Scenario("xenioo", "disk", encrypted=True, floor=50),
    "xenioo in hand": Scenario("xenioo", "disk", before=(_UPLOAD_FAILED,), floor=40),
    "xenioo on s3": Scenario("xenioo", "s3", floor=8),
    "garbage on disk": Scenario("xray", "disk", before=(_DIED_AT_MANIFEST,), do="collect", floor=15),
    "garbage on s3": Scenario("xray", "s3", before=(_DIED_IN_UPLOAD,), do="collect", floor=5),
}

#: What is tried in every run; the rest takes minutes.
USUAL = {
    ("xray on disk", "kill before"),
    ("xray on s3", "kill after"),
    ("xray on s3", "fail after"),
    ("xenioo on disk", "kill before"),
    ("xenioo on disk", "fail after"),
    ("xenioo in hand", "fail before"),
    ("garbage on s3", "kill before"),
}


def matrix(modes: tuple[str, ...]) -> list[Any]:
    return [
        pytest.param(
            scenario, mode, id=f"{name}, {mode}", marks=() if (name, mode) in USUAL else pytest.mark.exhaustive
        )
        for name, scenario in SCENARIOS.items()
        for mode in modes
    ]


def at_every_call(calls: list[str], mode: str, **more: Any) -> dict[str, dict[str, Any]]:
    return {
        f"{mode} {number} ({name})": {"plan": {"at": number, "mode": mode, **more}}
        for number, name in enumerate(calls, 1)
    }


@pytest.mark.parametrize(("scenario", "mode"), matrix(FAILS))
def test_whichever_call_fails_nothing_is_lost_and_the_next_try_converges(
    world: World, scenario: Scenario, mode: str
):
    try_all(world, scenario, at_every_call(count_calls(world, scenario), mode))


@pytest.mark.parametrize(("scenario", "mode"), matrix(KILLS))
def test_at_whichever_call_the_process_dies_nothing_is_lost_and_the_next_try_converges(
    world: World, scenario: Scenario, mode: str
):
    calls = count_calls(world, scenario, streams=True)

    try_all(world, scenario, at_every_call(calls, mode, streams=True))


@pytest.mark.parametrize("mode", [pytest.param("fail before", marks=pytest.mark.exhaustive), "fail after"])
def test_a_request_that_fails_once_is_repeated_by_the_client_and_nothing_is_doubled(world: World, mode: str):
    def check(trial: Trial, fault: Mapping[str, Any]) -> None:
        trial.check({**fault, "repeats": True})
        if mode == "fail before":
            assert len(trial.calls(1)) > len(calls), "nothing was repeated"
            assert trial.tries == 2

    scenario = SCENARIOS["xray on s3"]
    calls = count_calls(world, scenario)
    try_all(world, scenario, at_every_call(calls, mode), check)


@pytest.mark.parametrize("name", ["xray on disk", "xenioo on disk", "xenioo in hand"])
def test_a_process_that_dies_in_the_middle_of_a_write_leaves_nothing_that_is_not_collected(
    world: World, name: str
):
    halves = []

    def check(trial: Trial, fault: Mapping[str, Any]) -> None:
        with_half = dict(fault, kills=True, log="/dev/null")
        in_hand = trial.in_hand()
        ending = trial.run("transfer", **with_half)
        refuse_accidents(ending)
        halves.append(bool(trial.store.unfinished()) or bool(list(trial.spool.glob("*.body"))))
        assert trial.new_backups() == set()
        trial.converge(set(), in_hand=in_hand)

    try_all(
        world, SCENARIOS[name], {f"{size} bytes": {"limit": size} for size in (0, 1, 700, 30_000, 80_000)}, check
    )

    assert any(halves)
