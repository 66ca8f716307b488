"""Many triggers of one tenant: one look at the connection, one token, few sockets, a budget that all share."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from polled_service import PolledService

from airflow_provider_xbackup.hooks import xray as xray_hook
from airflow_provider_xbackup.http import throttle, tokens
from airflow_provider_xbackup.http.throttle import RateLimit
from airflow_provider_xbackup.triggers.xray import XrayBackupTrigger


def triggers(count: int) -> list[XrayBackupTrigger]:
    return [
        XrayBackupTrigger(
            job_id=f"job-{number}",
            xray_conn_id="crowded",
            account="crowded",
            poll_interval=0.001,
            deadline=time.time() + 10_000,
            outage_tolerance=60.0,
        )
        for number in range(count)
    ]


async def statuses(crowd: list[XrayBackupTrigger]) -> list[str]:
    async def wait(one: XrayBackupTrigger) -> str:
        (event,) = [event async for event in one.run()]
        return str(event.payload["status"])

    return await asyncio.gather(*(wait(one) for one in crowd))


@pytest.fixture
def no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_cache", {})


@pytest.fixture
def no_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xray_hook, "_REQUESTS", 1_000_000)


@pytest.fixture
async def service(request: pytest.FixtureRequest, connect: Any) -> AsyncIterator[PolledService]:
    service = PolledService(at_once=getattr(request, "param", 1))
    async with service.serving() as url:
        connect("crowded", conn_type="xray", host=url, login="id", password="secret")
        yield service


async def test_they_look_their_connection_up_once(
    service: PolledService, no_tokens: None, no_budget: None, monkeypatch: pytest.MonkeyPatch
):
    looked_up: list[str] = []
    real = xray_hook.find_connection_async

    async def find(hook: Any, conn_id: str, service: str) -> Any:
        looked_up.append(conn_id)
        return await real(hook, conn_id, service)

    monkeypatch.setattr(xray_hook, "find_connection_async", find)
    service.done.set()

    assert set(await statuses(triggers(50))) == {"success"}
    assert looked_up == ["crowded"]


async def test_they_ask_for_one_token(service: PolledService, no_tokens: None, no_budget: None):
    service.done.set()

    assert set(await statuses(triggers(50))) == {"success"}
    assert (service.logins, len(service.questions)) == (1, 50)


@pytest.mark.parametrize("service", [2], indirect=True)
async def test_they_share_two_sockets(service: PolledService, no_tokens: None, no_budget: None):
    """No question is answered before two are under way, so two there must be; and there are no more."""
    service.done.set()

    assert set(await statuses(triggers(80))) == {"success"}
    assert len(service.connections) == 2


class Clock:
    """A clock that moves when somebody waits for the budget, and no other way."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


async def test_they_stay_below_the_vendors_budget_and_none_of_them_starves(
    service: PolledService, no_tokens: None, monkeypatch: pytest.MonkeyPatch
):
    clock, turns = Clock(), []
    real = RateLimit.turn

    async def turn(limit: RateLimit) -> None:
        await real(limit)
        turns.append(clock.now)
        if len(turns) == 1000:
            service.done.set()

    monkeypatch.setattr(throttle, "time", clock)
    monkeypatch.setattr(throttle, "asyncio", SimpleNamespace(Lock=asyncio.Lock, sleep=clock.sleep))
    monkeypatch.setattr(RateLimit, "turn", turn)

    assert set(await statuses(triggers(50))) == {"success"}

    assert clock.now > 1000
    assert max(sum(begin <= at <= begin + 300 for at in turns) for begin in turns) <= 300
    assert max(later - earlier for earlier, later in itertools.pairwise(turns)) < 2
    assert 2 * min(service.questions.values()) > max(service.questions.values())
