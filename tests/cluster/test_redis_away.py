"""Redis may be away, stopped, killed or emptied: sockets stay, nothing hangs, nothing grows without
bound, nobody is told a lie, and all works again by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Annotated

import attrs
import pytest
import trio
from attrs import frozen

from tests.conftest import MakeRedis
from tests.support.histories import Frame, check_exactly_once, check_gap_free
from tests.support.members import Member, Rejected, event, eventually, http, member
from tests.support.servers import RedisServer
from trio_wss import App, Broadcast, Client, Effects, Increment, Join, Read, Reply
from trio_wss.node import Node, serve, supervisor
from trio_wss.settings import Settings
from trio_wss.testing import cluster

ROOM = "room:a"
# Each write is in the kernel's hands before it is answered: `everysec` may put it off.
DURABLE = {"appendonly": "yes", "appendfsync": "no"}
QUICK = Settings(drain=1.0, link_deadline=0.2, redis_patience=0.5)
PATIENT = attrs.evolve(QUICK, redis_patience=20.0)
app = App(history=10_000)


@frozen
class Say:
    n: int


@app.on_connect
def enter(client: Client) -> Effects:
    return Join(ROOM)


@app.on("say")
def say(event: Say, client: Client) -> Effects:
    said = {"by": client.session, "n": event.n}
    return [Increment("count"), Broadcast(ROOM, "said", said), Reply("said", event.n)]


@app.on("look")
def look(n: Annotated[int | None, Read("count")]) -> Effects:
    return Reply("count", n)


Harm = Callable[[RedisServer], None]
stopped = (RedisServer.pause, RedisServer.resume)
killed = (RedisServer.kill, RedisServer.start)
both_ways = pytest.mark.parametrize(("harm", "mend"), [stopped, killed], ids=["stopped", "killed"])


@asynccontextmanager
async def four_members(
    redis: RedisServer, settings: Settings
) -> AsyncIterator[tuple[Sequence[Node], Sequence[Member]]]:
    """Two nodes with two members of the room on each."""
    async with cluster(app, 2, redis=redis.url, settings=settings) as nodes, AsyncExitStack() as s:
        found = [member(node.url) for node in nodes.nodes for _ in "ab"]
        yield nodes.nodes, [await s.enter_async_context(one) for one in found]


async def status(node: Node, page: str = "/readyz") -> int:
    return (await http(node.url, page))[0]


async def until_ready(node: Node, wanted: bool = True) -> None:
    """Ask the node as a load balancer would."""
    while await status(node) != (200 if wanted else 503):  # noqa: ASYNC110 - as it says
        await trio.sleep(0.01)


async def is_turned_away(node: Node) -> None:
    with pytest.raises(Rejected) as rejected:
        async with member(node.url):
            pass
    assert rejected.value.status == 503
    assert "Retry-After: 1" in rejected.value.head


def by_and_n(seen: Sequence[Frame]) -> list[tuple[str, int]]:
    return [(one["data"]["by"], one["data"]["n"]) for one in seen]


def check_offsets(seen: Sequence[Frame]) -> None:
    """A restart gives a topic a new epoch, and its offsets go on."""
    check_gap_free([{"offset": one["offset"], "epoch": ""} for one in seen], first=1)


async def all_say(everyone: Sequence[Member], numbers: range) -> None:
    for one in everyone:
        await one.raw(*(event("say", {"n": n}, n) for n in numbers))


async def answered(everyone: Sequence[Member], numbers: range) -> list[list[int]]:
    """Wait for the answers to these; for each member the numbers that were not refused."""
    good = []
    for one in everyone:
        answers = [await one.answer(n) for n in numbers]
        assert {a["data"]["code"] for a in answers if a["event"] == "wss.error"} <= {"unavailable"}
        good.append([n for n, a in zip(numbers, answers, strict=True) if a["event"] == "said"])
    return good


@both_ways
async def test_while_redis_is_away_sockets_stay_and_events_are_answered_as_unavailable(
    make_redis: MakeRedis, harm: Harm, mend: Harm
) -> None:
    redis = make_redis(**DURABLE)
    first, second, third = range(1, 11), range(11, 21), range(21, 31)
    with trio.fail_after(60):
        async with four_members(redis, QUICK) as (nodes, everyone):
            await all_say(everyone, first)
            assert await answered(everyone, first) == [list(first)] * 4
            harm(redis)
            await all_say(everyone, second)
            for node in nodes:
                await until_ready(node, wanted=False)
                assert await status(node, "/healthz") == 200
                await is_turned_away(node)
            assert await answered(everyone, second) == [[]] * 4
            for one in everyone:
                await one.send("look")
            for one in everyone:
                await one.heard("wss.error", len(second) + 1)
            mend(redis)
            for node in nodes:
                await until_ready(node)
            await all_say(everyone, third)
            assert await answered(everyone, third) == [list(third)] * 4
            await told_the_truth(everyone, [*first, *third], doubtful=[*second])


async def told_the_truth(
    everyone: Sequence[Member], applied: list[int], doubtful: list[int]
) -> None:
    """What is sent again gets its true answer; then all have seen the same, each thing once."""
    for one in everyone:
        for n in doubtful:
            assert (await one.again("say", {"n": n}, n))["data"] == n
    wanted = [(one.session, n) for one in everyone for n in (*applied, *doubtful)]
    for one in everyone:
        seen = await one.received(ROOM, len(wanted))
        check_offsets(seen)
        check_exactly_once(wanted, by_and_n(seen))
        assert all(joined["data"]["recovered"] for joined in one.named("wss.joined"))
        assert one.code is None


@both_ways
async def test_events_sent_while_redis_is_away_succeed_if_it_is_back_in_time(
    make_redis: MakeRedis, harm: Harm, mend: Harm
) -> None:
    redis = make_redis(**DURABLE)
    first, second = range(1, 11), range(11, 31)
    with trio.fail_after(60):
        async with four_members(redis, PATIENT) as (nodes, everyone):
            await all_say(everyone, first)
            harm(redis)
            await all_say(everyone, second)
            await eventually(lambda: not any(node.link.up for node in nodes))
            mend(redis)
            numbers = range(1, 31)
            assert await answered(everyone, numbers) == [list(numbers)] * 4
            await told_the_truth(everyone, [*numbers], doubtful=[])


async def test_what_waits_for_redis_is_bounded_and_all_of_it_is_answered_in_the_end(
    own_redis: RedisServer,
) -> None:
    """More events than a node takes in hand: the rest waits in the clients' sockets."""
    clients, each, bound = 135, 35, 4096
    settings = attrs.evolve(PATIENT, link_deadline=2.0)
    plain = App()
    plain.on("say")(say)
    with trio.fail_after(60):
        async with (
            cluster(plain, 1, redis=own_redis.url, settings=settings) as nodes,
            AsyncExitStack() as stack,
        ):
            [node] = nodes.nodes
            everyone = [await stack.enter_async_context(member(node.url)) for _ in range(clients)]
            own_redis.pause()
            await all_say(everyone, range(1, each + 1))
            await eventually(lambda: node.link.full)
            assert bound <= node.link.unanswered <= bound + 10
            assert await status(node, "/healthz") == 200
            own_redis.resume()
            numbers = range(1, each + 1)
            assert await answered(everyone, numbers) == [list(numbers)] * clients


async def test_a_handshake_that_redis_left_in_the_middle_is_told_to_come_again(
    own_redis: RedisServer,
) -> None:
    settings = attrs.evolve(QUICK, link_deadline=5.0, redis_patience=0.2)
    with trio.fail_after(30):
        async with cluster(app, 1, redis=own_redis.url, settings=settings) as nodes:
            own_redis.pause()
            async with member(nodes.nodes[0].url) as client:
                assert client.frames[0]["data"]["code"] == "unavailable"
                assert await client.closed() in (1012, 1013)
            own_redis.resume()


async def test_a_node_may_start_before_its_redis(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_LINK", 0.05)
    own_redis.kill()
    settings = attrs.evolve(QUICK, redis=own_redis.url)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            node = await nursery.start(partial(serve, app, settings))
            assert await status(node, "/healthz") == 200
            assert await http(node.url, "/readyz") == (503, "Redis is away\n")
            await is_turned_away(node)
            own_redis.start()
            await until_ready(node)
            async with member(node.url) as client:
                assert await client.good("say", {"n": 1}) == 1
            nursery.cancel_scope.cancel()


def empty(redis: RedisServer) -> None:
    with redis.client() as client:
        client.flushall()


@pytest.mark.parametrize("harm", [empty, RedisServer.restart], ids=["emptied", "restarted"])
async def test_when_redis_is_empty_clients_are_sent_away_and_the_node_begins_anew(
    own_redis: RedisServer, harm: Harm
) -> None:
    settings = attrs.evolve(PATIENT, lease=1.0)
    with trio.fail_after(30):
        async with four_members(own_redis, settings) as (nodes, everyone):
            await all_say(everyone, range(1, 11))
            await answered(everyone, range(1, 11))
            harm(own_redis)
            for one in everyone:
                assert await one.closed() == 1012
            for node in nodes:
                await eventually(lambda: not node.connections)  # noqa: B023 - awaited here
                await until_ready(node)
            async with member(nodes[0].url) as one, member(nodes[1].url) as other:
                assert await one.good("say", {"n": 1}) == 1
                check_offsets(await other.received(ROOM, 1))


async def test_a_busy_client_of_an_emptied_redis_is_told_before_it_believes_anything(
    own_redis: RedisServer,
) -> None:
    with trio.fail_after(30):
        async with four_members(own_redis, PATIENT) as (_, everyone):
            await everyone[0].good("say", {"n": 1})
            empty(own_redis)
            number = await everyone[0].post("say", {"n": 2})
            assert await everyone[0].closed() == 1012
            assert number not in everyone[0].answers
            with own_redis.client() as server:
                assert not server.exists("{wss}:k:count")


async def test_members_are_told_that_a_topic_is_broken_when_redis_comes_back_empty(
    own_redis: RedisServer,
) -> None:
    with trio.fail_after(30):
        async with four_members(own_redis, PATIENT) as (_, everyone):
            await everyone[0].good("say", {"n": 1})
            for one in everyone:
                await one.received(ROOM, 1)
            own_redis.restart()
            for one in everyone:
                broken = await one.until(partial(gap_told, one))
                assert broken["data"] == {
                    "topic": ROOM, "epoch": "", "offset": 0, "recovered": False,
                }  # fmt: skip


def gap_told(one: Member) -> Frame | None:
    found = [told for told in one.named("wss.joined") if not told["data"]["recovered"]]
    return found[0] if found else None


async def test_members_are_told_when_a_failover_lost_the_end_of_a_topic(
    own_redis: RedisServer,
) -> None:
    """It loads an older state, as a replica would be that had not heard the last commits."""
    with trio.fail_after(30):
        async with four_members(own_redis, PATIENT) as (_, everyone):
            one, other = everyone[0], everyone[3]
            for n in range(1, 6):
                await one.good("say", {"n": n})
            with own_redis.client() as server:
                server.save()
            for n in range(6, 11):
                await one.good("say", {"n": n})
            await other.received(ROOM, 10)
            own_redis.restart()
            for member_ in everyone:
                told = (await member_.until(partial(gap_told, member_)))["data"]
                assert told["offset"] == 5
                assert told["epoch"] == member_.of(ROOM)[0]["epoch"]
            assert await other.good("say", {"n": 11}) == 11
            for member_ in (one, other):
                seen = await member_.received(ROOM, 11)
                assert seen[10]["offset"] == 6
                assert seen[10]["epoch"] != seen[9]["epoch"]


async def test_clients_are_sent_away_when_redis_is_away_for_too_long(
    own_redis: RedisServer,
) -> None:
    """Also those that have more events under way than a connection takes in hand."""
    settings = attrs.evolve(QUICK, redis_away=0.5, redis_patience=3.0)
    with trio.fail_after(30):
        async with four_members(own_redis, settings) as (nodes, everyone):
            own_redis.pause()
            await everyone[0].raw(*(event("say", {"n": n}, n) for n in range(1, 101)))
            await everyone[1].raw(event("look", None, 1), event("look", None, 2))
            for one in everyone:
                assert await one.closed() == 1012
            for node in nodes:
                await eventually(lambda: not node.connections)  # noqa: B023 - awaited here
            own_redis.resume()
            for node in nodes:
                await until_ready(node)


@both_ways
async def test_redis_away_for_longer_than_a_lease_ends_no_session(
    make_redis: MakeRedis, harm: Harm, mend: Harm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All leases are over when it is back; the first janitor must not use that."""
    monkeypatch.setattr(
        supervisor, "BACK_OFF", (0.01, 0.05)
    )  # nodes are back before a lease is over
    redis = make_redis(**DURABLE)
    settings = attrs.evolve(QUICK, lease=0.6, grace=0.1, janitor_round=0.02)
    with trio.fail_after(30):
        async with four_members(redis, settings) as (nodes, everyone):
            await all_say(everyone, range(1, 2))
            await answered(everyone, range(1, 2))
            before = [node.statistics.link_losses for node in nodes]
            harm(redis)
            await trio.sleep(3 * settings.lease)  # so long is it away
            after = [node.statistics.link_losses for node in nodes]
            assert after == [count + 1 for count in before]  # however many tries there were
            mend(redis)
            for node in nodes:
                await until_ready(node)
            await trio.sleep(2 * settings.lease)  # and for so long janitors go their rounds
            await all_say(everyone, range(2, 3))
            assert all(good == [2] for good in await answered(everyone, range(2, 3)))
            assert all(one.code is None for one in everyone)


@pytest.mark.slow
@pytest.mark.any_engine
async def test_ten_seconds_without_redis_with_the_settings_that_a_node_has_by_itself(
    make_redis: MakeRedis,
) -> None:
    async def one_way(harm: Harm, mend: Harm) -> None:
        redis = make_redis(**DURABLE)
        numbers = range(1, 11)
        async with four_members(redis, Settings(drain=1.0)) as (nodes, everyone):
            harm(redis)
            since = trio.current_time()
            for n in numbers:
                await all_say(everyone, range(n, n + 1))
                await trio.sleep(1)
            assert not any(node.link.up for node in nodes)
            await is_turned_away(nodes[0])
            assert trio.current_time() - since >= 10
            mend(redis)
            good = await answered(everyone, numbers)
            for node in nodes:
                await until_ready(node)
            for one, applied in zip(everyone, good, strict=True):
                for n in set(numbers) - set(applied):
                    assert (await one.again("say", {"n": n}, n))["data"] == n
            await told_the_truth(everyone, [*numbers], doubtful=[])

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for harm, mend in (stopped, killed):
                nursery.start_soon(one_way, harm, mend)
