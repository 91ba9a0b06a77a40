"""A membership that is learnt from a record, or late, misses nothing, though its topic went on.

Nobody else is in these topics on the node: another member would bring their news."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from attrs import frozen

from tests.support.members import Member, dial, event, eventually, member, request, shake_hands
from tests.support.proxies import Proxy, proxy
from tests.support.resuming import ask_back, places, returning, token, welcome
from tests.support.servers import RedisServer
from trio_wss import App, Broadcast, Client, Effects, Join
from trio_wss.node import Node
from trio_wss.settings import Settings
from trio_wss.store.sessions import Sessions
from trio_wss.testing import cluster

SETTINGS = Settings(drain=1.0)
app = App(history=100)


@frozen
class Topic:
    topic: str


@app.on_connect
def enter(client: Client) -> Effects:
    return Join(client.query["in"]) if "in" in client.query else None


@app.on("join")
def join(event: Topic) -> Effects:
    return Join(event.topic)


@app.on("say")
def say(event: Topic) -> Effects:
    return Broadcast(event.topic, "said")


@asynccontextmanager
async def two_nodes(url: str, settings: Settings) -> AsyncIterator[tuple[Proxy, Node, Node]]:
    """A node behind a proxy, and one with a link of its own."""
    with trio.fail_after(30):
        async with (
            proxy(url) as gate,
            cluster(app, 1, redis=gate.url, settings=settings) as far,
            cluster(app, 1, redis=url, settings=settings) as near,
        ):
            yield gate, far.nodes[0], near.nodes[0]


def is_in(redis: RedisServer, topic: str) -> Callable[[], object]:
    """Whether anybody is in a topic, by Redis' account."""

    def found() -> object:
        with redis.client() as client:
            return client.exists(f"{{wss}}:m:{topic}")

    return found


async def check_nothing_is_missed(client: Member, topic: str) -> None:
    """It was told that it is in from 1 on, and has 2 to 4; nobody speaks in the topic again."""
    joined = await client.joined(topic)
    assert joined["data"] | {"epoch": ""} == {
        "topic": topic, "epoch": "", "offset": 1, "recovered": True,
    }  # fmt: skip
    said = await client.received(topic, 3)
    assert [one["offset"] for one in said] == [2, 3, 4]


async def test_a_join_whose_answer_was_lost_with_the_link(
    redis_url: str, shared_redis: RedisServer
) -> None:
    async with (
        two_nodes(redis_url, SETTINGS) as (gate, far, near),
        member(near.url) as speaker,
        member(far.url) as client,
    ):
        await speaker.good("say", {"topic": "room"})
        gate.swallow()
        number = await client.post("join", {"topic": "room"})
        await eventually(is_in(shared_redis, "room"))
        for _ in range(3):
            await speaker.good("say", {"topic": "room"})
        await gate.drop()
        assert (await client.answer(number))["event"] == "wss.ok"
        await check_nothing_is_missed(client, "room")


async def test_the_join_of_on_connect_whose_answer_was_lost_with_the_link(
    redis_url: str, shared_redis: RedisServer
) -> None:
    """So are the topics that a connection is in by itself: the record tells where they were."""
    async with two_nodes(redis_url, SETTINGS) as (gate, far, near), member(near.url) as speaker:
        for topic in ("room", "all"):
            await speaker.good("say", {"topic": topic})
        gate.swallow()
        stream = await dial(far.url)
        early = await shake_hands(stream, request(far.url, {"in": "room"}))
        client = Member(stream, early)
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(client.read)
            await eventually(is_in(shared_redis, "room"))
            for _ in range(3):
                for topic in ("room", "all"):
                    await speaker.good("say", {"topic": topic})
            await gate.drop()
            await check_nothing_is_missed(client, "room")
            await check_nothing_is_missed(client, "all")
            nursery.cancel_scope.cancel()


async def test_a_join_that_was_unavailable_and_is_sent_again(
    redis_url: str, shared_redis: RedisServer
) -> None:
    settings = attrs.evolve(SETTINGS, redis_patience=0.3, link_deadline=60.0)
    async with (
        two_nodes(redis_url, settings) as (gate, far, near),
        member(near.url) as speaker,
        member(far.url) as client,
    ):
        await speaker.good("say", {"topic": "room"})
        gate.swallow()
        number = await client.post("join", {"topic": "room"})
        assert (await client.answer(number))["data"]["code"] == "unavailable"
        assert is_in(shared_redis, "room")()
        for _ in range(3):
            await speaker.good("say", {"topic": "room"})
        await gate.drop()
        await eventually(lambda: far.link.up)
        assert (await client.again("join", {"topic": "room"}, number))["event"] == "wss.ok"
        await check_nothing_is_missed(client, "room")


async def test_a_topic_that_is_joined_between_the_find_and_the_take_of_a_resume(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said before the node follows it waits for nobody's next word."""
    take = Sessions.take
    async with (
        two_nodes(redis_url, SETTINGS) as (_, here, there),
        member(there.url) as speaker,
        member(there.url) as client,
    ):

        async def late_take(self: Sessions, *arguments: object) -> object:
            await speaker.good("say", {"topic": "room"})
            await client.good("join", {"topic": "room"})
            taken = await take(self, *arguments)  # type: ignore[arg-type]  # as they came
            for _ in range(3):
                await speaker.good("say", {"topic": "room"})
            return taken

        monkeypatch.setattr(Sessions, "take", late_take)
        async with returning(here.url, ask_back(token(client), places(client))) as back:
            assert welcome(back)["resumed"]
            said = await back.received("room", 3)
            assert [one["offset"] for one in said] == [2, 3, 4]


async def test_events_of_a_join_that_was_seen_are_in_one_order(
    redis_url: str, shared_redis: RedisServer
) -> None:
    """The topic goes on while its new member catches up."""
    async with (
        two_nodes(redis_url, SETTINGS) as (gate, far, near),
        member(near.url) as speaker,
        member(far.url) as client,
    ):
        gate.swallow()
        number = await client.post("join", {"topic": "room"})
        await eventually(is_in(shared_redis, "room"))
        for _ in range(50):
            await speaker.send("say", {"topic": "room"})
        await gate.drop()
        await client.answer(number)
        await client.raw(*(event("say", {"topic": "room"}, number + n) for n in range(1, 21)))
        said = await client.received("room", 70)
        assert [one["offset"] for one in said] == list(range(1, 71))
