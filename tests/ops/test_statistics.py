"""trio_wss/ops/statistics.py: what a node counts is what came of its events, and every node hears
it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import attrs
import pytest
import trio

from tests.support.members import Member, eventually, member
from tests.support.proxies import proxy
from tests.support.servers import RedisServer
from trio_wss import App, Broadcast, Client, Effects, Increment, Join, Read, Refused, Reply, Store
from trio_wss.node import Node
from trio_wss.ops.heartbeat import BEAT, NODES
from trio_wss.ops.statistics import BOUNDS, INCIDENTS, Histogram, Statistics
from trio_wss.settings import Settings
from trio_wss.testing import Cluster, cluster

pytestmark = pytest.mark.any_engine

SETTINGS = Settings(drain=1.0, rate=5, burst=20, event_deadline=0.3)
app = App()


@app.on_connect
def enter(client: Client) -> Effects:
    return Join("room")


@app.on("say")
def say(event: str) -> Effects:
    return [Broadcast("room", "said", event), Reply("ok")]


@app.on("no")
def no() -> Effects:
    raise Refused("not_today", "No.")


@app.on("bug")
def bug() -> Effects:
    raise ZeroDivisionError


@app.on("add")
def add(n: Annotated[int | None, Read("n")]) -> Effects:
    return Store("n", (n or 0) + 1)


@app.on("wrong")
def wrong() -> Effects:
    return Increment("text")


@asynccontextmanager
async def nodes(redis: str, number: int = 1) -> AsyncIterator[Cluster]:
    with trio.fail_after(30):
        async with cluster(app, nodes=number, redis=redis, settings=SETTINGS) as running:
            yield running


@asynccontextmanager
async def one(running: Cluster) -> AsyncIterator[tuple[Node, Member]]:
    async with member(running.nodes[0].url) as client:
        yield running.nodes[0], client


def events(node: Node) -> dict[tuple[str, str], int]:
    return {(name, outcome): number for name, outcome, number in node.snapshot().events}


# --- histograms


def test_a_time_is_in_the_bucket_whose_bound_it_does_not_pass() -> None:
    histogram = Histogram()
    for seconds in (0.0, BOUNDS[0], 0.0007, 99.0):
        histogram.observe(seconds)
    found = histogram.snapshot()
    assert found.counts[:2] == (2, 1)
    assert found.counts[-1] == 1
    assert sum(found.counts) == 4
    assert found.seconds == pytest.approx(BOUNDS[0] + 0.0007 + 99.0)


def test_a_quantile_lies_in_its_bucket() -> None:
    histogram = Histogram()
    assert histogram.snapshot().quantile(0.5) is None
    for _ in range(99):
        histogram.observe(0.002)
    before = histogram.snapshot()
    histogram.observe(50.0)
    now = histogram.snapshot()
    assert 0.001 < (now.quantile(0.5) or 0) <= 0.0025
    assert 0.001 < (now.quantile(0.99) or 0) <= 0.0025
    assert now.quantile(1.0) == BOUNDS[-1]
    since = now.since(before)
    assert (since.counts[-1], sum(since.counts)) == (1, 1)
    assert since.seconds == pytest.approx(50.0)


def test_only_the_last_faults_are_remembered() -> None:
    statistics = Statistics()
    for number in range(INCIDENTS + 5):
        statistics.fault("test", str(number))
    assert [fault.text for fault in statistics.faults] == [str(n) for n in range(5, INCIDENTS + 5)]


async def test_the_lag_is_how_much_a_sleep_was_too_long(autojump_clock: trio.abc.Clock) -> None:
    statistics = Statistics()
    with trio.move_on_after(0.98):
        await statistics.measure_lag()
    assert sum(statistics.lag.counts) == 19
    assert statistics.take_worst_lag() < 0.001


# --- a node's


async def test_every_event_is_counted_by_what_came_of_it(
    redis_url: str, shared_redis: RedisServer
) -> None:
    with shared_redis.client() as redis:
        redis.set("{wss}:k:text", "text")
    async with nodes(redis_url) as running, one(running) as (node, client):
        await client.good("say", "hi")
        await client.send("say", "no answer wanted")
        await client.ask("no")
        await client.ask("bug")
        await client.ask("say", 5)
        await client.ask("wrong")
        await client.good("add")
        await client.ask("made up by a client")
        await client.raw(b"\x81\x81\0\0\0\0{")  # not JSON
        await client.received("room", 2)
        await client.good("say", "last")
        assert events(node) == {
            ("on_connect", "ok"): 1,
            ("say", "ok"): 3,
            ("no", "refused"): 1,
            ("bug", "internal"): 1,
            ("say", "invalid"): 1,
            ("wrong", "internal"): 1,
            ("add", "ok"): 1,
            ("unknown", "unknown_event"): 1,
            ("unknown", "invalid"): 1,
        }
        assert sum(node.snapshot().commits.counts) >= 9


async def test_names_that_clients_make_up_are_not_kept(redis_url: str) -> None:
    async with nodes(redis_url) as running, one(running) as (node, client):
        for number in range(40):
            await client.ask(f"made up {number}")
        assert {name for name, _ in events(node)} == {"on_connect", "unknown"}
        assert events(node)["unknown", "rate_limited"] > 0


async def test_an_id_that_is_sent_again_too_late_is_stale(redis_url: str) -> None:
    async with nodes(redis_url) as running, one(running) as (node, client):
        await client.send("say", "a", 1)
        await client.answer(1)
        await client.send("say", "b", 65)
        await client.answer(65)
        await client.again("say", "a", 1)
        assert events(node)["say", "stale"] == 1


async def test_runs_again_and_conflicts_are_counted(
    redis_url: str, shared_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is read has changed by the time of the commit, for as long as somebody meddles."""
    async with nodes(redis_url) as running, one(running) as (node, client):
        commit = node.executor.commit

        def meddle(*arguments: Any) -> None:
            with shared_redis.client() as redis:
                redis.incr("{wss}:k:n")
            commit(*arguments)

        monkeypatch.setattr(node.executor, "commit", meddle)
        answer = await client.ask("add")
        assert answer["data"]["code"] == "conflict"
        assert events(node)["add", "conflict"] == 1
        assert node.snapshot().reruns > 1
        assert node.snapshot().events_that("conflict") == 1


async def test_deliveries_and_the_largest_topics_are_told(redis_url: str) -> None:
    async with nodes(redis_url) as running, one(running) as (node, client):
        async with member(node.url) as other:
            await client.good("say", "hi")
            await other.received("room", 1)
            await eventually(lambda: node.snapshot().deliveries)
            found = node.snapshot()
            assert (found.broadcasts, found.deliveries) == (1, 2)
            assert sum(found.delivery.counts) > 0
            load = node.heartbeat.last
            assert load is not None
            assert ("room", 2) in [(one.topic, one.members) for one in load.top_topics]
            assert not [one for one in load.top_topics if one.topic.startswith("session:")]
        assert (found.connections, found.link_up, found.unready) == (2, True, "")
        assert found.topics >= 4


async def test_recoveries_are_counted_complete_and_broken(redis_url: str) -> None:
    async with nodes(redis_url) as running:
        async with one(running) as (node, client):
            token = client.frames[0]["data"]["token"]
            await client.good("say", "hi")
            place = client.of("room")[-1]
            await client.vanish()
        topics = {"room": [place["epoch"], place["offset"]], "all": ["nonsense", 7]}
        async with member(node.url, {"resume": ""}, reads=False) as again:
            await again.send("wss.resume", {"token": token, "topics": topics})
            await eventually(lambda: node.snapshot().broken)
            await eventually(lambda: node.snapshot().recovered)
            found = node.snapshot()
            # The client named no place in session:…, and one in `all` that never was.
            assert (found.recovered, found.broken) == (1, 2)


async def test_a_slow_consumer_is_counted_and_told(redis_url: str) -> None:
    settings = attrs.evolve(SETTINGS, outbox=4096, rate=0)
    with trio.fail_after(30):
        async with cluster(app, nodes=1, redis=redis_url, settings=settings) as running:
            [node] = running.nodes
            async with member(node.url, reads=False), one(running) as (_, client):
                while not node.statistics.slow_consumers:
                    await client.good("say", "x" * 3000)
            await eventually(lambda: "slow" in [f.kind for f in node.statistics.faults])


async def test_a_link_that_is_lost_is_told_with_the_gaps(redis_url: str) -> None:
    async with (
        proxy(redis_url) as door,
        nodes(door.url) as running,
        nodes(redis_url) as others,
        one(running) as (node, _),
        one(others) as (_, speaker),
    ):
        await door.cut()
        await eventually(lambda: not node.link.up)
        await speaker.good("say", "hi")
        door.mend()
        await eventually(lambda: node.snapshot().gaps)
        await eventually(lambda: "gap" in [f.kind for f in node.statistics.faults])
        found = node.snapshot()
        assert found.gaps == 1
        assert found.link_losses >= 1
        assert [fault.kind for fault in found.faults][:2] == ["node", "link"]


async def test_a_node_that_hears_nothing_knows_it(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_wss.ops.heartbeat.DEAF", 1.5)
    async with nodes(redis_url) as running:
        [node] = running.nodes
        await eventually(lambda: node.heartbeat.last)
        assert node.snapshot().silence < 1.5 * BEAT
        [channel] = [topic.channel for topic in node.hub.topics() if topic.name == NODES]
        node.link.unsubscribe(channel)
        await eventually(lambda: "deaf" in [f.kind for f in node.statistics.faults])
        assert node.heartbeat.last is not None
        assert node.heartbeat.last.link_up
