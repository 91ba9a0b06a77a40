"""A client that sees no pings of its own asks for a sign of life: trio_wss/wire/intake.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import pytest
import trio

from tests.support.members import Member, event, eventually, member
from tests.support.servers import RedisServer
from trio_wss import App, Effects, Increment, Read, Reply
from trio_wss.node.connection import Connection
from trio_wss.settings import Settings
from trio_wss.testing import cluster

app = App()
SETTINGS = Settings(drain=0.5, redis_patience=2.0, link_deadline=60.0)


@app.on("get")
def get(value: Annotated[int | None, Read("k")]) -> Effects:
    return Reply("value", value)


@app.on("add")
def add() -> Effects:
    n = Increment("k")
    return [n, Reply("added", n.result)]


@asynccontextmanager
async def stalled(
    redis: RedisServer, settings: Settings = SETTINGS
) -> AsyncIterator[tuple[Member, float]]:
    """A client whose node's Redis stands still, and since when."""
    with trio.fail_after(60):
        async with (
            cluster(app, 1, redis=redis.url, settings=settings) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            await client.good("get")
            redis.pause()
            try:
                yield client, trio.current_time()
            finally:
                redis.resume()


GETS = [event("get", None, 100 + n) for n in range(3)]
ADDS = [event("add", None, 100 + n) for n in range(64)]  # over twice as many as the door lets in


@pytest.mark.parametrize("events", [GETS, ADDS], ids=["reads", "at the door"])
@pytest.mark.parametrize("apart", [False, True], ids=["in one piece", "apart"])
async def test_a_ping_is_answered_before_the_events_that_wait_for_redis(
    own_redis: RedisServer, events: list[bytes], apart: bool
) -> None:
    ping = event("wss.ping")
    async with stalled(own_redis) as (client, _):
        await client.raw(*events, *([] if apart else [ping]))
        if apart:
            await trio.sleep(0.5)  # the node listens by then
            await client.raw(ping)
        await client.heard("wss.pong")
        await client.raw(ping, ping)
        await client.heard("wss.pong", 3)
        assert client.answers_to(100) == []


@pytest.mark.parametrize("events", [60, 1], ids=["many events", "many pings"])
async def test_pings_are_answered_however_many_pieces_came_before(
    own_redis: RedisServer, events: int
) -> None:
    settings = Settings(drain=0.5, redis_patience=60.0, link_deadline=60.0)
    async with stalled(own_redis, settings) as (client, _):
        with trio.fail_after(30):
            for n in range(100):
                if n < events:
                    await client.raw(event("get", None, 100 + n))
                await client.raw(event("wss.ping"))
                await client.heard("wss.pong", n + 1)


async def test_each_event_is_unavailable_when_its_own_time_is_over(own_redis: RedisServer) -> None:
    """And not only when all those before it have had theirs."""
    async with stalled(own_redis) as (client, began):
        await client.raw(*GETS)
        for number in (100, 101, 102):
            answer = await client.answer(number)
            assert answer["data"]["code"] == "unavailable"
        assert 2.0 <= trio.current_time() - began < 3.5


async def test_a_read_that_others_wait_for_too_is_over_in_its_own_time(
    own_redis: RedisServer,
) -> None:
    """And is answered behind what its connection sent before it."""
    with trio.fail_after(60):
        async with (
            cluster(app, 1, redis=own_redis.url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as first,
            member(nodes.nodes[0].url) as late,
        ):
            own_redis.pause()
            await first.send("get", None, 1)
            await trio.sleep(1)  # half of its time
            sent = trio.current_time()
            await late.raw(event("add", None, 1), event("get", None, 2), event("add", None, 3))
            assert (await first.answer(1))["data"]["code"] == "unavailable"
            assert trio.current_time() < sent + 1.9
            assert (await late.answer(3))["data"]["code"] == "unavailable"
            assert trio.current_time() >= sent + 2
            assert [one["re"] for one in late.frames if "re" in one] == [1, 2, 3]
            own_redis.resume()


async def test_events_that_were_heard_ahead_keep_their_order(own_redis: RedisServer) -> None:
    async with stalled(own_redis) as (client, _):
        for n in range(20):
            await client.raw(event("get", None, 100 + 3 * n), event("add", None, 101 + 3 * n))
            await client.raw(event("wss.ping"))
        await client.heard("wss.pong", 20)
        own_redis.resume()
        added = [(await client.answer(101 + 3 * n))["data"] for n in range(20)]
        assert added == list(range(1, 21))
        numbers = [one["re"] for one in client.frames if one.get("re", 0) >= 100]
        assert numbers == sorted(numbers)


async def test_what_is_heard_ahead_is_bounded(own_redis: RedisServer) -> None:
    """A client that floods waits, as ever, and gets all its answers."""
    pad = "." * 100_000
    async with cluster(app, 1, redis=own_redis.url, settings=SETTINGS) as nodes:
        with trio.fail_after(60):
            async with member(nodes.nodes[0].url) as client, trio.open_nursery() as nursery:
                [taken] = nodes.nodes[0].connections
                assert isinstance(taken, Connection)
                await client.good("get")
                own_redis.pause()
                flood = [event("get", pad, number) for number in range(100, 160)]
                nursery.start_soon(client.raw, *flood)
                await eventually(lambda: len(taken._intake) > 2)
                for _ in range(50):
                    await trio.sleep(0.01)
                    assert taken._intake.size < 2 * taken.session.outbox.limit
                own_redis.resume()
                for number in range(100, 160):
                    assert (await client.answer(number))["event"] in ("value", "wss.error")


async def test_a_client_that_goes_while_its_event_waits_is_seen_off(own_redis: RedisServer) -> None:
    async with stalled(own_redis) as (client, _):
        await client.raw(*GETS)
        await trio.sleep(0.5)
        assert await client.leave() == 1000


async def test_a_ping_is_answered_even_while_redis_hangs(own_redis: RedisServer) -> None:
    settings = Settings(drain=0.5)
    with trio.fail_after(30):
        async with (
            cluster(App(), 1, redis=own_redis.url, settings=settings) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            own_redis.pause()
            for number in (None, 1, 1):  # an id is ignored, and uses nothing up
                await client.send("wss.ping", None, number)
            pongs = await client.heard("wss.pong", 3)
            assert pongs == [{"event": "wss.pong"}] * 3
            own_redis.resume()


async def test_pings_count_as_events_against_the_rate(redis_url: str) -> None:
    settings = Settings(drain=0.5, rate=0.01, burst=2)
    with trio.fail_after(30):
        async with (
            cluster(App(), 1, redis=redis_url, settings=settings) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            for _ in range(3):
                await client.send("wss.ping")
            [error] = await client.heard("wss.error")
            assert error["data"]["code"] == "rate_limited"
            assert len(client.named("wss.pong")) == 2
