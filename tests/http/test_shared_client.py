"""One session, one token and one budget for all who wait on an event loop."""

from __future__ import annotations

import asyncio
import itertools
from types import SimpleNamespace

import pytest
from processes import wait_for

from airflow_provider_xbackup.http import throttle
from airflow_provider_xbackup.http.aio import shared_client
from airflow_provider_xbackup.http.endpoint import Endpoint
from airflow_provider_xbackup.http.throttle import RateLimit
from airflow_provider_xbackup.services import xray

STATUS = xray.status_request("x")
BUDGET = {"requests": 100, "period": 1.0}


async def test_many_calls_at_once_share_one_login(sim, login):
    async def one():
        async with shared_client(Endpoint(sim.url), login(sim.url), **BUDGET) as client:
            return client, (await client.call(STATUS)).status

    async with shared_client(Endpoint(sim.url), login(sim.url), **BUDGET) as mine:
        results = await asyncio.gather(*(one() for _ in range(20)))
    assert {id(client) for client, _ in results} == {id(mine)}
    assert {status for _, status in results} == {404}
    assert len(sim.journal.entries("/authenticate")) == 1


async def test_the_last_user_closes_it_and_the_next_gets_another(sim, login):
    endpoint = Endpoint(sim.url)
    async with shared_client(endpoint, login(sim.url), **BUDGET) as first:
        async with shared_client(endpoint, login(sim.url), **BUDGET) as second:
            assert second is first
        assert not first._session.closed
    assert first._session.closed
    async with shared_client(endpoint, login(sim.url), **BUDGET) as third:
        assert third is not first
        assert (await third.call(STATUS)).status == 404


async def test_a_user_that_fails_or_is_cancelled_leaves_it_to_the_others(sim, login):
    endpoint = Endpoint(sim.url)
    entered = asyncio.Event()

    async def wait_for_ever():
        async with shared_client(endpoint, login(sim.url), **BUDGET):
            entered.set()
            await asyncio.Event().wait()

    async with shared_client(endpoint, login(sim.url), **BUDGET) as client:
        waiting = asyncio.create_task(wait_for_ever())
        await entered.wait()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        with pytest.raises(ZeroDivisionError):
            async with shared_client(endpoint, login(sim.url), **BUDGET):
                raise ZeroDivisionError
        assert (await client.call(STATUS)).status == 404
    assert client._session.closed


async def test_another_way_to_the_same_host_is_another_client(sim, login, small_server):
    proxy = small_server(status=404)
    endpoints = [Endpoint(sim.url), Endpoint(sim.url, proxy=proxy.url), Endpoint(sim.url, verify=False)]
    async with (
        shared_client(endpoints[0], login(sim.url), **BUDGET) as one,
        shared_client(endpoints[1], login(sim.url), **BUDGET) as two,
        shared_client(endpoints[2], login(sim.url), **BUDGET) as three,
        shared_client(endpoints[0], login(sim.url, secret="other"), **BUDGET) as four,
    ):
        assert len({id(client) for client in (one, two, three, four)}) == 4


async def test_the_budget_outlives_the_client(sim, login, clock):
    for _ in range(12):
        async with shared_client(Endpoint(sim.url), login(sim.url), requests=13, period=30.0) as client:
            await client.call(STATUS)
    # The login and nine calls at once, then one every ten seconds.
    assert clock.now == 30.0


async def test_a_repetition_takes_a_turn_of_its_own(sim, login, clock):
    async with shared_client(Endpoint(sim.url), login(sim.url), requests=13, period=30.0) as client:
        for _ in range(2):
            sim.add_fault(path="/status$", action="status", status=503, times=4)
            await client.call(STATUS)
    # The login, two calls and eight repetitions are one more than may begin at once.
    assert clock.now == 10.0


async def test_a_token_that_dies_while_many_wait_is_renewed_before_they_are_sent(sim, login, clock):
    async with shared_client(Endpoint(sim.url), login(sim.url), requests=13, period=30.0) as client:
        await client.call(STATUS)
        sim.revoke_tokens()
        clock.held = asyncio.Event()

        waiting = [asyncio.create_task(client.call(STATUS)) for _ in range(40)]
        await asyncio.to_thread(wait_for, "a login", lambda: len(sim.journal.entries("/authenticate")) == 2)
        clock.held.set()
        answers = await asyncio.gather(*waiting)

    assert {answer.status for answer in answers} == {404}
    refused = [entry for entry in sim.journal.entries("/status") if entry.status == 401]
    # No more than had their turn already.
    assert 1 <= len(refused) <= 10
    assert len(sim.journal.entries("/authenticate")) == 2


async def test_another_way_to_the_same_host_spends_the_same_budget(sim, login, clock):
    for endpoint in (Endpoint(sim.url), Endpoint(sim.url, verify=False)):
        async with shared_client(endpoint, login(sim.url), requests=13, period=30.0) as client:
            for _ in range(6):
                await client.call(STATUS)
    assert clock.now == 30.0


def test_every_event_loop_has_its_own(sim, login):
    async def use():
        async with shared_client(Endpoint(sim.url), login(sim.url), **BUDGET) as client:
            await client.call(STATUS)
            return client

    first, second = asyncio.run(use()), asyncio.run(use())
    assert first is not second
    assert len(sim.journal.entries("/authenticate")) == 1


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.held: asyncio.Event | None = None

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        if self.held is not None:
            await self.held.wait()
        await asyncio.sleep(0)
        self.now = max(self.now, until)


@pytest.fixture
def clock(monkeypatch):
    """The clock that the limit lives by."""
    clock = Clock()
    monkeypatch.setattr(throttle, "time", clock)
    monkeypatch.setattr(throttle, "asyncio", SimpleNamespace(Lock=asyncio.Lock, sleep=clock.sleep))
    return clock


async def turns(limit, clock, count):
    async def take():
        await limit.turn()
        return clock.now

    return sorted(await asyncio.gather(*(take() for _ in range(count))))


@pytest.mark.parametrize(
    ("count", "period", "at_once"), [(1, 5.0, 1), (3, 10.0, 2), (7, 1.0, 7), (240, 300.0, 10)]
)
async def test_no_period_holds_more_turns_than_the_budget(clock, count, period, at_once):
    taken = await turns(RateLimit(count, period, at_once), clock, 5 * count)
    assert taken[at_once - 1] == pytest.approx(0.0)
    assert taken[at_once] > 0.5 * period / count
    assert all(later - earlier >= period * 0.999 for earlier, later in zip(taken, taken[count:], strict=False))


async def test_a_budget_is_spent_evenly_so_that_nobody_waits_for_a_whole_period(clock):
    taken = await turns(RateLimit(240, 300.0, at_once=10), clock, 1000)
    assert max(later - earlier for earlier, later in itertools.pairwise(taken)) < 1.5


async def test_a_budget_that_nobody_used_is_no_greater_for_it(clock):
    limit = RateLimit(3, 10.0, at_once=2)
    await turns(limit, clock, 1)
    clock.now = 1000.0
    assert (await turns(limit, clock, 3))[:3] == [1000.0, 1000.0, 1010.0]


async def test_turns_come_in_the_order_in_which_they_were_asked_for(clock):
    limit = RateLimit(10, 10.0, at_once=1)
    served = []

    async def take(name):
        await limit.turn()
        served.append(name)

    await asyncio.gather(*(take(name) for name in range(30)))
    assert served == list(range(30))


async def test_who_is_cancelled_while_waiting_takes_no_turn_and_frees_none(clock):
    limit = RateLimit(2, 10.0, at_once=2)
    taken = await turns(limit, clock, 2)
    clock.held = asyncio.Event()
    waiting = [asyncio.create_task(limit.turn()) for _ in range(3)]
    for _ in range(5):
        await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    clock.held = None
    taken += await turns(limit, clock, 6)
    assert all(later - earlier >= 10.0 for earlier, later in zip(taken, taken[2:], strict=False))
