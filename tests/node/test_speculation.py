"""What reads are expected to find: one read for all who want it, one chain of decisions."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1

import pytest
import trio
import trio.testing

from trio_wss import Increment, Store
from trio_wss.app import App
from trio_wss.commit.ops import Op
from trio_wss.commit.plan import plan
from trio_wss.effects import Effect
from trio_wss.errors import Unavailable
from trio_wss.node.speculation import Speculations
from trio_wss.reads import Client, ReadRequest
from trio_wss.store.entries import Entry

A, B = ReadRequest("value", "a"), ReadRequest("value", "b")


def entry(value: bytes) -> Entry:
    return Entry(sha1(value, usedforsecurity=False).hexdigest().encode(), value)


def ops(*effects: Effect) -> Sequence[Op]:
    return plan(effects, Client("s"), App().history).ops


class Reads:
    """Stands for Redis: answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer = trio.Event()
        self.error: Exception | None = None

    async def __call__(self, requests: Sequence[ReadRequest]) -> Sequence[Entry]:
        self.asked += 1
        await self.answer.wait()
        if self.error is not None:
            raise self.error
        return [entry(b"1") for _ in requests]


async def test_all_who_want_the_same_share_one_read(autojump_clock: trio.testing.MockClock) -> None:
    speculations, reads = Speculations(), Reads()
    found: list[Sequence[Entry]] = []

    async def want() -> None:
        with speculations.of((A,)) as expected:
            await expected.ask(reads)
            found.append(expected.entries)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(want)
        await trio.testing.wait_all_tasks_blocked()
        reads.answer.set()
    assert reads.asked == 1
    assert found == [[entry(b"1")]] * 3
    assert repr(speculations) == "<Speculations []>"


async def test_a_read_that_fails_fails_for_all_who_want_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Else each would wait for a Redis that is away, one after the other."""
    speculations, reads = Speculations(), Reads()
    reads.error = Unavailable("away")
    failed = 0

    async def want() -> None:
        nonlocal failed
        with speculations.of((A,)) as expected, pytest.raises(Unavailable):
            await expected.ask(reads)
        failed += 1

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(want)
        await trio.testing.wait_all_tasks_blocked()
        reads.answer.set()
    assert (reads.asked, failed) == (1, 3)


async def test_each_who_waits_has_a_time_of_its_own(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Of the one that asks for all, it may be over sooner, or later."""
    speculations = Speculations()
    over: dict[int, float] = {}

    async def want(expires: int) -> None:
        async def read(_: Sequence[ReadRequest]) -> Sequence[Entry]:
            await trio.sleep_until(expires)
            raise Unavailable("away")

        with speculations.of((A,)) as expected, pytest.raises(Unavailable):
            await expected.ask(read, expires)
        over[expires] = trio.current_time()

    start = int(trio.current_time())
    async with trio.open_nursery() as nursery:
        for seconds in (10, 30, 20):
            nursery.start_soon(want, start + seconds)
            await trio.testing.wait_all_tasks_blocked()
    assert over == {start + seconds: start + seconds for seconds in (10, 20, 30)}


async def test_who_waits_asks_again_when_the_one_that_asked_was_cancelled(
    autojump_clock: trio.testing.MockClock,
) -> None:
    speculations, reads = Speculations(), Reads()
    with speculations.of((A,)) as expected:
        async with trio.open_nursery() as nursery:
            async with trio.open_nursery() as first:
                first.start_soon(expected.ask, reads)
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(expected.ask, reads)
                await trio.testing.wait_all_tasks_blocked()
                first.cancel_scope.cancel()
            await trio.testing.wait_all_tasks_blocked()
            assert reads.asked == 2
            reads.answer.set()
        assert expected.entries == [entry(b"1")]


def test_what_is_sent_is_what_the_next_finds() -> None:
    speculations = Speculations()
    with speculations.of((A,)) as expected:
        expected.entries = (entry(b"1"),)
        speculations.sent(expected, ops(Store("a", 2), Store("b", 3)))
        assert list(expected.entries) == [entry(b"2")]
        speculations.sent(expected, ops(Increment("a")))
        assert list(expected.entries) == []


def test_what_is_sent_by_others_on_the_same_key_is_read_again() -> None:
    speculations = Speculations()
    with speculations.of((A,)) as one, speculations.of((A, B)) as both, speculations.of((B,)) as b:
        one.entries, both.entries = (entry(b"1"),), (entry(b"1"), entry(b"1"))
        b.entries = (entry(b"1"),)
        speculations.sent(one, ops(Store("a", 2)))
        assert list(both.entries) == []
        assert list(b.entries) == [entry(b"1")]


def test_a_chain_breaks_once() -> None:
    """All behind the first that was not applied were not either; what came since is newer."""
    speculations = Speculations()
    with speculations.of((A,)) as expected:
        expected.entries, chain = (entry(b"1"),), expected.chain
        expected.broken(chain, (entry(b"7"),))
        speculations.sent(expected, ops(Store("a", 8)))
        expected.broken(chain, (entry(b"7"),))
        assert list(expected.entries) == [entry(b"8")]
        expected.broken(expected.chain, ())
        assert list(expected.entries) == []
