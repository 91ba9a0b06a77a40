"""Commits and their records: what is sent again, late or twice, is applied once or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import redis
import trio

from tests.support.links import running
from trio_wss.commit.plan import EMPTY_PLAN, plan
from trio_wss.effects import Append, Broadcast, Effect, Store
from trio_wss.reads import Client, ReadRequest
from trio_wss.store.executor import NEW, Commit, Executor, Page
from trio_wss.store.history import Cursor
from trio_wss.store.keys import Keys
from trio_wss.store.link.address import parse_address
from trio_wss.store.link.link import Link
from trio_wss.store.outcome import Changed, CommitOutcome, Done, Stale
from trio_wss.store.scripts import link_to
from trio_wss.store.sessions import Sessions

CLIENT = Client("s1", None, None, {})
REQUESTS = (ReadRequest("value", "seen"),)
RING = "{wss}:r:n1"


class Parts:
    """A node's store with one session, and all commands as they were sent."""

    def __init__(self, link: Link) -> None:
        keys = Keys("wss")
        self.link = link
        self.executor = Executor(link, keys, "n1")
        self.sessions = Sessions(link, keys, "n1")
        self.sent: list[bytes] = []
        submit = link.submit

        def noted(command: bytes, *arguments: object, **others: object) -> None:
            self.sent.append(command)
            submit(command, *arguments, **others)  # type: ignore[arg-type]  # as they came

        link.submit = noted  # type: ignore[method-assign]  # the real one is called

    async def begin(self) -> None:
        await self.sessions.beat(60, new=True)
        lead = self.sessions.begin(CLIENT, "token")
        outcome = await self.commit([], generation=NEW, lead=lead)
        assert isinstance(outcome, Done)

    async def commit(
        self,
        effects: Sequence[Effect],
        number: int | None = None,
        *,
        generation: str = "1",
        reads: bool = False,
        **others: object,
    ) -> CommitOutcome:
        made = plan(effects, CLIENT, lambda _: (10, 60)) if effects else EMPTY_PLAN
        if reads:
            others |= {"requests": REQUESTS, "entries": await self.executor.read(REQUESTS)}
        return await self.executor.committed(
            Commit(made, "s1", generation, number, b"answer", **others)  # type: ignore[arg-type]
        )


@asynccontextmanager
async def parts(url: str) -> AsyncIterator[tuple[Parts, redis.Redis]]:
    link = link_to(parse_address(url), Keys("wss"))
    async with running(link) as watch:
        await watch.is_up()
        one = Parts(link)
        await one.begin()
        with redis.Redis.from_url(url) as client:
            yield one, client


async def test_what_was_decided_again_and_came_to_nothing_is_not_applied_by_its_first_copy(
    redis_url: str,
) -> None:
    """Its handler said no in an ordinary Reply; then what it had read first is there again."""
    async with parts(redis_url) as (one, store):
        old = await one.executor.read(REQUESTS)
        store.set("{wss}:k:seen", '"other"')
        first = Commit(
            plan([Store("spent", 1)], CLIENT, lambda _: (0, 0)), "s1", "1", 7, b"yes", REQUESTS, old
        )
        assert isinstance(await one.executor.committed(first), Changed)
        first_copy = one.sent[-1]
        assert await one.commit([], 7, reads=True) == Done(b"answer")
        store.delete("{wss}:k:seen")
        assert (await one.link.call(first_copy))[0] == b"seen"
        assert not store.exists("{wss}:k:spent")


async def test_an_event_that_wrote_nothing_gets_the_same_answer_again(redis_url: str) -> None:
    async with parts(redis_url) as (one, _):
        assert await one.commit([], 3) == Done(b"answer")
        assert (await one.link.call(one.sent[-1]))[0] == b"seen"


async def test_a_nodes_own_records_are_those_of_the_commits_that_are_on_their_way(
    redis_url: str,
) -> None:
    """However many it has made, and however large its answers are."""
    async with parts(redis_url) as (one, store):
        copies = []
        for n in range(50):
            await one.commit([Append("list", n)])
            copies.append(one.sent[-1])
        assert store.hlen(RING) <= 3
        for copy in copies[:-1]:  # what lay in the network all the time
            assert (await one.link.call(copy))[0] == b"stale"
        assert (await one.link.call(copies[-1]))[0] == b"seen"
        assert store.llen("{wss}:k:list") == 50


async def test_commits_of_a_node_that_are_on_their_way_together_keep_their_records(
    redis_url: str,
) -> None:
    async with parts(redis_url) as (one, store):
        async with trio.open_nursery() as nursery:
            for n in range(100):
                nursery.start_soon(one.commit, [Append("list", n)])
        copies = one.sent[-100:]
        replies = [(await one.link.call(copy))[0] for copy in copies]
        assert set(replies) <= {b"seen", b"stale"}
        assert store.llen("{wss}:k:list") == 100
        for n in range(5000):  # with nothing to record between, many are forgotten at once
            one.executor.commit(Commit(EMPTY_PLAN, "s1", "1"), lambda _: None)
            if n % 1000 == 0:
                await one.executor.room()
        await one.commit([])
        await one.commit([Append("list", 100)])
        assert store.hlen(RING) <= 2
        assert store.llen("{wss}:k:list") == 101


async def test_the_ring_of_a_session_tells_the_highest_id_it_used(redis_url: str) -> None:
    """Also where a lower one came after it, as one does that was unavailable."""
    async with parts(redis_url) as (one, store):
        for number in (5, 9, 6):
            await one.commit([Store("k", number)], number)
        assert store.hget("{wss}:r:s1", "top") == b"9"
        assert isinstance(await one.commit([Store("k", 0)], 9 + 64), Done)
        assert await one.commit([Store("k", 1)], 9) == Stale()


async def test_a_session_that_ended_leaves_no_ring(redis_url: str) -> None:
    async with parts(redis_url) as (one, store):
        await one.commit([Store("k", 1)], 1)
        assert store.exists("{wss}:r:s1", "{wss}:sessions:") == 2
        await one.commit([], lead=one.sessions.end("s1"))
        assert not store.exists("{wss}:r:s1", "{wss}:sessions:", "{wss}:s:s1")


async def test_a_node_that_was_buried_and_registers_anew_knows_its_late_copies(
    redis_url: str,
) -> None:
    async with parts(redis_url) as (one, store):
        copies = []
        for n in range(5):
            await one.commit([Append("list", n)])
            copies.append(one.sent[-1])
        store.zadd("{wss}:nodes", {"n1": 1})
        store.set("{wss}:pulse", "0 0")
        assert (await one.sessions.due(600, 10, 10, 10**10)).buried == []  # a silence of all nodes
        store.delete("{wss}:pulse")
        assert (await one.sessions.due(600, 10, 10, 60)).buried == ["n1"]
        assert store.ttl(RING) > 80_000
        assert (await one.link.call(copies[0]))[0] == b"stale"
        await one.sessions.beat(60, new=True)
        assert store.ttl(RING) == -1
        replies = [(await one.link.call(copy))[0] for copy in copies]
        assert set(replies) <= {b"seen", b"stale"}
        assert store.llen("{wss}:k:list") == 5


async def test_a_nodes_own_commit_that_met_changed_reads_is_spent(redis_url: str) -> None:
    """Its handler decides again under another number; the first copy must never run."""
    async with parts(redis_url) as (one, store):
        old = await one.executor.read(REQUESTS)
        store.set("{wss}:k:seen", '"other"')
        made = plan([Store("spent", 1)], CLIENT, lambda _: (0, 0))
        first = Commit(made, "s1", "1", requests=REQUESTS, entries=old)
        assert isinstance(await one.executor.committed(first), Changed)
        store.delete("{wss}:k:seen")
        assert (await one.link.call(one.sent[-1]))[:2] == [b"seen", b"~"]
        assert not store.exists("{wss}:k:spent")


async def test_a_place_of_another_epoch_is_no_place_in_this_history(redis_url: str) -> None:
    """Its offset is there, under the epoch of another history: what follows is another's."""
    async with parts(redis_url) as (one, _):
        for n in range(3):
            await one.commit([Broadcast("room", "said", n)])
        stray = await page(one, Cursor("another", 1))
        assert (stray.whole, stray.cursor.offset) == (False, 3)
        ours = await page(one, Cursor(stray.cursor.epoch, 1))
        assert (ours.whole, len(ours.texts)) == (True, 2)


async def page(one: Parts, after: Cursor) -> Page:
    """What is kept of a topic behind a place."""
    found: list[Page | None] = []
    there = trio.Event()

    def answered(page: Page | None) -> None:
        found.append(page)
        there.set()

    one.executor.page("room", after, 10, answered)
    await there.wait()
    assert found[0] is not None
    return found[0]
