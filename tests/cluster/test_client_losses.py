"""The client where something cannot be had on real nodes: history that is gone, a session that is
over, a Redis that does not answer, a reader that is too slow. It is told, or mended."""

import pytest
import trio
from attrs import evolve

from tests.support.servers import RedisServer
from tests.support.watchers import SETTINGS, Counts, add_many, app, bounded, check, fronts, watched
from trio_wss.client import (
    Connected,
    Disconnected,
    Event,
    OutcomeUnknown,
    State,
    connect,
)
from trio_wss.testing import cluster

pytestmark = pytest.mark.any_engine


@bounded
async def test_history_that_is_too_short_is_told_and_the_app_says_what_then(
    redis_url: str,
) -> None:
    async with (
        cluster(app, 2, redis=redis_url, settings=SETTINGS) as nodes,
        connect(nodes.nodes[1].url) as other,
        connect(nodes.nodes[0].url, query={"in": "short"}) as client,
    ):
        while plain(await client.receive()) != Event("wss.joined", "short"):
            pass
        ticket = await client.abandon()
        for n in range(10):
            await other.send("say", {"by": "other", "n": n})
        async with watched(nodes.nodes[1].url, resume=ticket) as back:
            await back.until(1, "state")
            await back.until(3, "wss.joined")
            [state] = back.named("state")
            assert state.data == {"of": "short"}
            joins = {one.data["topic"]: one.data for one in back.named("wss.joined")}
            assert joins["short"]["recovered"] is False
            assert joins["short"]["offset"] == 10
            assert joins["all"]["recovered"] is True
            await other.send("say", {"by": "other", "n": 10})
            await back.until(1, "said")
            [said] = back.named("said")
            assert (said.data, said.offset) == (10, 11)
            assert back.states == [Connected(True, client.session, nodes.nodes[1].id)]


@bounded
async def test_what_history_still_has_comes_and_nothing_else(redis_url: str) -> None:
    async with (
        cluster(app, 2, redis=redis_url, settings=SETTINGS) as nodes,
        connect(nodes.nodes[1].url) as other,
        connect(nodes.nodes[0].url, query={"in": "short"}) as client,
    ):
        await other.send("say", {"by": "other", "n": 0})
        while Event("said", 0) != plain(await client.receive()):
            pass
        ticket = await client.abandon()
        for n in (1, 2):
            await other.send("say", {"by": "other", "n": n})
        async with watched(nodes.nodes[1].url, resume=ticket) as back:
            await back.until(2, "said")
            await back.until(3, "wss.joined")
            assert [one.data for one in back.named("said")] == [1, 2]
            assert [one.data["recovered"] for one in back.named("wss.joined")] == [True] * 3
            assert back.named("state") == []


def plain(item: Event | State) -> Event | State:
    """A broadcast without its place; of a join, only where."""
    match item:
        case Event("wss.joined", {"topic": topic}):
            return Event("wss.joined", topic)
        case Event(name, data):
            return Event(name, data)
    return item


@bounded
async def test_a_slow_consumer_is_closed_with_1013_and_loses_nothing(redis_url: str) -> None:
    settings = evolve(SETTINGS, outbox=65536)
    count, bulk = 300, "x" * 5000
    seen: list[int] = []
    codes: set[int] = set()
    async with (
        cluster(app, 2, redis=redis_url, settings=settings) as nodes,
        fronts(nodes.nodes) as (urls, _),
        connect(nodes.nodes[1].url, buffer=0) as other,
        connect(*urls, buffer=8, back_off=(0.01, 0.1)) as client,
    ):
        while len(seen) < count:
            if len(seen) % 100 == 0:  # it takes nothing while all this comes
                for n in range(len(seen), len(seen) + 100):
                    await other.send("fill", {"by": "other", "n": n, "bulk": bulk})
            while True:
                match await client.receive():
                    case Event("filled", {"n": n}):
                        seen.append(n)
                        break
                    case Disconnected(code):
                        codes.add(code)
    assert seen == list(range(count))
    assert codes & {1013, 1006}


@bounded
async def test_a_session_that_is_over_is_told_and_a_new_one_goes_on(redis_url: str) -> None:
    settings = evolve(SETTINGS, grace=0.0, janitor_round=0.05)
    async with (
        cluster(app, 2, redis=redis_url, settings=settings) as nodes,
        fronts(nodes.nodes) as (urls, proxies),
        watched(nodes.nodes[1].url) as other,
        watched(*urls) as watcher,
    ):
        first = watcher.client.session
        proxies[0].swallows = True
        pending = await watcher.client.submit("add", {"by": "me", "n": 1})
        again = await watcher.client.submit("add", {"by": "me", "n": 2}, again=True)
        await other.until(2)  # both are applied
        for proxy in proxies:
            proxy.refuses = True
            proxy.cut()
        while first in {member["session"] for member in (await other.client.send("who")).data}:
            pass
        for proxy in proxies:
            proxy.heal()
        with pytest.raises(OutcomeUnknown):
            await pending.answer()
        assert (await again.answer()).data == 3  # applied twice, as it was allowed to be
        assert watcher.client.session != first
        assert watcher.named("wss.error") == []  # nothing was sent too early, and dropped
        assert Connected(False, watcher.client.session, "") in [
            evolve(one, node="") for one in watcher.states if isinstance(one, Connected)
        ]


@bounded
async def test_an_event_that_redis_did_not_answer_is_applied_once(own_redis: RedisServer) -> None:
    """The node says `unavailable`, more than once; the client asks until it is told."""
    settings = evolve(SETTINGS, link_deadline=0.2, redis_patience=0.3)
    counts: Counts = {}
    async with (
        cluster(app, 1, redis=own_redis.url, settings=settings) as nodes,
        watched(nodes.nodes[0].url) as watcher,
    ):
        own_redis.pause()
        async with trio.open_nursery() as nursery:
            for sender in range(10):
                nursery.start_soon(add_many, watcher, str(sender), 3, counts)
            await trio.sleep(1.5)  # long enough for several `unavailable`
            own_redis.resume()
        await watcher.until(30)
    check([watcher], counts)
