"""How sessions end: once, by whichever node, at the right time, and with nothing left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Annotated

import redis
import trio
from attrs import evolve

from tests.support.members import Member, eventually, member
from tests.support.resuming import (
    DEADLINE,
    ROOM,
    SETTINGS,
    app,
    ask_back,
    places,
    returning,
    token,
    welcome,
)
from trio_wss import App, Effects, Read, Store
from trio_wss.node import Node, serve
from trio_wss.settings import Settings
from trio_wss.testing import Cluster, cluster

GRACE = 1.0
SHORT = evolve(SETTINGS, grace=GRACE)


async def log_of(client: Member, session: str) -> list[str]:
    """What the app has noted of a session, in order."""
    entries: list[str] = await client.good("log")
    return [
        word for word, _, other in (entry.partition(" ") for entry in entries) if other == session
    ]


async def rounds(client: Member, count: int, nodes: Cluster) -> None:
    """Wait for so many rounds of the janitors, as long as they may take."""
    await trio.sleep(count * 1.5 * nodes.nodes[0].settings.janitor_round)
    await client.good("log")


@asynccontextmanager
async def stoppable(settings: Settings) -> AsyncIterator[tuple[Node, trio.Event]]:
    """A node, and what stops it in order."""
    async with trio.open_nursery() as nursery:
        stop = trio.Event()
        yield await nursery.start(partial(serve, app, settings, shutdown=stop)), stop
        stop.set()


async def test_a_goodbye_ends_the_session_at_once(redis_url: str) -> None:
    """However long the grace is."""
    settings = evolve(SETTINGS, grace=10_000.0)
    with trio.fail_after(DEADLINE):
        async with (
            cluster(app, 2, redis=redis_url, settings=settings) as nodes,
            member(nodes.nodes[1].url, {"in": "went"}) as watcher,
            member(nodes.nodes[0].url) as client,
        ):
            assert await client.leave() == 1000
            [went] = await watcher.heard("went")
            assert went["data"] == client.session
            assert await watcher.good("who", {"topic": ROOM}) == []
            assert await log_of(watcher, client.session) == ["came", "went"]


async def test_a_session_that_nobody_comes_back_to_ends_once_after_its_grace(
    redis_url: str,
) -> None:
    with trio.fail_after(DEADLINE):
        async with (
            cluster(app, 3, redis=redis_url, settings=SHORT) as nodes,
            member(nodes.nodes[2].url, {"in": "went"}) as watcher,
            AsyncExitStack() as stack,
        ):
            clients = [
                await stack.enter_async_context(member(nodes.nodes[n % 2].url)) for n in range(20)
            ]
            began = trio.current_time()
            for client in clients:
                await client.vanish()
            await watcher.heard("went", 20)
            assert trio.current_time() - began >= GRACE
            await rounds(watcher, 3, nodes)
            assert len(watcher.named("went")) == 20
            for client in clients:
                assert await log_of(watcher, client.session) == ["came", "went"]
            assert await watcher.good("who", {"topic": ROOM}) == []


async def test_a_resumed_session_does_not_end(redis_url: str) -> None:
    """Not when the grace of its lost connection is over, nor at any time after."""
    with trio.fail_after(DEADLINE):
        async with (
            cluster(app, 2, redis=redis_url, settings=SHORT) as nodes,
            member(nodes.nodes[1].url) as other,
            member(nodes.nodes[0].url) as client,
        ):
            await client.vanish()
            async with returning(nodes.nodes[1].url, ask_back(token(client))) as back:
                assert welcome(back)["resumed"]
                await trio.sleep(GRACE * 1.5)
                await rounds(other, 3, nodes)
                assert await log_of(other, client.session) == ["came"]
                assert client.session in await other.good("who", {"topic": ROOM})
                assert await back.good("say", {"topic": "x"}) == 1


async def test_each_lost_connection_has_a_grace_of_its_own(redis_url: str) -> None:
    grace = 2.0
    with trio.fail_after(DEADLINE):
        async with (
            cluster(app, 2, redis=redis_url, settings=evolve(SETTINGS, grace=grace)) as nodes,
            member(nodes.nodes[1].url, {"in": "went"}) as watcher,
            member(nodes.nodes[0].url) as client,
        ):
            await client.vanish()
            for number in range(3):
                await trio.sleep(grace * 0.5)
                url = nodes.nodes[number % 2].url
                async with returning(url, ask_back(token(client))) as back:
                    assert welcome(back)["resumed"], f"at {number}"
                    await back.vanish()
            await watcher.heard("went")
            assert await log_of(watcher, client.session) == ["came", "went"]


async def test_a_roll_call_leaves_sessions_alone_that_are_about_to_be_resumed(
    redis_url: str,
) -> None:
    """And those that another node has by now. Only what nobody has is due."""
    due = "{wss}:due:"
    with trio.fail_after(DEADLINE), redis.Redis.from_url(redis_url) as store:
        async with (
            cluster(
                app, 2, redis=redis_url, settings=evolve(SETTINGS, janitor_round=1000)
            ) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            session, (here, elsewhere) = client.session, nodes.nodes
            await client.vanish()
            await eventually(lambda: store.zscore(due, session))
            store.zrem(due, session)
            store.hdel(f"{{wss}}:s:{session}", "away")  # as if nobody had seen it vanish
            store.sadd(f"{{wss}}:o:{here.id}", session)
            doubtful = frozenset([session])
            here.custody.arriving.add(session)
            here.janitor._doubtful = doubtful
            await here.janitor._call_the_roll()
            assert store.zscore(due, session) is None
            here.custody.arriving.clear()
            assert await elsewhere.sessions.orphaned([session], 0) == []
            assert store.zscore(due, session) is None
            here.janitor._doubtful = doubtful
            await here.janitor._call_the_roll()
            assert store.zscore(due, session) is not None
            assert await here.sessions.orphaned([session], 0) == []  # it is due already


async def test_a_client_of_a_node_that_stops_has_not_left(redis_url: str) -> None:
    """It was told to go; its Close answers the node's, and is no goodbye."""
    settings = evolve(SHORT, redis=redis_url)
    with trio.fail_after(DEADLINE):
        async with (
            cluster(app, 1, redis=redis_url, settings=settings) as nodes,
            member(nodes.nodes[0].url, {"in": "went"}) as watcher,
            stoppable(settings) as (node, stop),
            member(node.url) as comes_back,
            member(node.url) as stays_away,
        ):
            left = places(comes_back)
            stop.set()
            assert await comes_back.closed() == 1012
            assert await stays_away.closed() == 1012
            url = nodes.nodes[0].url
            async with returning(url, ask_back(token(comes_back), left)) as back:
                assert welcome(back)["resumed"]
                [went] = await watcher.heard("went")
                assert went["data"] == stays_away.session
                assert await log_of(watcher, comes_back.session) == ["came"]


async def test_the_node_of_a_session_may_be_gone_when_its_grace_is_over(redis_url: str) -> None:
    settings = evolve(SHORT, redis=redis_url)
    with trio.fail_after(DEADLINE):
        async with (
            cluster(app, 1, redis=redis_url, settings=settings) as nodes,
            member(nodes.nodes[0].url, {"in": "went"}) as watcher,
        ):
            async with stoppable(settings) as (node, stop), member(node.url) as client:
                await client.vanish()
                await eventually(lambda: not node.connections)
                stop.set()
            [went] = await watcher.heard("went")
            assert went["data"] == client.session


async def test_what_a_session_leaves_in_redis_is_nothing(redis_url: str) -> None:
    with trio.fail_after(DEADLINE), redis.Redis.from_url(redis_url) as client:
        async with cluster(app, 2, redis=redis_url, settings=SHORT) as nodes:
            async with member(nodes.nodes[0].url, {"user": "ann"}) as one:
                await one.good("join", {"topic": "second"})
                await one.good("say", {"topic": "second"})
                await one.vanish()
            async with returning(nodes.nodes[1].url, ask_back(token(one)), query={"user": "ann"}):
                pass  # and is gone again
            await eventually(lambda: not list(client.scan_iter("*:s:*")))
            keys = {key.decode().partition(":")[2] for key in client.scan_iter()}
            rings = {f"r:{node.id}" for node in nodes.nodes}
            kinds = {key.partition(":")[0] for key in keys - rings}
    # Nodes, master, state; topics' places and histories. No sessions, sets of them, rings, members.
    assert kinds == {"n", "nodes", "pulse", "master", "k", "t", "h"}


async def test_a_hook_whose_reads_keep_changing_runs_when_they_no_longer_do(
    redis_url: str,
) -> None:
    """Its conflict is told to nobody, so it must not be the end of it."""
    meddled = 0
    changing = App()
    settings = evolve(SETTINGS, grace=0.1, lease=0.3, event_deadline=0.2)

    @changing.on_disconnect
    def leave(n: Annotated[int, Read("n")]) -> Effects:
        nonlocal meddled
        if meddled < 1000:
            meddled += 1
            store.set("{wss}:k:n", str(meddled))
        return Store("left", n)

    with trio.fail_after(DEADLINE), redis.Redis.from_url(redis_url) as store:
        store.set("{wss}:k:n", "0")
        async with cluster(changing, 2, redis=redis_url, settings=settings) as nodes:
            async with member(nodes.nodes[0].url) as client:
                session = f"{{wss}}:s:{client.session}"
                await client.leave()
            await eventually(lambda: meddled > 1 and not nodes.nodes[0].connections)
            assert store.get("{wss}:k:left") is None
            assert store.exists(session)
            meddled = 1000
            await eventually(lambda: not store.exists(session))
            assert store.get("{wss}:k:left") == store.get("{wss}:k:n")
