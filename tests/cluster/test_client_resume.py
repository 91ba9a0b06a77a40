"""The client against real nodes that go and come, and sockets that break under load: each event is
applied once, each broadcast is seen once and in order."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest
import trio
from attrs import evolve

from harness.faults.proxy import Proxy
from tests.support.watchers import SETTINGS, Counts, add_many, app, bounded, check, fronts, watched
from trio_wss.client import (
    Connected,
    ConnectionLost,
    Disconnected,
    Event,
    OutcomeUnknown,
    connect,
)
from trio_wss.node import Node, serve
from trio_wss.settings import Settings
from trio_wss.testing import cluster

pytestmark = pytest.mark.any_engine


@pytest.mark.parametrize("way", ["cut", "half_close"])
@bounded
async def test_sockets_that_are_cut_under_load(redis_url: str, way: str) -> None:
    def harm(proxy: Proxy) -> None:
        if way == "cut":
            proxy.cut()
        else:
            proxy.half_close("client" if random.random() < 0.5 else "server")

    each, senders = 20, 10
    counts: Counts = {}
    async with (
        cluster(app, 3, redis=redis_url, settings=SETTINGS) as nodes,
        fronts(nodes.nodes) as (urls, proxies),
        AsyncExitStack() as stack,
    ):
        watchers = [
            await stack.enter_async_context(
                watched(*urls[n:], *urls[:n], ping_interval=0.3, ping_timeout=0.3)
            )
            for n in range(3)
        ]
        async with trio.open_nursery() as harming:

            async def do_harm() -> None:
                while True:
                    await trio.sleep(random.uniform(0.05, 0.3))
                    harm(random.choice(proxies))

            harming.start_soon(do_harm)
            async with trio.open_nursery() as nursery:
                for number, watcher in enumerate(watchers):
                    for sender in range(senders):
                        by = f"{number}.{sender}"
                        nursery.start_soon(add_many, watcher, by, each, counts)
            for watcher in watchers:
                await watcher.is_in(Connected, 4)
            harming.cancel_scope.cancel()
        for watcher in watchers:
            await watcher.until(len(counts))
    check(watchers, counts)
    for watcher in watchers:
        assert all(one.resumed for one in watcher.states[1:] if isinstance(one, Connected))


@bounded
async def test_a_client_that_moves_from_node_to_node_all_the_time(redis_url: str) -> None:
    """Its sockets live on where they were: only the session's generation tells which one counts."""
    counts: Counts = {}
    seen: list[Event] = []
    async with cluster(app, 3, redis=redis_url, settings=SETTINGS) as nodes:
        ticket = None
        for move in range(30):
            url = nodes.nodes[move % 3].url
            async with connect(url, resume=ticket) as client:
                assert client.welcome.resumed is (ticket is not None)
                for n in range(5):
                    answer = await client.send("add", {"by": "me", "n": move * 5 + n})
                    counts["me", move * 5 + n] = answer.data
                ticket = await client.abandon()
                seen += [event async for event in client.events() if isinstance(event, Event)]
        async with connect(nodes.nodes[0].url, resume=ticket) as client:
            while len([one for one in seen if one.event == "added"]) < len(counts):
                event = await client.receive()
                if isinstance(event, Event):
                    seen.append(event)
    added = [one for one in seen if one.event == "added"]
    assert [one.offset for one in added] == list(range(1, 151))
    assert {(one.data["by"], one.data["n"]): one.data["count"] for one in added} == counts


@asynccontextmanager
async def stoppable(settings: Settings) -> AsyncIterator[tuple[Node, trio.Event]]:
    """A node, and what stops it in order."""
    async with trio.open_nursery() as nursery:
        stop = trio.Event()
        node = await nursery.start(partial(serve, app, settings, shutdown=stop))
        yield node, stop
        stop.set()


@bounded
async def test_nodes_that_stop_one_after_the_other_under_load(redis_url: str) -> None:
    """Told to go with 1012, clients go elsewhere, and nothing is lost on the way."""
    settings = evolve(SETTINGS, redis=redis_url)
    counts: Counts = {}
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(stoppable(settings)) for _ in range(3)]
        urls = [node.url for node, _ in found]
        watchers = [
            await stack.enter_async_context(watched(*urls[n:], *urls[:n])) for n in range(3)
        ]
        async with trio.open_nursery() as load:
            for number, watcher in enumerate(watchers):
                for sender in range(5):
                    load.start_soon(add_many, watcher, f"{number}.{sender}", 60, counts)
            for number in (0, 1):
                await watchers[2].until(200 * (number + 1))
                found[number][1].set()
        for watcher in watchers:
            await watcher.until(len(counts))
    check(watchers, counts)
    went = [one for one in watchers[0].states if isinstance(one, Disconnected)]
    assert (went[0].code, went[0].reason) == (1012, "the node is stopping")
    assert went[0].wait is not None
    assert went[0].wait < 1
    assert len({one.node for one in watchers[1].states if isinstance(one, Connected)}) >= 2


@bounded
async def test_a_node_that_swallows_its_answers_is_found_by_pings(redis_url: str) -> None:
    """The socket is up and nothing comes: what is seen of a dead machine."""
    counts: Counts = {}
    async with (
        cluster(app, 2, redis=redis_url, settings=SETTINGS) as nodes,
        fronts(nodes.nodes) as (urls, proxies),
        watched(*urls, ping_interval=0.1, ping_timeout=0.2) as watcher,
    ):
        await add_many(watcher, "before", 3, counts)
        proxies[0].swallows = True
        await add_many(watcher, "after", 3, counts)
        await watcher.until(6)
        assert Disconnected(1006, "the server answers no ping", 0) in [
            evolve(one, wait=0) for one in watcher.states if isinstance(one, Disconnected)
        ]
        proxies[0].heal()
    check([watcher], counts)


@bounded
async def test_of_two_clients_with_one_token_the_first_stops(redis_url: str) -> None:
    async with (
        cluster(app, 2, redis=redis_url, settings=SETTINGS) as nodes,
        watched(nodes.nodes[0].url) as one,
    ):
        ticket = one.client.ticket()
        async with connect(nodes.nodes[1].url, resume=ticket) as two:
            assert two.welcome.resumed
            assert two.session == one.client.session
            with pytest.raises(OutcomeUnknown) as caught:
                await one.client.send("add", {"by": "one", "n": 1})
            assert (caught.value.code, caught.value.reason) == (4409, "replaced")
            assert one.client.state == Disconnected(4409, "replaced", None)
            with pytest.raises(ConnectionLost, match="4409"):
                await one.client.send("add", {"by": "one", "n": 2})
            answer = await two.send("add", {"by": "two", "n": 1})
            assert answer.data == 1  # what the first one sent was not applied
            assert len(one.states) == 1  # it has not come back
