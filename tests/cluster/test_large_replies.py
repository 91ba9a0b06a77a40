"""Large answers to a client that pauses: it asked for them, so it is given them, however many, and
is not closed for it. The door waits until there is room. And many of them from Redis at once, which
would cut the node's link if all were on their way together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any

import pytest
import trio
from attrs import frozen
from structlog.testing import capture_logs

from tests.support.members import Member, event, eventually, member
from tests.support.servers import RedisServer
from trio_wss import App, Append, Effects, Increment, Read, Refused, Reply, Store
from trio_wss.node import Node
from trio_wss.settings import Settings
from trio_wss.testing import cluster

NUMBERS = range(1, 33)
SIZE = 300_000  # bytes of an answer: all of them are more than a socket and an outbox take
app = App()


@frozen
class Ask:
    n: int
    size: int


@app.on("ask")
def ask(event: Ask) -> Effects:
    return [Increment("asked"), Reply("big", "x" * event.size)]


@app.on("look")
def look(event: Ask, asked: Annotated[int | None, Read("nothing")]) -> Effects:
    return Reply("big", "x" * event.size)


@app.on("refuse")
def refuse(event: Ask) -> Effects:
    raise Refused("no", "x" * event.size)


@frozen
class Item:
    key: str
    size: int = 0


@app.on("store")
def store(event: Item) -> Effects:
    return Store(event.key, "x" * event.size)


@app.on("append")
def append(event: Item) -> Effects:
    return Append(event.key, "x" * event.size, 100)


@app.on("fetch")
def fetch(event: Item, found: Annotated[Any, Read("{event.key}")]) -> Effects:
    return Reply("found", len(found))


@pytest.mark.parametrize("size", [15_000, SIZE])
@pytest.mark.parametrize("name", ["ask", "look", "refuse"])
async def test_large_answers_wait_for_a_client_that_pauses(
    redis_url: str, name: str, size: int
) -> None:
    await check_all_answers_come(redis_url, name, size, Settings(drain=1.0), pause=0.3)


async def test_an_event_that_waits_for_its_own_client_is_not_unavailable(redis_url: str) -> None:
    """However long: Redis is there."""
    settings = Settings(drain=1.0, redis_patience=1.0)
    await check_all_answers_come(redis_url, "look", SIZE, settings, pause=1.5)


async def check_all_answers_come(
    redis_url: str, name: str, size: int, settings: Settings, *, pause: float
) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 1, redis=redis_url, settings=settings) as nodes,
            member(nodes.nodes[0].url, reads=False) as client,
            trio.open_nursery() as nursery,
        ):
            [connection] = nodes.nodes[0].connections
            outbox = connection.socket.outbox
            numbers = range(1, 32 * SIZE // size + 1) if size < SIZE else NUMBERS
            asked = [event(name, {"n": n, "size": size}, n) for n in numbers]

            async def send() -> None:
                await client.raw(*asked)

            nursery.start_soon(send)
            await eventually(lambda: outbox.size * 2 >= outbox.limit or outbox.sealed)
            await trio.sleep(pause)  # all that may come in comes
            assert outbox.size <= outbox.limit
            nursery.start_soon(client.read)
            for n in numbers:
                answer: Any = await client.answer(n)
                data = answer["data"]
                assert len(data["message"] if name == "refuse" else data) == size
            assert client.code is None
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def crowd(redis: RedisServer, number: int) -> AsyncIterator[tuple[Node, list[Member]]]:
    """Members of one node, whose link does not keep them waiting for each other."""
    with trio.fail_after(60):
        async with (
            cluster(app, 1, redis=redis.url, settings=Settings(drain=1.0)) as nodes,
            AsyncExitStack() as stack,
        ):
            [node] = nodes.nodes
            yield node, [await stack.enter_async_context(member(node.url)) for _ in range(number)]


async def test_many_large_values_read_in_one_moment_do_not_cut_the_link(
    own_redis: RedisServer,
) -> None:
    async with crowd(own_redis, 64) as (node, everyone):
        for number, one in enumerate(everyone):
            await one.send("store", {"key": f"v{number}", "size": 700_000}, 1)
            await one.answer(1)
        node.link.hold_back(60)  # so that all of them leave in one write
        for number, one in enumerate(everyone):
            await one.send("fetch", {"key": f"v{number}"}, 2)
        await eventually(lambda: node.link.unanswered >= 64)
        node.link.go_on()
        for one in everyone:
            assert (await one.answer(2))["data"] == 700_000
        assert node.statistics.link_losses == 0


async def test_large_answers_asked_for_again_in_one_moment_do_not_cut_the_link(
    own_redis: RedisServer,
) -> None:
    """The event that is sent again may look small; what Redis has recorded is what comes."""
    numbers = range(1, 31)
    async with crowd(own_redis, 3) as (node, everyone):
        for one in everyone:
            for n in numbers:
                await one.send("ask", {"n": n, "size": 700_000}, n)
                await one.answer(n)
            one.answers.clear()
        node.link.hold_back(60)
        for one in everyone:
            await one.raw(*[event("ask", {"n": n, "size": 1}, n) for n in numbers])
        await eventually(lambda: node.link.unanswered >= 90)
        node.link.go_on()
        for one in everyone:
            for n in numbers:
                assert len((await one.answer(n))["data"]) == 700_000
        assert node.statistics.link_losses == 0


async def test_an_event_that_reads_too_much_is_refused_and_the_log_names_the_key(
    own_redis: RedisServer,
) -> None:
    async with crowd(own_redis, 1) as (node, [one]):
        for n in range(1, 19):
            await one.send("append", {"key": "long", "size": 1_000_000}, n)
            await one.answer(n)
        with capture_logs() as logs:
            await one.send("fetch", {"key": "long"}, 20)
            assert (await one.answer(20))["data"]["code"] == "internal"
        [said] = [line for line in logs if line["event"] == "a read failed"]
        assert said["reason"].startswith("long: 18")
        assert node.statistics.link_losses == 0
