"""The link to Redis may break at any moment: every event is applied once, and members miss nothing
and see nothing twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import redis
import trio
from attrs import frozen

from tests.support.histories import (
    Frame,
    check_exactly_once,
    check_gap_free,
    check_one_order,
    check_replies_in_place,
    check_sent_order,
)
from tests.support.members import Member, eventually, member
from tests.support.proxies import Proxy, proxy
from tests.support.servers import RedisServer
from trio_wss import App, Broadcast, Client, Effects, Increment, Join, Reply
from trio_wss.node import Node
from trio_wss.settings import Settings
from trio_wss.store.scripts import SCRIPTS
from trio_wss.testing import cluster

ROOM = "room:a"
app = App(history=2000)
forgetful = App(history=10)
QUICK = Settings(drain=1.0, link_deadline=0.2)


@frozen
class Said:
    by: str
    n: int


@app.on_connect
@forgetful.on_connect
def enter(client: Client) -> Effects:
    return Join(ROOM) if client.query.get("in") else None


@app.on("count")
@forgetful.on("count")
def count(event: Said) -> Effects:
    n = Increment("count")
    said = {"by": event.by, "k": event.n, "n": n.result}
    return [n, Broadcast(ROOM, "counted", said), Reply("counted", n.result)]


@app.on("join")
def join() -> Effects:
    return [Join(ROOM), Reply("joined")]


async def members(stack: AsyncExitStack, nodes: Sequence[Node]) -> list[Member]:
    """Two members of the room on each node."""
    found = [member(node.url, {"in": "1"}) for node in nodes for _ in range(2)]
    return [await stack.enter_async_context(one) for one in found]


class Load:
    """Members that all count at once, and what they were answered."""

    def __init__(self, everyone: Sequence[Member], each: int) -> None:
        self.everyone = everyone
        self.each = each
        self.total = each * len(everyone)
        self.sent = dict.fromkeys(everyone, 0)

    async def reached(self, answers: int) -> None:
        await eventually(lambda: sum(len(one.answers) for one in self.everyone) >= answers)

    async def caught_up(self) -> None:
        """All that was sent by now is answered."""
        for one, k in tuple(self.sent.items()):
            await one.answer(k)

    async def run(self) -> None:
        """All count; then wait until all have seen everything."""
        async with trio.open_nursery() as nursery:
            for one in self.everyone:
                nursery.start_soon(self._work, one)
        for one in self.everyone:
            await one.received(ROOM, self.total)

    async def _work(self, one: Member) -> None:
        for k in range(1, self.each + 1):
            self.sent[one] = k
            await one.send("count", {"by": one.session, "n": k}, k)
            if k > 20:
                await one.answer(k - 20)
        await one.answer(self.each)

    def check(self) -> None:
        """Each event was applied once, in the order sent; all saw all of it, in one order."""
        answers: list[Any] = []
        for one in self.everyone:
            assert sum("re" in frame for frame in one.frames) == self.each
            numbers = [one.answers[k].get("data") for k in range(1, self.each + 1)]
            assert all(type(number) is int for number in numbers), numbers
            answers += numbers
        check_exactly_once(range(1, self.total + 1), answers)
        wanted = [(one.session, k) for one in self.everyone for k in range(1, self.each + 1)]
        for one in self.everyone:
            seen = one.of(ROOM)
            check_gap_free(seen, first=1)
            assert [said["data"]["n"] for said in seen] == list(range(1, self.total + 1))
            check_exactly_once(wanted, by_and_k(seen))
            check_sent_order(by_and_k(seen))
            assert all(joined["data"]["recovered"] for joined in one.named("wss.joined"))
        check_one_order({one.session: one.of(ROOM) for one in self.everyone})


def by_and_k(seen: Sequence[Frame]) -> list[tuple[str, int]]:
    return [(said["data"]["by"], said["data"]["k"]) for said in seen]


def links(client: redis.Redis) -> list[str]:
    """The nodes' connections that are past their hello, as Redis has them."""
    return [one["id"] for one in client.client_list(_type="pubsub")]


def kill_all(client: redis.Redis) -> None:
    for one in links(client):
        client.client_kill_filter(_id=one)


def kill_pubsub(client: redis.Redis) -> None:
    client.client_kill_filter(_type="pubsub")


def kill_one(client: redis.Redis) -> None:
    client.client_kill_filter(_id=min(links(client), key=int))


def flush_scripts(client: redis.Redis) -> None:
    client.script_flush()


@pytest.mark.parametrize(
    ("harm", "moments"),
    [
        (kill_all, [30, 160, 290, 420]),
        (kill_pubsub, [60, 190, 320]),
        (kill_one, [30, 160, 290, 420]),
        (flush_scripts, [120]),  # a link asks again once: the next time it is `unavailable`
    ],
)
async def test_links_killed_in_the_middle_of_a_load_lose_nothing_and_repeat_nothing(
    shared_redis: RedisServer,
    redis_url: str,
    harm: Callable[[redis.Redis], None],
    moments: list[int],
) -> None:
    with trio.fail_after(30), shared_redis.client() as server:
        async with cluster(app, 3, redis=redis_url) as nodes, AsyncExitStack() as stack:
            load = Load(await members(stack, nodes.nodes), 120)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(harm_again_and_again, load, server, harm, moments)
                await load.run()
    load.check()


async def harm_again_and_again(
    load: Load, server: redis.Redis, harm: Callable[[redis.Redis], None], moments: list[int]
) -> None:
    """Not so soon that an event would meet it twice: that is answered `unavailable`."""
    for moment in moments:
        await load.reached(moment)
        await eventually(lambda: len(links(server)) == 3)
        await load.caught_up()
        harm(server)


def counted(one: Frame, *, reply: bool) -> int | None:
    if one["event"] != "counted" or ("re" in one) is not reply:
        return None
    number: int = one["data"] if reply else one["data"]["n"]
    return number


async def test_no_reply_overtakes_an_earlier_broadcast_when_links_are_killed(
    shared_redis: RedisServer, redis_url: str
) -> None:
    """What was missed comes before the answers of what is sent again."""
    with trio.fail_after(30), shared_redis.client() as server:
        async with cluster(app, 3, redis=redis_url) as nodes, AsyncExitStack() as stack:
            load = Load(await members(stack, nodes.nodes), 120)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    harm_again_and_again, load, server, kill_all, [30, 160, 290, 420]
                )
                await load.run()
    for one in load.everyone:
        reply, broadcast = partial(counted, reply=True), partial(counted, reply=False)
        check_replies_in_place(one.frames, reply, broadcast, may_be_late=True)


@asynccontextmanager
async def one_behind_a_proxy(
    the_app: App, url: str, settings: Settings = QUICK
) -> AsyncIterator[tuple[Proxy, Node, Node]]:
    """Two nodes of one cluster, the first of which reaches Redis through a proxy."""
    async with (
        proxy(url) as door,
        cluster(the_app, 1, redis=door.url, settings=settings) as one,
        cluster(the_app, 1, redis=url, settings=settings) as other,
    ):
        yield door, one.nodes[0], other.nodes[0]


async def test_a_node_whose_link_was_cut_catches_up_before_it_delivers_anything_newer(
    redis_url: str,
) -> None:
    with trio.fail_after(30):
        async with (
            one_behind_a_proxy(app, redis_url) as (door, cut, other),
            member(cut.url, {"in": "1"}) as listener,
            member(other.url, {"in": "1"}) as speaker,
        ):
            for n in range(1, 11):
                await speaker.good("count", {"by": "a", "n": n})
            await listener.received(ROOM, 10)
            await door.cut()
            await eventually(lambda: not cut.link.up)
            for n in range(11, 311):  # far more than one page
                await speaker.post("count", {"by": "a", "n": n})
            await speaker.received(ROOM, 310)
            door.mend()
            for n in range(311, 321):  # goes on while it catches up
                await speaker.good("count", {"by": "a", "n": n})
            seen = await listener.received(ROOM, 320)
            assert seen == speaker.of(ROOM)
            check_gap_free(seen, first=1)
            assert all(joined["data"]["recovered"] for joined in listener.named("wss.joined"))


async def test_members_are_told_when_more_was_missed_than_the_topic_keeps(redis_url: str) -> None:
    with trio.fail_after(30):
        async with (
            one_behind_a_proxy(forgetful, redis_url) as (door, cut, other),
            member(cut.url, {"in": "1"}) as listener,
            member(other.url, {"in": "1"}) as speaker,
        ):
            await speaker.good("count", {"by": "a", "n": 1})
            await listener.received(ROOM, 1)
            await door.cut()
            await eventually(lambda: not cut.link.up)
            for n in range(2, 41):
                await speaker.good("count", {"by": "a", "n": n})
            door.mend()
            broken = (await listener.until(lambda: [
                one for one in listener.named("wss.joined") if not one["data"]["recovered"]
            ]))[0]["data"]  # fmt: skip
            assert broken["topic"] == ROOM
            await speaker.good("count", {"by": "a", "n": 41})
            seen = await listener.received(ROOM, 2)
            check_gap_free(seen[1:], first=broken["offset"] + 1)
            assert seen[-1]["data"]["n"] == 41


async def test_an_event_whose_answer_was_lost_is_applied_once(redis_url: str) -> None:
    with trio.fail_after(30):
        async with (
            one_behind_a_proxy(app, redis_url) as (door, cut, other),
            member(cut.url, {"in": "1"}) as client,
            member(other.url, {"in": "1"}) as watcher,
        ):
            for lost in range(5):
                door.swallow()
                for k in range(1, 11):
                    await client.post("count", {"by": "a", "n": 10 * lost + k})
                await watcher.received(ROOM, 10 * lost + 10)  # they have been applied
                assert len(client.answers) == 10 * lost
                await door.drop()
                for k in range(10 * lost + 1, 10 * lost + 11):
                    assert (await client.answer(k))["data"] == k
            assert await client.good("count", {"by": "a", "n": 51}) == 51
            for one in (client, watcher):
                seen = await one.received(ROOM, 51)
                check_gap_free(seen, first=1)
                assert [said["data"]["k"] for said in seen] == list(range(1, 52))


async def test_a_join_whose_answer_was_lost_begins_where_it_was_made(
    shared_redis: RedisServer, redis_url: str
) -> None:
    with trio.fail_after(30), shared_redis.client() as server:
        async with (
            one_behind_a_proxy(app, redis_url) as (door, cut, other),
            member(cut.url) as client,
            member(other.url, {"in": "1"}) as speaker,
        ):
            for n in range(1, 6):
                await speaker.good("count", {"by": "a", "n": n})
            door.swallow()
            number = await client.post("join")
            await eventually(lambda: server.hexists(f"{{wss}}:m:{ROOM}", client.session))
            for n in range(6, 51):
                await speaker.good("count", {"by": "a", "n": n})
            await door.drop()
            await client.answer(number)
            await speaker.good("count", {"by": "a", "n": 51})
            joined = (await client.joined(ROOM))["data"]
            await client.until(lambda: client.of(ROOM) and client.of(ROOM)[-1]["offset"] == 51)
            assert joined["recovered"]
            assert joined["offset"] == 5
            check_gap_free(client.of(ROOM), first=6)


async def test_an_event_that_redis_had_no_script_for_is_not_applied_behind_a_later_one(
    own_redis: RedisServer,
) -> None:
    """Another node loads the scripts before this one has heard that they are lost."""
    settings = attrs.evolve(QUICK, link_deadline=5.0)
    with own_redis.client() as server, trio.fail_after(30):

        def refused() -> int:
            found: dict[str, int] = server.info("errorstats").get("errorstat_NOSCRIPT", {})
            return found.get("count", 0)

        async with (
            one_behind_a_proxy(app, own_redis.url, settings) as (door, node, _),
            member(node.url, {"in": "1"}) as client,
        ):
            door.hold()
            server.script_flush()
            first = await client.post("count", {"by": "a", "n": 1})
            await eventually(refused)
            for source in SCRIPTS.values():
                server.script_load(source)
            second = await client.post("count", {"by": "a", "n": 2})
            await eventually(lambda: server.get("{wss}:k:count"))
            door.let_go()
            assert (await client.answer(first))["data"]["code"] == "unavailable"
            assert (await client.answer(second))["data"] == 1
            assert (await client.again("count", {"by": "a", "n": 1}, first))["data"] == 2
            await client.received(ROOM, 2)
            assert [said["data"]["k"] for said in client.of(ROOM)] == [2, 1]


async def test_first_copies_that_run_late_in_a_stalled_redis_change_nothing(
    own_redis: RedisServer,
) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 3, redis=own_redis.url, settings=QUICK) as nodes,
            AsyncExitStack() as stack,
        ):
            load = Load(await members(stack, nodes.nodes), 100)

            async def stall_again_and_again() -> None:
                for moment in (30, 160, 290):
                    await load.reached(moment)
                    await load.caught_up()
                    own_redis.pause()
                    await eventually(lambda: not any(node.link.up for node in nodes.nodes))
                    own_redis.resume()
                    await eventually(lambda: all(node.link.up for node in nodes.nodes))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(stall_again_and_again)
                await load.run()
    load.check()


async def test_what_a_stalled_redis_applied_late_is_told_when_the_event_is_sent_again(
    own_redis: RedisServer,
) -> None:
    """The node has given the event up; its only copy runs later."""
    settings = attrs.evolve(QUICK, link_deadline=5.0, redis_patience=0.2)
    with trio.fail_after(30):
        async with (
            cluster(app, 1, redis=own_redis.url, settings=settings) as nodes,
            member(nodes.nodes[0].url, {"in": "1"}) as client,
        ):
            own_redis.pause()
            answer = await client.ask("count", {"by": "a", "n": 1})
            assert answer["data"]["code"] == "unavailable"
            own_redis.resume()
            await client.received(ROOM, 1)
            again = await client.again("count", {"by": "a", "n": 1}, 1)
            assert again["data"] == 1
            assert await client.good("count", {"by": "a", "n": 2}) == 2
            check_gap_free(await client.received(ROOM, 2), first=1)
