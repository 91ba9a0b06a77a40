"""Atomic: a commit that fails in any way leaves no trace of its other operations and no broadcast,
and a full Redis can still be emptied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import attrs
import pytest
import redis as redis_py
import structlog
import trio
from attrs import frozen

from tests.support.histories import check_gap_free
from tests.support.members import Member, eventually, member
from tests.support.servers import RedisServer
from tests.support.snapshots import snapshot
from trio_wss import (
    Add,
    App,
    Append,
    Broadcast,
    Client,
    Close,
    Delete,
    Drop,
    Effect,
    Effects,
    Increment,
    Join,
    Leave,
    Put,
    Read,
    Refused,
    Remove,
    Reply,
    Store,
)
from trio_wss.settings import Settings
from trio_wss.testing import cluster

app = App()
ROOM = "room:a"
LARGEST = 2**53 - 1
SETTINGS = Settings(drain=1.0, max_topics=2, event_deadline=0.2)


@frozen
class Attempt:
    fault: str


@frozen
class Item:
    name: str
    size: int = 0


@app.on_connect
def enter(client: Client) -> Effects:
    return Join(ROOM)


@app.on("prepare")
def prepare() -> Effects:
    return [
        Store("text", "some"),
        Append("list", 1),
        Put("map", "field", 1),
        Add("set", 1),
        Store("large", LARGEST - 1),
        Store("spare", "to be deleted"),
    ]


def every_kind() -> Iterator[Effect]:
    """One effect of each kind, none of which can fail."""
    n = Increment("n", ttl=100)
    yield from (n, Store("new", {"a": 1}), Store("text", "other"), Delete("spare"))
    yield from (Append("list", 2), Put("map", "field", 2), Add("set", 2))
    yield from (Append("list2", 2), Put("map2", "field", 2), Add("set2", 2))
    yield from (Join("room:b"), Reply("done", n.result), Close(4999, "never"))
    yield Broadcast(ROOM, "never", n.result)
    yield Broadcast(ROOM, "never", volatile=True)
    yield Broadcast("all", "never")


FAULTS: dict[str, tuple[Iterable[Any], str]] = {
    "a counter of text": ([Increment("text2"), Increment("map3")], "internal"),
    "a list of a map": ([Append("map3", 1)], "internal"),
    "a map of text": ([Put("text3", "field", 1)], "internal"),
    "a set of a list": ([Add("list3", 1)], "internal"),
    "a map of a set": ([Put("set3", "field", 1)], "internal"),
    "a field dropped of a list": ([Drop("list3", "field")], "internal"),
    "a member removed of text": ([Remove("text3", 1)], "internal"),
    "a counter too large": ([Increment("large", 2)], "internal"),
    "two increments too large together": (
        [Increment("large", 1), Increment("large", 1)],
        "internal",
    ),
    "a counter too small": ([Increment("small", -LARGEST), Increment("small", -1)], "internal"),
    "two uses of one key": ([Append("spare2", 1), Put("spare2", "f", 1)], "internal"),
    "two replies": ([Reply("again")], "internal"),
    "a reserved topic": ([Join("all")], "internal"),
    "what JSON cannot hold": ([Store("nan", float("nan"))], "internal"),
    "what is no effect": ([{"not": "an effect"}], "internal"),
    "counters with a zero before": ([Increment("zeros")], "internal"),
    "a topic whose place is none": ([Broadcast("room:bad", "said")], "internal"),
    "a topic whose place is of another kind": ([Join("room:list")], "internal"),
    "members who are none": ([Join("room:none")], "internal"),
    "members who are none to leave": ([Leave("room:none")], "internal"),
    "one topic too many": ([Join("room:c")], "refused"),
}


@app.on("spoil")
def spoil() -> Effects:
    """Keys of a type that the faults above do not expect."""
    return [
        Put("map3", "f", 1), Store("text3", "x"), Append("list3", 1), Add("set3", 1),
    ]  # fmt: skip


def put_rubbish(server: redis_py.Redis) -> None:
    """What only other hands can put there: a commit that met it half-way would be torn."""
    server.set("{wss}:k:zeros", "007")
    server.set("{wss}:t:room:bad", "rubbish")
    server.rpush("{wss}:t:room:list", "x")
    server.set("{wss}:m:room:none", "x")


@app.on("attempt")
def attempt(event: Attempt) -> Iterator[Effect]:
    yield from every_kind()
    if event.fault == "a refusal":
        raise Refused("no_way", "Not today.")
    if event.fault == "a bug":
        raise ZeroDivisionError
    yield from FAULTS[event.fault][0]


@app.on("mark")
def mark() -> Effects:
    return Broadcast(ROOM, "marked")


async def nothing_happened(
    client: Member, watcher: Member, before: dict[bytes, Any], server: redis_py.Redis
) -> None:
    """Neither Redis nor a member on another node knows of it; both connections are open."""
    assert snapshot(server) == before
    offset = len(watcher.of(ROOM)) + 1
    for one in (client, watcher):
        await one.good("mark")
    seen = await watcher.received(ROOM, offset + 1)
    check_gap_free(seen, first=1)
    assert {one["event"] for one in seen} == {"marked"}
    assert not watcher.named("never")
    assert not client.named("never")
    assert {name["data"]["topic"] for name in client.named("wss.joined")}.isdisjoint({"room:b"})


@pytest.mark.parametrize("fault", [*FAULTS, "a refusal", "a bug"])
async def test_an_event_that_fails_leaves_no_trace(
    redis_url: str, shared_redis: RedisServer, fault: str
) -> None:
    code = "no_way" if fault == "a refusal" else FAULTS.get(fault, ((), "internal"))[1]
    with trio.fail_after(30), shared_redis.client() as server:
        async with (
            cluster(app, 2, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as client,
            member(nodes.nodes[1].url) as watcher,
        ):
            for name in ("prepare", "spoil", "mark"):
                await client.good(name)
            put_rubbish(server)
            await watcher.received(ROOM, 1)
            before = snapshot(server)
            answer = await client.ask("attempt", {"fault": fault})
            assert answer["event"] == "wss.error"
            assert answer["data"]["code"] == code
            await nothing_happened(client, watcher, before, server)


async def test_the_same_event_without_a_fault_leaves_all_its_traces(
    redis_url: str, shared_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the tests above do not pass for nothing."""
    monkeypatch.setitem(FAULTS, "none", ((), ""))
    with trio.fail_after(30), shared_redis.client() as server:
        async with (
            cluster(app, 2, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as client,
            member(nodes.nodes[1].url) as watcher,
        ):
            await client.good("prepare")
            before = snapshot(server)
            assert await client.good("attempt", {"fault": "none"}) == 1
            assert await client.closed() == 4999
            await watcher.heard("never", 3)
            after = snapshot(server)
            keys = {b"{wss}:k:%b" % name for name in (b"n", b"new", b"list2", b"map2", b"set2")}
            assert keys <= after.keys() - before.keys()
            assert before.keys() - after.keys() >= {b"{wss}:k:spare"}


async def test_a_conflict_leaves_no_trace(redis_url: str, shared_redis: RedisServer) -> None:
    """The handler itself lets somebody else write what it reads, so that it never can commit."""
    restless = App()
    runs = 0

    @restless.on("attempt")
    def attempt(value: Annotated[int | None, Read("restless")]) -> Iterator[Effect]:
        nonlocal runs
        runs += 1
        server.set("{wss}:k:restless", runs)
        yield from every_kind()

    restless.on_connect(enter)
    restless.on("mark")(mark)
    with trio.fail_after(30), shared_redis.client() as server:
        async with (
            cluster(restless, 2, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as client,
            member(nodes.nodes[1].url) as watcher,
        ):
            await client.good("mark")
            await watcher.received(ROOM, 1)
            before = snapshot(server)
            answer = await client.ask("attempt")
            assert answer["data"]["code"] == "conflict"
            assert runs > 1
            before[b"{wss}:k:restless"] = b"%d" % runs
            await nothing_happened(client, watcher, before, server)


full = App()


@full.on_connect
def enter_two_rooms(client: Client) -> Effects:
    return [Join(ROOM), Join("room:b")]


@full.on("store")
def store(event: Item) -> Effects:
    return [Store(event.name, "x" * event.size), *every_kind_of_small_writes()]


def every_kind_of_small_writes() -> list[Effect]:
    return [Increment("n"), Append("list", 1), Add("set", "one"), Broadcast(ROOM, "stored")]


@full.on("collect")
def collect(event: Item) -> Effects:
    return [Put("map", event.name, "x" * event.size), Add("bag", "x" * event.size)]


@full.on("free")
def free(event: Item) -> Effects:
    return [
        Delete(event.name), Drop("map", event.name), Remove("bag", "x" * event.size),
        Leave("room:b"), Reply("freed"),
    ]  # fmt: skip


@full.on("tell")
def tell() -> Effects:
    return Reply("told")


async def test_a_full_redis_takes_nothing_in_part_and_can_still_be_emptied(
    own_redis: RedisServer,
) -> None:
    size = 100_000
    names = [f"item{n}" for n in range(200)]
    settings = attrs.evolve(SETTINGS, max_topics=10)
    with trio.fail_after(30), own_redis.client() as server:
        async with (
            cluster(full, 2, redis=own_redis.url, settings=settings) as nodes,
            member(nodes.nodes[0].url) as client,
            member(nodes.nodes[1].url) as watcher,
        ):
            await client.good("collect", {"name": "item0", "size": size})
            used = server.info("memory")["used_memory"]
            server.config_set("maxmemory", used + 3_000_000)
            stored = 0
            for name in names:
                before = snapshot(server)
                answer = await client.ask("store", {"name": name, "size": size})
                if answer["event"] == "wss.error":
                    break
                stored += 1
            assert answer["data"]["code"] == "unavailable"
            assert stored > 2
            assert snapshot(server) == before

            server.config_set("maxmemory", used + 1_000_000)  # full beyond doubt
            with pytest.raises(redis_py.exceptions.OutOfMemoryError):
                server.set("more", "x")

            assert (await client.ask("tell"))["event"] == "told"
            assert (await client.ask("no such"))["data"]["code"] == "unknown_event"
            for name in names[:stored]:
                assert (await client.ask("free", {"name": name, "size": size}))["event"] == "freed"
            await client.left("room:b")
            assert not server.exists("{wss}:k:item0", "{wss}:k:map", "{wss}:k:bag")

            await client.good("store", {"name": "again", "size": size})
            seen = await watcher.received(ROOM, stored + 1)
            check_gap_free(seen, first=1)


async def test_a_session_ends_when_redis_is_full(own_redis: RedisServer) -> None:
    with trio.fail_after(30), own_redis.client() as server:
        async with (
            cluster(full, 1, redis=own_redis.url) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            session = f"{{wss}}:s:{client.session}"
            assert server.exists(session, "{wss}:m:room:a", "{wss}:m:room:b") == 3
            server.config_set("maxmemory", 1)
        assert not server.exists(session, "{wss}:m:room:a", "{wss}:m:room:b")


@full.on_disconnect
def bequeath(client: Client) -> Effects:
    return Store(f"will:{client.session}", "x" * 1000)


async def test_a_session_whose_hook_does_not_fit_ends_all_the_same(own_redis: RedisServer) -> None:
    """Else a full Redis would stay so. What the hook wanted is dropped, and logged."""
    with trio.fail_after(30), own_redis.client() as server:
        async with (
            cluster(full, 1, redis=own_redis.url) as nodes,
            member(nodes.nodes[0].url) as client,
            member(nodes.nodes[0].url) as other,
        ):
            session = f"{{wss}}:s:{client.session}"
            server.config_set("maxmemory", 1)
            with structlog.testing.capture_logs() as logs:
                await client.leave()
                await eventually(lambda: not server.exists(session))
            assert [line["session"] for line in logs if "dropped" in line["event"]] == [
                client.session
            ]
            server.config_set("maxmemory", 0)
            assert not server.exists(f"{{wss}}:k:will:{client.session}")
        assert server.exists(f"{{wss}}:k:will:{other.session}")
