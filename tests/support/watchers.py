"""What the tests of the client on real nodes share: an app, clients that keep what they saw, and
proxies that do harm."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import wraps
from typing import Annotated, Any, TypeAlias, final

import trio
from attrs import frozen

from harness.faults.proxy import Proxy, proxied
from tests.support.histories import (
    check_exactly_once,
    check_gap_free,
    check_one_order,
    check_sent_order,
)
from trio_wss import App, Broadcast, Client, Effects, Increment, Join, Member, Members, Reply
from trio_wss import client as clients
from trio_wss.client import (
    ConnectionLost,
    Event,
    State,
    connect,
)
from trio_wss.node import Node
from trio_wss.reads import Gap
from trio_wss.settings import Settings

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
