"""What was read a moment ago is not read again."""

from __future__ import annotations

import asyncio

import pytest

from airflow_provider_xbackup.hooks.recent import Recent


class Source:
    """Something that takes a while to read."""

    def __init__(self) -> None:
        self.reads = 0
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def read(self) -> int:
        self.reads += 1
        reading = self.reads
        self.began.set()
        await self.may_end.wait()
        return reading


async def test_many_who_ask_at_once_cause_one_reading():
    recent: Recent[int] = Recent(lifetime=1000)
    source = Source()

    assert await asyncio.gather(*(recent.get("acme", source.read) for _ in range(20))) == [1] * 20
    assert await recent.get("globex", source.read) == 2


async def test_what_is_too_old_is_read_anew():
    recent: Recent[int] = Recent(lifetime=0)
    source = Source()

    assert [await recent.get("acme", source.read) for _ in range(3)] == [1, 2, 3]


async def test_what_could_not_be_read_is_asked_for_again():
    recent: Recent[int] = Recent(lifetime=1000)
    source = Source()

    async def fail() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await recent.get("acme", fail)
    assert await recent.get("acme", source.read) == 1


async def test_who_is_cancelled_while_reading_leaves_it_to_the_next():
    recent: Recent[int] = Recent(lifetime=1000)
    source = Source()
    source.may_end.clear()
    first, second = (asyncio.create_task(recent.get("acme", source.read)) for _ in range(2))
    await source.began.wait()

    first.cancel()
    source.may_end.set()

    assert await second == 2
    with pytest.raises(asyncio.CancelledError):
        await first


def test_every_event_loop_reads_for_itself():
    recent: Recent[int] = Recent(lifetime=1000)

    async def read(value: int) -> int:
        async def answer() -> int:
            return value

        return await recent.get("acme", answer)

    assert [asyncio.run(read(1)), asyncio.run(read(2))] == [1, 2]
