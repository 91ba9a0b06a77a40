"""A client that stops reading falls behind alone: its outbox keeps its bound, it is closed, and
nothing of it ever reaches the socket that comes after it."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest
import trio
from attrs import frozen

from tests.support.histories import check_gap_free
from tests.support.members import (
    PING,
    Member,
    dial,
    event,
    eventually,
    frame,
    member,
    request,
    shake_hands,
)
from tests.support.proxies import proxy
from trio_wss import App, Broadcast, Client, Effects, Join, Reply
from trio_wss.node import Node
from trio_wss.settings import Settings
from trio_wss.testing import cluster

pytestmark = pytest.mark.any_engine

KIB = 1024
BOUND = 256 * KIB
SETTINGS = Settings(drain=1.0, rate=0, outbox=BOUND)
app = App(history=64)


@frozen
class Say:
    topic: str
    size: int
    n: int


@app.on_connect
def enter(client: Client) -> Effects:
    return Join(client.query.get("in", "room:a"))


@app.on("say")
def say(event: Say) -> Effects:
    said = {"n": event.n, "text": "x" * event.size}
    return [Broadcast(event.topic, "said", said), Reply("ok", event.n)]


@app.on("echo")
def echo(event: Any) -> Effects:
    return Reply("echo", event)


def large(n: int, topic: str = "room:a", size: int = 20 * KIB) -> dict[str, Any]:
    return {"topic": topic, "size": size, "n": n}


async def shake(node: Node, stream: trio.SocketStream, **query: str) -> None:
    """Connect, and read no more than the handshake's answer."""
    await shake_hands(stream, request(node.url, query))


def connection_beside(node: Node, *others: Member) -> Any:
    """The node's side of the one connection that is not one of these."""
    known = {one.session for one in others}
    [found] = [c for c in node.connections if c.session.client.session not in known]
    return found


async def test_a_client_that_stops_reading_is_closed_with_1013_and_the_others_go_on() -> None:
    with trio.fail_after(60):
        async with (
            cluster(app, 1, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as speaker,
            member(nodes.nodes[0].url) as listener,
            await dial(nodes.nodes[0].url) as stream,
        ):
            [node] = nodes.nodes
            await shake(node, stream)
            await eventually(lambda: len(node.connections) == 3)
            outbox = connection_beside(node, speaker, listener).socket.outbox
            n = 0
            while not outbox.sealed:
                n += 1
                assert await speaker.good("say", large(n)) == n
                assert outbox.size <= BOUND
            assert outbox.code == 1013
            late = Member(stream)  # it reads again: whole frames without a gap, then the Close
            await late.read()
            assert late.code == 1013
            check_gap_free(late.of("room:a"))
            for more in range(n + 1, n + 11):
                await speaker.good("say", large(more))
            for one in (speaker, listener):
                seen = await one.received("room:a", n + 10)
                check_gap_free(seen, first=1)
            await eventually(lambda: len(node.connections) == 2)


async def test_one_that_never_reads_again_is_cut_off_after_its_deadline() -> None:
    with trio.fail_after(60):
        async with (
            cluster(app, 1, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as speaker,
            await dial(nodes.nodes[0].url) as stream,
        ):
            [node] = nodes.nodes
            await shake(node, stream)
            await eventually(lambda: len(node.connections) == 2)
            n = 0
            while len(node.connections) == 2:
                n += 1
                assert await speaker.good("say", large(n)) == n


async def test_pings_from_a_client_that_does_not_read_do_no_harm() -> None:
    """Their pongs wait in the outbox like everything else."""
    with trio.fail_after(60):
        async with (
            cluster(app, 1, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as speaker,
            await dial(nodes.nodes[0].url) as stream,
        ):
            [node] = nodes.nodes
            await shake(node, stream)
            await eventually(lambda: len(node.connections) == 2)
            outbox = connection_beside(node, speaker).socket.outbox
            async with trio.open_nursery() as nursery:

                async def ping() -> None:
                    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                        while True:
                            await stream.send_all(frame(PING, b"p" * 125))

                nursery.start_soon(ping)
                n = 0
                while not outbox.sealed:
                    n += 1
                    assert await speaker.good("say", large(n)) == n
                    assert outbox.size <= BOUND
                nursery.cancel_scope.cancel()


async def test_a_client_that_sends_and_does_not_read_is_held_at_the_door() -> None:
    """Its own replies never close it: the node takes no more events than it can answer."""
    total = 2500
    with trio.fail_after(60):
        async with (
            cluster(app, 1, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as speaker,
            await dial(nodes.nodes[0].url) as stream,
        ):
            [node] = nodes.nodes
            await shake(node, stream, **{"in": "room:b"})
            await eventually(lambda: len(node.connections) == 2)
            outbox = connection_beside(node, speaker).socket.outbox
            async with trio.open_nursery() as nursery:
                data = "x" * 3 * KIB

                async def send() -> None:
                    for n in range(1, total + 1):
                        await stream.send_all(event("echo", data, n))

                nursery.start_soon(send)
                await eventually(lambda: outbox.size * 2 >= BOUND)
                for n in range(1, 20):
                    await speaker.good("say", large(n))
                assert not outbox.sealed
                late = Member(stream)
                nursery.start_soon(late.read)
                for n in range(1, total + 1):
                    await late.answer(n)
                assert late.code is None
                nursery.cancel_scope.cancel()


async def test_a_socket_closed_under_load_never_writes_to_its_successor() -> None:
    """Sockets come and go all the time, so that file descriptors are used again at once; each
    client must see its own topic and nothing else."""
    rooms = [f"room:{n}" for n in range(8)]
    rounds = 12
    with trio.fail_after(60):
        async with (
            cluster(app, 1, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url, {"in": "room:none"}) as speaker,
        ):
            [node] = nodes.nodes
            stop = trio.Event()

            async def talk() -> None:
                n = 0
                while not stop.is_set():
                    n += 1
                    for room in rooms:
                        await speaker.send("say", large(n, room, 4 * KIB))
                    await speaker.good("say", large(n, "room:none", 0))

            async def come_and_go(room: str) -> None:
                for number in range(rounds):
                    await one_visit(room, number)

            async def one_visit(room: str, number: int) -> None:
                """Some read and say Close, some read and vanish, some never read and vanish."""
                way = (number + rooms.index(room)) % 3
                async with member(node.url, {"in": room}, reads=way < 2) as visitor:
                    if way == 2:
                        await visitor.stream.receive_some(1)
                        return
                    await visitor.received(room, random.randrange(1, 6))
                    assert {one["topic"] for one in visitor.frames if "topic" in one} == {room}
                    check_gap_free(visitor.of(room))
                    if way:
                        await visitor.vanish()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(talk)
                async with trio.open_nursery() as visits:
                    for room in rooms:
                        visits.start_soon(come_and_go, room)
                stop.set()
            assert speaker.code is None


@pytest.mark.parametrize("size", [10, 20 * KIB])
async def test_a_long_replay_is_whole_and_does_not_close_its_own_client(size: int) -> None:
    """It is more than one page, and may be five times what an outbox holds; nobody else is there
    on its new node, and nothing more is said."""
    kept = 64
    with trio.fail_after(60):
        async with (
            cluster(app, 2, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url, {"in": "room:b"}) as speaker,
        ):
            async with member(nodes.nodes[1].url) as first:
                token = first.frames[0]["data"]["token"]
                await speaker.good("say", large(0))
                [seen] = await first.received("room:a", 1)
                await first.vanish()
            for n in range(1, kept):
                await speaker.good("say", large(n, size=size))
            resume = {"token": token, "topics": {"room:a": [seen["epoch"], seen["offset"]]}}
            async with await dial(nodes.nodes[0].url) as stream:
                await shake(nodes.nodes[0], stream, resume="")
                again = Member(stream)
                await again.send("wss.resume", resume)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(again.read)
                    missed = await again.received("room:a", kept - 1)
                    check_gap_free(missed, first=seen["offset"] + 1)
                    assert again.code is None
                    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("size", [2 * KIB, 150 * KIB])
async def test_a_gap_of_the_nodes_own_link_closes_nobody(redis_url: str, size: int) -> None:
    """What was missed is more than an outbox and a socket hold; one reads it, one does not yet."""
    missed = 60
    with trio.fail_after(60):
        async with (
            proxy(redis_url) as door,
            cluster(app, 1, redis=door.url, settings=SETTINGS) as one,
            cluster(app, 1, redis=redis_url, settings=SETTINGS) as other,
            member(one.nodes[0].url) as listener,
            member(other.nodes[0].url, {"in": "room:b"}) as speaker,
            await dial(one.nodes[0].url) as stream,
            trio.open_nursery() as nursery,
        ):
            lazy = Member(stream, await shake_hands(stream, request(one.nodes[0].url)))
            connections = one.nodes[0].connections
            await eventually(lambda: [c.session.generation for c in connections] == ["1", "1"])
            await speaker.good("say", large(0))
            await listener.received("room:a", 1)
            await door.cut()
            await eventually(lambda: not one.nodes[0].link.up)
            for n in range(1, missed + 1):
                await speaker.good("say", large(n, size=size))
            door.mend()
            check_gap_free(await listener.received("room:a", missed + 1), first=1)
            nursery.start_soon(lazy.read)
            check_gap_free(await lazy.received("room:a", missed + 1), first=1)
            await speaker.good("say", large(0))
            for client in (listener, lazy):
                check_gap_free(await client.received("room:a", missed + 2), first=1)
                assert client.code is None
            nursery.cancel_scope.cancel()
