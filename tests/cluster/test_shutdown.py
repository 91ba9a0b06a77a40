"""SIGTERM: a node stops accepting, answers what is in flight, tells its clients to go elsewhere and
exits with 0 in time, whatever Redis does; and when a node is killed the others go on."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
import trio

from tests.support.histories import check_exactly_once, check_gap_free
from tests.support.members import Member, Rejected, dial, eventually, member, request, shake_hands
from tests.support.processes import Running, commands_with, trio_wss
from tests.support.servers import RedisServer
from trio_wss import App
from trio_wss.settings import Settings
from trio_wss.testing import cluster

pytestmark = pytest.mark.any_engine

ROOM = "room:lobby"
DRAIN = 3.0
APP = """
from typing import Annotated
from attrs import frozen
from trio_wss import App, Broadcast, Client, Increment, Join, Read, Reply, Store

app = App(history=10_000)

@frozen
class Say:
    n: int

@app.on_connect
def enter():
    return Join("room:lobby")

@app.on_disconnect
def leave(client: Client):
    return Increment("gone")

@app.on("say")
def say(event: Say, client: Client):
    n = Increment("count")
    said = {"by": client.session, "k": event.n, "n": n.result}
    return [n, Broadcast("room:lobby", "said", said), Reply("said", n.result)]

@app.on("look")
def look(n: Annotated[int | None, Read("count")]):
    return Reply("count", n)
"""


@asynccontextmanager
async def node(folder: Path, redis: str) -> AsyncIterator[Running]:
    """A real node process."""
    (folder / "app.py").write_text(APP)
    arguments = ("run", "--redis", redis, "--drain", str(DRAIN))
    async with trio_wss(*arguments, cwd=folder, module=True) as process:
        yield await process.listening()


async def talk(client: Member) -> None:
    """Ask, ten at a time, for as long as the connection lives."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError, AssertionError):
        for k in count(1):
            await client.send("say", {"n": k}, k)
            if k > 10:
                await client.answer(k - 10)


async def test_sigterm_under_load_answers_what_it_took_and_exits_in_time(
    redis_url: str, tmp_path: Path
) -> None:
    """Every event that was applied was answered, and every answer came true."""
    with trio.fail_after(60):
        async with (
            node(tmp_path, redis_url) as stopping,
            node(tmp_path, redis_url) as staying,
            AsyncExitStack() as stack,
        ):
            watcher = await stack.enter_async_context(member(staying.url))
            clients = [await stack.enter_async_context(member(stopping.url)) for _ in range(10)]
            async with trio.open_nursery() as nursery:
                for one in clients:
                    nursery.start_soon(talk, one)
                await watcher.received(ROOM, 200)
                since = trio.current_time()
                stopping.process.terminate()
                for one in clients:
                    assert await one.closed() == 1012
            assert await stopping.ended() == 0
            assert trio.current_time() - since < DRAIN + 1
            applied = await watcher.good("look")
            seen = [said["data"] for said in await watcher.received(ROOM, applied)]
            check_gap_free(watcher.of(ROOM), first=1)
            for one in clients:
                mine = [said["k"] for said in seen if said["by"] == one.session]
                check_exactly_once(sorted(one.answers), mine)


async def test_a_stopping_node_takes_no_new_clients(redis_url: str, tmp_path: Path) -> None:
    with trio.fail_after(60):
        async with node(tmp_path, redis_url) as stopping:
            async with member(stopping.url) as busy, await dial(stopping.url) as stuck:
                await shake_hands(stuck, request(stopping.url))  # it never reads: the node waits
                await busy.good("say", {"n": 1})
                stopping.process.terminate()
                assert await busy.closed() == 1012
                with pytest.raises((OSError, Rejected)):
                    async with member(stopping.url):
                        pass
            assert await stopping.ended() == 0


async def test_sessions_of_a_stopped_node_may_be_resumed_elsewhere(
    redis_url: str, shared_redis: RedisServer, tmp_path: Path
) -> None:
    with trio.fail_after(60), shared_redis.client() as server:
        async with node(tmp_path, redis_url) as stopping, member(stopping.url) as client:
            session = f"{{wss}}:s:{client.session}"
            stopping.process.terminate()
            assert await client.closed() == 1012
            assert await stopping.ended() == 0
        assert server.exists(session)
        assert server.zscore("{wss}:due:", client.session)
        assert not server.exists("{wss}:k:gone")
        # The session is all that is left of the node.
        kinds = {key.decode().partition(":")[2].partition(":")[0] for key in server.scan_iter()}
        assert kinds <= {"s", "r", "sessions", "due", "pulse", "master", "k", "t", "h", "m"}
        assert not server.exists("{wss}:nodes")


@pytest.mark.parametrize("harm", [RedisServer.kill, RedisServer.pause], ids=["killed", "stopped"])
async def test_sigterm_with_a_dead_redis_exits_in_time_too(
    own_redis: RedisServer, tmp_path: Path, harm: Callable[[RedisServer], None]
) -> None:
    with trio.fail_after(60):
        async with node(tmp_path, own_redis.url) as stopping, AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(member(stopping.url)) for _ in range(5)]
            for one in clients:
                await one.good("say", {"n": 1})
            harm(own_redis)
            for one in clients[:3]:
                for k in range(40):
                    await one.send("say", {"n": k})
            await clients[3].send("look")
            since = trio.current_time()
            stopping.process.terminate()
            for one in clients:
                assert await one.closed() == 1012
            assert await stopping.ended() == 0
            assert trio.current_time() - since < DRAIN + 1


async def test_a_node_stops_in_time_though_its_client_and_its_redis_hang(
    own_redis: RedisServer,
) -> None:
    """Each in turn: the client does not answer the Close, then Redis does not take the session."""
    settings = Settings(drain=5.0, link_deadline=60.0)  # it counts as linked all the while
    with trio.fail_after(60):
        async with cluster(App(), 1, redis=own_redis.url, settings=settings) as nodes:
            url = nodes.nodes[0].url
            stream = await dial(url)
            await shake_hands(stream, request(url))
            own_redis.pause()
            began = trio.current_time()
        assert trio.current_time() - began < settings.drain
        own_redis.resume()
        await stream.aclose()


async def test_a_node_with_its_own_redis_leaves_no_orphan(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with trio.fail_after(60):
        async with trio_wss("run", cwd=tmp_path, module=True) as process:
            url = (await process.listening()).url
            async with member(url) as client:
                await client.good("say", {"n": 1})
                process.process.terminate()
                assert await client.closed() == 1012
            assert await process.ended() == 0
        await eventually(lambda: not commands_with(str(tmp_path)))
        assert not list((tmp_path / "tmp").iterdir())


async def test_when_a_node_is_killed_the_others_go_on_and_its_events_are_whole_or_not_there(
    redis_url: str, tmp_path: Path
) -> None:
    with trio.fail_after(60):
        async with (
            node(tmp_path, redis_url) as killed,
            node(tmp_path, redis_url) as staying,
            AsyncExitStack() as stack,
        ):
            watcher = await stack.enter_async_context(member(staying.url))
            clients = [await stack.enter_async_context(member(killed.url)) for _ in range(5)]
            async with trio.open_nursery() as nursery:
                for one in clients:
                    nursery.start_soon(talk, one)
                await watcher.received(ROOM, 200)
                os.kill(killed.process.pid, signal.SIGKILL)
            applied = await watcher.good("look")
            seen = [said["data"] for said in await watcher.received(ROOM, applied)]
            assert [said["n"] for said in seen] == list(range(1, applied + 1))
            for one in clients:
                assert one.code == 1006
                mine = [said["k"] for said in seen if said["by"] == one.session]
                assert mine == list(range(1, len(mine) + 1))
                assert len(one.answers) <= len(mine)
            assert await watcher.good("say", {"n": 1}) == applied + 1
