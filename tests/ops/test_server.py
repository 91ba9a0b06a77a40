"""trio_wss/ops/server.py: what the operations listener answers, and that the public port answers
none of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from tests.support.members import Frame, Rejected, eventually, http, member
from tests.support.servers import RedisServer
from trio_wss import App, Broadcast, Client, Effects, Join
from trio_wss.errors import SettingsError
from trio_wss.node import Node, serve
from trio_wss.ops import server as ops
from trio_wss.settings import Settings
from trio_wss.testing import Cluster, cluster

pytestmark = pytest.mark.any_engine

SETTINGS = Settings(drain=1.0, ops_port=0)
app = App()


@app.on_connect
def enter(client: Client) -> Effects:
    return Join("room")


@app.on("say")
def say(event: str) -> Effects:
    return Broadcast("room", "said", event)


@asynccontextmanager
async def nodes(redis: str, number: int = 1) -> AsyncIterator[Cluster]:
    with trio.fail_after(30):
        async with cluster(app, nodes=number, redis=redis, settings=SETTINGS) as running:
            yield running


async def metrics(node: Node) -> dict[tuple[str, str], float]:
    """Every sample, by its name and its labels' values."""
    status, text = await http(node.ops_url, "/metrics")
    assert status == 200
    return {
        (sample.name, " ".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def words(frames: list[Frame]) -> dict[str, Frame]:
    """The last word of each node."""
    return {frame["data"]["node"]: frame["data"] for frame in frames}


async def test_the_metrics_tell_what_happened(redis_url: str) -> None:
    async with nodes(redis_url) as running:
        [node] = running.nodes
        async with member(node.url) as client:
            await client.good("say", "hi")
            await client.ask("say", 5)
            await client.ask("what")
            await client.received("room", 1)
            await eventually(lambda: node.statistics.deliveries)
            found = await metrics(node)
        assert found["trio_wss_events_total", "say ok"] == 1
        assert found["trio_wss_events_total", "say invalid"] == 1
        assert found["trio_wss_events_total", "unknown unknown_event"] == 1
        assert found["trio_wss_connections", ""] == 1
        assert found["trio_wss_ready", ""] == 1
        assert found["trio_wss_link_up", ""] == 1
        assert found["trio_wss_deliveries_total", ""] == 1
        assert found["trio_wss_commit_seconds_bucket", "+Inf"] >= 3
        count = found["trio_wss_commit_seconds_count", ""]
        assert count == found["trio_wss_commit_seconds_bucket", "+Inf"]
        assert 0 < found["trio_wss_commit_seconds_sum", ""] < 30
        assert found["trio_wss_loop_lag_seconds_count", ""] > 0
        assert found["trio_wss_silence_seconds", ""] < 30
        assert ("trio_wss_recoveries_total", "broken") in found
        assert ("process_cpu_seconds_total", "") in found


async def test_a_watcher_hears_every_node(redis_url: str) -> None:
    async with nodes(redis_url, 2) as running:
        first, second = running.nodes
        async with member(second.url), member(first.ops_url.replace("http", "ws")) as watcher:
            await watcher.until(lambda: len(words(watcher.frames)) == 2)
            found = words(watcher.frames)
            assert set(found) == {first.id, second.id}
            assert found[second.id]["connections"] == 1
            assert found[second.id]["ops"] == second.ops_url
            assert watcher.frames[0]["topic"] == "wss.nodes"
            assert watcher.frames[0]["event"] == "wss.node"
            await watcher.send("say", "nobody listens to this")
            await watcher.heard("wss.node", len(watcher.frames) + 2)


async def test_a_watcher_that_has_gone_is_forgotten(redis_url: str) -> None:
    async with nodes(redis_url) as running:
        [node] = running.nodes
        [topic] = [one for one in node.hub.topics() if one.name == "wss.nodes"]
        async with member(node.ops_url.replace("http", "ws")):
            assert (len(topic.members), topic.holds) == (1, 2)
        await eventually(lambda: (len(topic.members), topic.holds) == (0, 1))
        async with member(node.ops_url.replace("http", "ws")) as client:
            await client.vanish()
        await eventually(lambda: (len(topic.members), topic.holds) == (0, 1))


async def test_without_redis_a_node_still_tells_how_it_is(own_redis: RedisServer) -> None:
    async with nodes(own_redis.url) as running:
        [node] = running.nodes
        async with member(node.ops_url.replace("http", "ws")) as watcher:
            await watcher.heard("wss.node")
            own_redis.kill()
            await watcher.until(lambda: not watcher.frames[-1]["data"]["link_up"])
            assert watcher.frames[-1]["data"]["unready"] == "Redis is away"
            assert await http(node.ops_url, "/readyz") == (503, "Redis is away\n")
            assert await http(node.ops_url, "/healthz") == (200, "ok\n")
            assert (await metrics(node))["trio_wss_ready", ""] == 0
            own_redis.restart()
            await watcher.until(lambda: watcher.frames[-1]["data"]["link_up"])
            await watcher.heard("wss.node", len(watcher.frames) + 2)
            kinds = [fault["kind"] for fault in watcher.frames[-1]["data"]["faults"]]
            assert "link" in kinds


async def test_it_is_there_before_redis_is(own_redis: RedisServer) -> None:
    own_redis.kill()
    settings = attrs.evolve(SETTINGS, redis=own_redis.url)
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
    async with trio.open_nursery() as nursery:
        with trio.fail_after(30):

            async def run() -> None:
                await serve(app, settings, ops_listeners=[listener])

            nursery.start_soon(run)
            assert await http(url, "/readyz") == (503, "Redis is away\n")
        nursery.cancel_scope.cancel()


async def test_its_page_is_served_and_nothing_else(redis_url: str) -> None:
    async with nodes(redis_url) as running:
        [node] = running.nodes
        status, text = await http(node.ops_url, "/")
        assert (status, text[:9].lower()) == (200, "<!doctype")
        assert (await http(node.ops_url, "/ops.js"))[0] == 200
        assert (await http(node.ops_url, "/package.json"))[0] == 404
        assert (await http(node.ops_url, "/../package.json"))[0] == 404


async def test_the_public_port_tells_none_of_it(redis_url: str) -> None:
    async with nodes(redis_url) as running:
        [node] = running.nodes
        assert (await http(node.url, "/metrics"))[0] == 426
        assert (await http(node.url, "/ops.js"))[0] == 426


async def test_a_page_of_another_origin_cannot_watch(redis_url: str) -> None:
    async with nodes(redis_url) as running:
        [node] = running.nodes
        with pytest.raises(Rejected) as rejected:
            async with member(
                node.ops_url.replace("http", "ws"), headers={"Origin": "http://evil.example"}
            ):
                raise AssertionError("it could connect")
        assert rejected.value.status == 403


async def test_it_takes_only_so_many_sockets(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "MAX_SOCKETS", 1)
    async with nodes(redis_url) as running:
        [node] = running.nodes
        url = node.ops_url.replace("http", "ws")
        async with member(url):
            with pytest.raises((Rejected, trio.BrokenResourceError)):
                async with member(url):
                    raise AssertionError("it could connect")


async def test_without_a_port_there_is_no_such_listener(redis_url: str) -> None:
    with trio.fail_after(30):
        async with cluster(app, nodes=1, redis=redis_url) as running:
            assert running.nodes[0].ops_url == ""


async def test_a_taken_port_is_one_sentence(redis_url: str) -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        settings = attrs.evolve(SETTINGS, redis=redis_url, ops_port=port)
        with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1 port {port}"):
            await serve(app, settings)
