"""The executor's own part: how heavy an answer may be, and reads of which nobody knows that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from attrs import frozen

from tests.support.links import running
from trio_wss import Append, Effect, Increment, Join, Put, Store
from trio_wss.app import App
from trio_wss.commit.plan import EMPTY_PLAN, Plan, plan
from trio_wss.reads import Client, ReadRequest
from trio_wss.store.entries import Entry, TooLarge
from trio_wss.store.executor import ALLOWANCE, MAX_READ, NEW, Commit, Executor
from trio_wss.store.keys import Keys
from trio_wss.store.link.address import parse_address
from trio_wss.store.link.link import Link
from trio_wss.store.outcome import Changed, Done
from trio_wss.store.scripts import SCRIPTS, link_to
from trio_wss.store.sessions import Sessions, new_token

CLIENT = Client("s1", "mary", None, {})
TEXT = ReadRequest("value", "text")
LIST = ReadRequest("value", "list")
MAP = ReadRequest("value", "map")
MIB = 1 << 20


def planned(*effects: Effect) -> Plan:
    return plan(effects, CLIENT, App().history)


@frozen
class Node:
    link: Link
    executor: Executor

    async def commit(
        self,
        *effects: Effect,
        requests: Sequence[ReadRequest] = (),
        entries: Sequence[Entry] = (),
    ) -> object:
        made = planned(*effects)
        commit = Commit(made, CLIENT.session, "1", requests=requests, entries=entries)
        return await self.executor.committed(commit)


@asynccontextmanager
async def node(url: str) -> AsyncIterator[Node]:
    keys = Keys("executor")
    link = link_to(parse_address(url), keys)
    async with running(link) as watch:
        await watch.is_up()
        executor, sessions = Executor(link, keys, "n1"), Sessions(link, keys, "n1")
        await sessions.beat(60, new=True)
        lead = sessions.begin(CLIENT, new_token(CLIENT.session))
        begin = Commit(EMPTY_PLAN, CLIENT.session, NEW, lead=lead)
        assert isinstance(await executor.committed(begin), Done)
        yield Node(link, executor)


def test_what_a_commit_may_be_answered_with() -> None:
    assert 1000 <= Commit(EMPTY_PLAN, answer=bytes(1000)).weight < 2000
    assert Commit(EMPTY_PLAN, answer=bytes(1000), again=True).weight > MIB
    assert Commit(EMPTY_PLAN, requests=(TEXT,)).weight > ALLOWANCE
    assert Commit(planned(*[Join(f"room:{n}" * 20) for n in range(100)])).weight > 20_000


def test_the_scripts_know_the_same_allowance() -> None:
    assert f"\nlocal ALLOWANCE = {ALLOWANCE} " in SCRIPTS["commit"]


@pytest.mark.parametrize("size", [1, 60_000, 70_000, 1_000_000])
async def test_a_read_of_any_size_is_taken(redis_url: str, size: int) -> None:
    async with node(redis_url) as one:
        await one.commit(Store("text", "x" * size), Put("map", "field", "y" * 10))
        text, there = await one.executor.read((TEXT, MAP))
        assert text.value == b'"%b"' % (b"x" * size)
        assert there.value == b'{"field":"yyyyyyyyyy"}'


async def test_many_small_items_are_as_heavy_as_they_are_on_the_wire(redis_url: str) -> None:
    weights: list[int] = []
    async with node(redis_url) as one:
        submit = one.link.submit

        def weighed(*args: object, weight: int = 0, **options: object) -> None:
            weights.append(weight)
            submit(*args, weight=weight, **options)  # type: ignore[arg-type]  # handed on

        for start in range(0, 5000, 250):
            await one.commit(*[Append("list", n, 5000) for n in range(start, start + 250)])
        one.link.submit = weighed  # type: ignore[method-assign]  # to see what is asked
        [found] = await one.executor.read((LIST,))
    assert found.value is not None
    assert found.value.count(b",") == 4999
    asked, again = weights
    assert asked == ALLOWANCE
    assert 5000 * (4 + 6) <= again <= 5000 * 30  # each with a head and an end of its own


async def test_a_read_that_is_too_large_says_of_what(redis_url: str) -> None:
    async with node(redis_url) as one:
        for _ in range(18):
            await one.commit(Append("list", "x" * 1_000_000, 100))
        with pytest.raises(TooLarge, match=rf"^list: 18\d+ bytes, and {MAX_READ} can be read"):
            await one.executor.read((LIST,))
        assert one.link.up
        await one.commit(Append("list", "", 16))
        [found] = await one.executor.read((LIST,))
        assert found.value is not None
        assert len(found.value) > 15_000_000


@pytest.mark.parametrize("size", [10, 100_000])
async def test_fresh_values_come_with_a_commit_only_where_they_are_small(
    redis_url: str, size: int
) -> None:
    async with node(redis_url) as one:
        [before] = await one.executor.read((TEXT,))
        await one.commit(Store("text", "x" * size))
        outcome = await one.commit(Increment("n"), requests=(TEXT,), entries=(before,))
        assert isinstance(outcome, Changed)
        fresh = await one.executor.read((TEXT,))
        assert outcome.entries == (fresh if size == 10 else ())
        done = await one.commit(Increment("n"), requests=(TEXT,), entries=fresh)
        assert isinstance(done, Done)
