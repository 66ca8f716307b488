"""Two attempts of one task at the same time: one that was thought dead, and its retry."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from killpoint_world import REFUSALS, Scenario, Trial, World, count_calls, refuse_accidents, try_all, whole_backups

SCENARIOS = {
    "xray on disk": Scenario("xray", "disk", floor=50),
    "xray on s3": Scenario("xray", "s3", floor=15),
    "xray on s3 without conditions": Scenario("xray", "s3", conditions=False, floor=15),
    "xenioo on disk": Scenario("xenioo", "disk", floor=50),
    "xenioo in hand": Scenario("xenioo", "disk", before=({"at": "open bot.", "mode": "fail from"},), floor=40),
    "xenioo on s3": Scenario("xenioo", "s3", floor=8),
    "xenioo on s3 without conditions": Scenario("xenioo", "s3", conditions=False, floor=8),
}


def scenarios(*usual: str) -> pytest.MarkDecorator:
    """All of them, and those that are tried in every run."""
    return pytest.mark.parametrize(
        "scenario",
        [
            pytest.param(scenario, id=name, marks=() if name in usual else pytest.mark.exhaustive)
            for name, scenario in SCENARIOS.items()
        ],
    )


class Held:
    """An attempt that waits before one of its calls."""

    def __init__(self, trial: Trial, call: int, name: str) -> None:
        self._trial = trial
        held, self._go = trial.folder / f"{name} is held", trial.folder / f"{name} may go"
        for fifo in (held, self._go):
            os.mkfifo(fifo)
        self._held = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
        self._release = os.open(self._go, os.O_RDWR)
        plan = {"at": call, "mode": "hold before", "held": str(held), "go": str(self._go)}
        self._child = trial.start("transfer", plan=plan)

    def wait_until_held(self) -> None:
        """Wait until it waits, or has gone another way to its end because of what the other attempt did."""
        held = select.poll()
        held.register(self._held)
        assert held.poll(60_000), "it hangs"

    def let_go(self) -> None:
        """Let it go on."""
        os.write(self._release, b".")

    def ending(self) -> dict[str, Any]:
        """Wait for its end, which must be an orderly one."""
        ending = self._trial.nursery.wait(self._child)
        refuse_accidents(ending)
        assert ending["signal"] == 0
        return ending

    def close(self) -> None:
        """Let go of the FIFOs."""
        os.close(self._held)
        os.close(self._release)


@contextlib.contextmanager
def held(trial: Trial, call: int, name: str) -> Iterator[Held]:
    with contextlib.closing(Held(trial, call, name)) as attempt:
        attempt.wait_until_held()
        yield attempt


def agree(trial: Trial, *endings: Mapping[str, Any]) -> None:
    """There is one backup, whole, and whoever says that there is one says so of it."""
    new = trial.new_backups()
    assert len(new) <= 1
    for ending in endings:
        if "backup_id" in ending:
            assert new == {f"{trial.scenario.service}/acme/{ending['backup_id']}"}
    trial.converge(new)


def named_files(trial: Trial) -> set[str]:
    """The files of the backups that are visible, which are whole."""
    return set().union(*whole_backups(trial.store.files()).values())


@scenarios("xenioo in hand", "xenioo on s3 without conditions")
def test_an_attempt_that_wakes_up_after_its_retry_has_ended_harms_nothing(world: World, scenario: Scenario):
    def check(trial: Trial, fault: Mapping[str, Any]) -> None:
        with held(trial, fault["call"], "zombie") as zombie:
            retry = trial.run("transfer")
            refuse_accidents(retry)
            assert "error" not in retry or retry["error"] in REFUSALS, retry
            named = named_files(trial)
            zombie.let_go()
            ending = zombie.ending()
        if scenario.conditions:
            assert named_files(trial) >= named, "the zombie has changed what the retry stored"
        if scenario.service == "xray":
            assert "backup_id" in ending, ending
        agree(trial, retry, ending)

    calls = count_calls(world, scenario)
    try_all(world, scenario, {f"woke up at {n} ({name})": {"call": n} for n, name in enumerate(calls, 1)}, check)


@scenarios("xray on s3", "xenioo on s3 without conditions")
def test_two_attempts_that_do_the_same_call_at_the_same_instant_agree_on_one_backup(
    world: World, scenario: Scenario
):
    def check(trial: Trial, fault: Mapping[str, Any]) -> None:
        with contextlib.ExitStack() as both:
            first = both.enter_context(held(trial, fault["call"], "first"))
            second = both.enter_context(held(trial, fault["call"], "second"))
            first.let_go()
            second.let_go()
            endings = first.ending(), second.ending()
        assert any("backup_id" in ending for ending in endings), endings
        agree(trial, *endings)

    calls = count_calls(world, scenario)
    try_all(world, scenario, {f"at {n} ({name})": {"call": n} for n, name in enumerate(calls, 1)}, check)
