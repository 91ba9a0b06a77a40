"""The client against real nodes and a real Redis, behind a proxy that does harm: each event is
applied once, each broadcast is seen once and in order, and what cannot be had is told."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial, wraps
from typing import Annotated, Any, TypeAlias, final

import pytest
import trio
from attrs import evolve, frozen

from tests.faults.proxy import Proxy, proxied
from tests.histories import check_exactly_once, check_gap_free, check_one_order, check_sent_order
from tests.servers import RedisServer
from trio_wss import App, Broadcast, Client, Effects, Increment, Join, Member, Members, Reply
from trio_wss import client as clients
from trio_wss.client import (
    Connected,
    ConnectionLost,
    Disconnected,
    Event,
    OutcomeUnknown,
    State,
    connect,
)
from trio_wss.node import Node, serve
from trio_wss.reads import Gap
from trio_wss.settings import Settings
from trio_wss.testing import cluster

ROOM = "room:a"
Counts: TypeAlias = dict[tuple[str, int], int]  # what was answered: sender and number, count
DEADLINE = 120.0  # seconds for a test
SETTINGS = Settings(drain=1.0, rate=0)
app = App(history=5000)
app.topic("short", history=3, ttl=60)


@frozen
class Item:
    by: str
    n: int
    bulk: str = ""


@app.on_connect
def enter(client: Client) -> Effects:
    return Join(client.query.get("in", ROOM))


@app.on("add")
def add(item: Item) -> Effects:
    """What its answer says must be what was broadcast, however often it was sent."""
    count = Increment("count")
    return [
        count,
        Broadcast(ROOM, "added", {"by": item.by, "n": item.n, "count": count.result}),
        Reply("added", count.result),
    ]


@app.on("say")
def say(item: Item) -> Effects:
    return Broadcast("short", "said", item.n)


@app.on("who")
def who(members: Annotated[list[Member], Members(ROOM)]) -> Effects:
    return Reply("who", members)


@app.on("fill")
def fill(item: Item) -> Effects:
    return Broadcast(ROOM, "filled", item)


@app.on_gap
def on_gap(gap: Gap) -> Effects:
    return Reply("state", {"of": gap.topic})


@final
class Watcher:
    """What one client saw, and the states that it went through."""

    def __init__(self, client: clients.Client) -> None:
        self.client = client
        self.events: list[Event] = []
        self.states: list[State] = []
        self._news = trio.lowlevel.ParkingLot()

    async def run(self) -> None:
        with suppress(ConnectionLost):
            async for item in self.client.events():
                if isinstance(item, Event):
                    self.events.append(item)
                else:
                    self.states.append(item)
                self._news.unpark_all()

    async def until(self, number: int, name: str = "added") -> None:
        """Wait for so many broadcasts with a name."""
        while len(self.named(name)) < number:
            await self._news.park()

    async def is_in(self, state: type[State], times: int = 1) -> None:
        """Wait until it has been in a state so many times."""
        while len([one for one in self.states if isinstance(one, state)]) < times:
            await self._news.park()

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event.event == name]

    @property
    def seen(self) -> list[dict[str, Any]]:
        """Broadcasts of the room, for the checks."""
        return [
            {"epoch": event.epoch, "offset": event.offset, "data": event.data}
            for event in self.events
            if event.topic == ROOM
        ]


def bounded(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """A test that may not hang."""

    @wraps(test)
    async def within_deadline(**fixtures: Any) -> None:
        with trio.fail_after(DEADLINE):
            await test(**fixtures)

    return within_deadline


@asynccontextmanager
async def watched(*urls: str, **options: Any) -> AsyncIterator[Watcher]:
    options = {"back_off": (0.05, 0.2), **options}
    async with connect(*urls, **options) as client, trio.open_nursery() as nursery:
        watcher = Watcher(client)
        nursery.start_soon(watcher.run)
        yield watcher
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def fronts(nodes: Sequence[Node]) -> AsyncIterator[tuple[list[str], list[Proxy]]]:
    """A proxy before each node: the URLs, and the proxies."""
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(proxied((node.host, node.port))) for node in nodes]
        yield [f"ws://127.0.0.1:{proxy.port}" for proxy in found], found


async def add_many(watcher: Watcher, by: str, count: int, counts: Counts) -> None:
    """Send one after the other, and note the answers."""
    for n in range(count):
        answer = await watcher.client.send("add", {"by": by, "n": n}, timeout=60)
        counts[by, n] = answer.data


def check(watchers: Sequence[Watcher], counts: Counts) -> None:
    """Each event was applied once, and each client has seen all of it, in one order."""
    assert sorted(counts.values()) == list(range(1, len(counts) + 1))
    check_one_order({one.client.session + str(n): one.seen for n, one in enumerate(watchers)})
    for watcher in watchers:
        check_gap_free(watcher.seen, first=1)
        data = [one["data"] for one in watcher.seen]
        check_exactly_once(counts, [(one["by"], one["n"]) for one in data])
        check_sent_order([(one["by"], one["n"]) for one in data])
        assert {(one["by"], one["n"]): one["count"] for one in data} == counts


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
        watched(*urls) as watcher,
    ):
        first = watcher.client.session
        proxies[0].swallows = True
        proxies[1].refuses = True
        pending = await watcher.client.submit("add", {"by": "me", "n": 1})
        again = await watcher.client.submit("add", {"by": "me", "n": 2}, again=True)
        async with connect(nodes.nodes[1].url) as other:  # it waits until both are applied
            while (await other.send("add", {"by": "other", "n": 0})).data < 3:
                pass
            proxies[0].cut()
            proxies[0].heal()
            while first in {member["session"] for member in (await other.send("who")).data}:
                pass
        proxies[1].refuses = False
        with pytest.raises(OutcomeUnknown):
            await pending.answer()
        assert (await again.answer()).data > 3  # applied twice, as it was allowed to be
        assert watcher.client.session != first
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
