"""One order: all members of a topic, on all nodes, see the same broadcasts in the same order, and
the events of one connection take effect in the order sent."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated, Any

import pytest
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
from tests.support.members import Member, event, member
from trio_wss import App, Broadcast, Client, Close, Effects, Increment, Join, Read, Reply, Store
from trio_wss.node.topics import hub
from trio_wss.settings import Settings
from trio_wss.testing import cluster

app = App(history=1000)
ROOM = "room:a"


@frozen
class Said:
    by: str
    n: int


@app.on_connect
def enter(client: Client) -> Effects:
    return Join(ROOM) if client.query.get("in") else None


@app.on("say")
def say(event: Said) -> Effects:
    return Broadcast(ROOM, "said", event)


@app.on("change")
def change(event: Said, value: Annotated[int | None, Read("value")]) -> Effects:
    """Everybody reads and writes one key: this conflicts."""
    return [Store("value", (value or 0) + 1), Broadcast(ROOM, "said", event)]


@app.on("look")
def look(event: Said, value: Annotated[int | None, Read("value")]) -> Effects:
    return Reply("seen", value)


@app.on("count")
def count() -> Effects:
    n = Increment("count")
    return [n, Broadcast(ROOM, "counted", n.result), Reply("counted", n.result)]


@app.on("echo")
def echo(event: Said) -> Effects:
    return Reply("echoed", event)


@app.on("count_and_echo")
def count_and_echo(event: Said) -> Effects:
    return [Increment("count"), Reply("echoed", event)]


@app.on("arrive")
def arrive(event: Said) -> Effects:
    """Joins, and says more than is remembered for long."""
    return [
        Join("hall"),
        *(Broadcast("hall", "said", {"n": n}) for n in range(event.n)),
        Broadcast("hall", "said", {"pad": "." * 100_000}),
    ]


@app.on("flock")
def flock() -> Effects:
    """Joins, and says more than waits for a client of a small outbox."""
    return [Join("hall"), *(Broadcast("hall", "said", "." * 4000) for _ in range(100))]


@app.on("bye")
def bye() -> Effects:
    return Close(4000, "bye")


async def members(stack: AsyncExitStack, urls: list[str], count: int = 2) -> list[Member]:
    """So many members of the room on each node."""
    found = [member(url, {"in": "1"}) for url in urls for _ in range(count)]
    return [await stack.enter_async_context(one) for one in found]


def by_and_n(broadcasts: Sequence[Frame]) -> list[tuple[str, int]]:
    return [(one["data"]["by"], one["data"]["n"]) for one in broadcasts]


async def test_all_members_on_three_nodes_see_the_same_broadcasts_in_the_same_order(
    redis_url: str,
) -> None:
    each = 100
    with trio.fail_after(60):
        async with cluster(app, 3, redis=redis_url) as nodes, AsyncExitStack() as stack:
            everyone = await members(stack, [node.url for node in nodes.nodes])

            async def talk(speaker: Member) -> None:
                for n in range(1, each + 1):
                    await speaker.send("say", {"by": speaker.session, "n": n})

            async with trio.open_nursery() as nursery:
                for speaker in everyone:
                    nursery.start_soon(talk, speaker)
            histories = {
                one.session: await one.received(ROOM, each * len(everyone)) for one in everyone
            }
    check_one_order(histories)
    wanted = [(one.session, n) for one in everyone for n in range(1, each + 1)]
    for history in histories.values():
        check_gap_free(history, first=1)
        check_exactly_once(wanted, by_and_n(history))
        check_sent_order(by_and_n(history))


async def test_events_of_a_connection_take_effect_in_the_order_sent_conflicts_mixed_in(
    redis_url: str,
) -> None:
    each = 60
    names = ["say", "change", "look", "say", "say", "look", "change"]
    wanted: list[tuple[str, int]] = []
    with trio.fail_after(60):
        async with cluster(app, 3, redis=redis_url) as nodes, AsyncExitStack() as stack:
            everyone = await members(stack, [node.url for node in nodes.nodes])

            async def talk(speaker: Member, shift: int) -> None:
                """All at once, so that the node has them in hand together."""
                pieces = []
                for n in range(1, each + 1):
                    name = names[(n + shift) % len(names)]
                    number = n if (n + shift) % 3 else None
                    pieces.append(event(name, {"by": speaker.session, "n": n}, number))
                    if name != "look":
                        wanted.append((speaker.session, n))
                await speaker.raw(*pieces)

            async with trio.open_nursery() as nursery:
                for shift, speaker in enumerate(everyone):
                    nursery.start_soon(talk, speaker, shift)
            last = {"by": "last", "n": 1}
            for speaker in everyone:
                await speaker.send("say", last)

            def done(one: Member) -> bool:
                return [said["data"] for said in one.of(ROOM)].count(last) == len(everyone)

            for one in everyone:
                await one.until(partial(done, one))
    check_one_order({one.session: one.of(ROOM) for one in everyone})
    for one in everyone:
        seen = [entry for entry in by_and_n(one.of(ROOM)) if entry[0] != "last"]
        check_exactly_once(wanted, seen)
        check_sent_order(seen)


async def test_replies_of_a_connection_come_in_the_order_sent_with_and_without_ids(
    redis_url: str,
) -> None:
    """What needs no Redis must not overtake what does."""
    names = ["count_and_echo", "echo", "echo", "count_and_echo", "no_such_event", "echo"]
    async with cluster(app, 1, redis=redis_url) as nodes, member(nodes.nodes[0].url) as client:
        with trio.fail_after(30):
            events = [
                event(names[n % 6], {"by": "me", "n": n}, n if n % 4 == 1 else None)
                for n in range(120)
            ]
            await client.raw(*events)
            await client.until(lambda: len(client.frames) >= 120 + 3)
    order = []
    for one in client.frames:
        if one["event"] == "echoed":
            order.append(one["data"]["n"])
        elif one["event"] == "wss.error":
            assert one["data"]["code"] == "unknown_event"
            order.append(order[-1] + 1)
    assert order == list(range(120))


async def test_a_close_comes_behind_the_answers_of_the_events_before_it(redis_url: str) -> None:
    async with cluster(app, 1, redis=redis_url) as nodes, member(nodes.nodes[0].url) as client:
        with trio.fail_after(30):
            counts = [event("count", None, n) for n in range(1, 21)]
            await client.raw(*counts, event("bye"))
            assert await client.closed() == 4000
    assert sorted(client.answers) == list(range(1, 21))


def counted(one: Frame, *, reply: bool) -> int | None:
    if one["event"] != "counted" or ("re" in one) is not reply:
        return None
    number: int = one["data"]
    return number


async def test_a_reply_comes_after_the_broadcasts_of_earlier_commits_and_before_those_of_later_ones(
    redis_url: str,
) -> None:
    each = 100
    with trio.fail_after(60):
        async with cluster(app, 3, redis=redis_url) as nodes, AsyncExitStack() as stack:
            everyone = await members(stack, [node.url for node in nodes.nodes])

            async def work(client: Member) -> None:
                for n in range(1, each + 1):
                    await client.send("count", None, n)
                    if n % 10 == 0:
                        await client.answer(n - 5)

            async with trio.open_nursery() as nursery:
                for client in everyone:
                    nursery.start_soon(work, client)
            total = each * len(everyone)
            for client in everyone:
                await client.received(ROOM, total)
                await client.answer(each)
    for client in everyone:
        check_replies_in_place(
            client.frames, partial(counted, reply=True), partial(counted, reply=False)
        )
    answers: list[Any] = [a["data"] for client in everyone for a in client.answers.values()]
    assert sorted(answers) == list(range(1, total + 1))


async def test_broadcasts_of_the_commit_that_joins_come_before_the_next_answer(
    redis_url: str,
) -> None:
    """However many and large they are: Redis 7 pushes them before its answer, Valkey 9 after it."""
    with trio.fail_after(60):
        async with (
            cluster(app, 1, redis=redis_url) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            await client.raw(
                event("arrive", {"by": "", "n": 100}, 1), event("echo", {"by": "", "n": 0}, 2)
            )
            await client.answer(2)
            assert [one["offset"] for one in client.of("hall")] == list(range(1, 102))


async def test_what_is_remembered_for_those_who_join_is_bounded(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond that they read the stream, and miss nothing either."""
    monkeypatch.setattr(hub, "RECENT", 50_000)
    with trio.fail_after(60):
        async with (
            cluster(app, 1, redis=redis_url) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            await client.send("arrive", {"by": "", "n": 100}, 1)
            said = await client.received("hall", 101)
            assert [one["offset"] for one in said] == list(range(1, 102))


async def test_what_a_joining_commit_says_closes_nobody_however_much_it_is(redis_url: str) -> None:
    """Whoever has no room for it at once reads it from the stream."""
    settings = Settings(drain=1.0, outbox=256 * 1024)
    with trio.fail_after(60):
        async with (
            cluster(app, 1, redis=redis_url, settings=settings) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            await client.send("flock", number=1)
            said = await client.received("hall", 100)
            assert [one["offset"] for one in said] == list(range(1, 101))
            assert client.code is None
