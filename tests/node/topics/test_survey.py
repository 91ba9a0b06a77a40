"""After a lost link a node asks first which of its topics missed something: only those are read
from their streams, and whatever comes between, none is forgotten and commits go on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from tests.conftest import MakeRedis
from tests.support.histories import check_gap_free
from tests.support.members import Member, eventually, member
from tests.support.proxies import Proxy, proxy
from tests.support.servers import RedisServer
from trio_wss import App, Broadcast, Client, Effects, Join, Reply
from trio_wss.node import Node
from trio_wss.node.topics import catchup, hub
from trio_wss.node.topics.topic import Topic
from trio_wss.settings import Settings
from trio_wss.store.executor import Executor
from trio_wss.store.history import Cursor
from trio_wss.testing import cluster

Answered = Callable[[list[Cursor | None] | None], None]
ROOMS = [f"room:{n}" for n in range(8)]
QUICK = Settings(drain=1.0, link_deadline=0.3)
app = App(history=1000)


@app.on_connect
def enter(client: Client) -> Effects:
    return [Join(room) for room in ROOMS]


@app.on("say")
def say(event: tuple[str, int]) -> Effects:
    room, n = event
    return [Broadcast(room, "said", n), Reply("said", n)]


@pytest.fixture(autouse=True)
def nothing_else_lets_commits_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """And it takes several questions to ask for all topics of these tests."""
    monkeypatch.setattr(hub, "HOLD_BACK", 600.0)
    monkeypatch.setattr(catchup, "MAX_COMPARED", 3)


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The topics of which a page was asked for."""
    asked: list[str] = []
    page = Executor.page

    def spy(executor: Executor, topic: str, after: Cursor, *rest: object) -> None:
        asked.append(topic)
        page(executor, topic, after, *rest)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(Executor, "page", spy)
    return asked


async def say_in_all(speaker: Member, n: int) -> None:
    for room in ROOMS:
        assert await speaker.good("say", [room, n]) == n


def check_all_heard(listener: Member, most: int) -> None:
    """Everything up to `most` was heard in each room, and nobody was told that it was not."""
    for room in ROOMS:
        heard = [(one["offset"], one["data"]) for one in listener.of(room)]
        assert heard == [(n, n) for n in range(1, most + 1)]
    assert all(joined["data"]["recovered"] for joined in listener.named("wss.joined"))


@asynccontextmanager
async def two_nodes(
    url: str, settings: Settings = QUICK
) -> AsyncIterator[tuple[Proxy, Node, Member, Member]]:
    """A listener on a node that reaches Redis through a proxy, and a speaker on another one; the
    rooms have two broadcasts each.
    """
    async with (
        proxy(url) as door,
        cluster(app, 1, redis=door.url, settings=settings) as one,
        cluster(app, 1, redis=url, settings=settings) as other,
        member(one.nodes[0].url) as listener,
        member(other.nodes[0].url) as speaker,
    ):
        for n in (1, 2):
            await say_in_all(speaker, n)
        for room in ROOMS:
            await listener.received(room, 2)
        yield door, one.nodes[0], listener, speaker


async def test_topics_that_missed_nothing_are_not_read(
    own_redis: RedisServer, pages: list[str]
) -> None:
    """With a history and without one: a session's own topic never had any."""
    with trio.fail_after(30):
        async with cluster(app, 1, redis=own_redis.url, settings=QUICK) as nodes:
            [node] = nodes.nodes
            async with member(node.url) as first, member(node.url) as second:
                await say_in_all(first, 1)
                own_redis.kill_connections()
                await eventually(lambda: node.statistics.link_losses)
                await say_in_all(second, 2)
                for one in (first, second):
                    await one.received(ROOMS[-1], 2)
                    check_all_heard(one, 2)
                assert (pages, node.hub.counters.gaps) == ([], 0)
                assert all(topic.live for topic in node.hub.topics())


async def test_only_topics_that_missed_something_are_read(redis_url: str, pages: list[str]) -> None:
    with trio.fail_after(30):
        async with two_nodes(redis_url) as (door, cut, listener, speaker):
            await door.cut()
            await eventually(lambda: not cut.link.up)
            for n in range(3, 50):  # more than one page
                await speaker.good("say", [ROOMS[1], n])
            await speaker.good("say", [ROOMS[6], 3])
            door.mend()
            assert await listener.good("say", [ROOMS[6], 4]) == 4
            await listener.received(ROOMS[1], 49)
            await listener.received(ROOMS[6], 4)
            assert set(pages) == {ROOMS[1], ROOMS[6]}
            assert cut.hub.counters.gaps == 2
            for room in ROOMS:
                check_gap_free(listener.of(room), first=1)


async def test_a_topic_that_another_primary_goes_on_with_missed_nothing(
    make_redis: MakeRedis, pages: list[str]
) -> None:
    """Its last broadcast is ours, whoever wrote it; the next one has a new epoch."""
    server = make_redis(appendonly="yes", appendfsync="no")
    with trio.fail_after(30):
        async with cluster(app, 1, redis=server.url, settings=QUICK) as nodes:
            [node] = nodes.nodes
            async with member(node.url) as client:
                await say_in_all(client, 1)
                server.restart()
                await say_in_all(client, 2)
                await client.received(ROOMS[-1], 2)
                check_all_heard(client, 2)
                first, second = client.of(ROOMS[0])
                assert first["epoch"] != second["epoch"]
                assert pages == []


async def test_a_topic_whose_history_is_gone_is_told_so(
    shared_redis: RedisServer, redis_url: str, pages: list[str]
) -> None:
    with trio.fail_after(30), shared_redis.client() as server:
        async with two_nodes(redis_url) as (door, cut, listener, _):
            await door.cut()
            await eventually(lambda: not cut.link.up)
            gone = ROOMS[2]
            server.delete(f"{{wss}}:t:{gone}", f"{{wss}}:h:{gone}")
            door.mend()
            assert await listener.good("say", [gone, 3]) == 3
            await listener.received(gone, 3)
            told = [one["data"] for one in listener.named("wss.joined")]
            assert [one["topic"] for one in told if not one["recovered"]] == [gone]
            assert set(pages) == {gone}


@pytest.mark.parametrize("compared", [0, 3, 6, 9])
async def test_a_link_that_is_lost_in_the_middle_of_the_survey_loses_nothing(
    redis_url: str, compared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was compared is compared again, what was asked is asked again; and a member that leaves
    meanwhile keeps nobody waiting.
    """
    with trio.fail_after(30):
        async with two_nodes(redis_url) as (door, cut, listener, speaker):
            async with member(cut.url) as leaver:
                await door.cut()
                await eventually(lambda: not cut.link.up)
                await speaker.good("say", [ROOMS[0], 3])
                lost = swallow_after(monkeypatch, cut, door, compared)
                door.mend()
                await lost.wait()
                for room in ROOMS[1:]:
                    await speaker.good("say", [room, 3])
                await leaver.vanish()
                await eventually(lambda: len(cut.connections) == 1)
                await door.drop()
            for room in ROOMS:  # with no further word in any
                await listener.received(room, 3)
            await say_in_all(listener, 4)
            for room in ROOMS:
                await listener.received(room, 4)
            check_all_heard(listener, 4)


def swallow_after(
    monkeypatch: pytest.MonkeyPatch, node: Node, door: Proxy, compared: int
) -> trio.Event:
    """The next link hears nothing any more once so many topics are compared; set when it is so."""
    lost = trio.Event()
    reset, compare, left = node.hub.reset, node.hub.compare, compared

    def swallow() -> None:
        if left == 0 and not lost.is_set():
            door.swallow()
            lost.set()

    def reset_and_count() -> None:
        reset()
        swallow()

    def compare_and_count(topic: Topic, cursor: Cursor | None) -> None:
        nonlocal left
        compare(topic, cursor)
        left -= 1
        swallow()

    monkeypatch.setattr(node, "listener", attrs.evolve(node.listener, up=reset_and_count))
    monkeypatch.setattr(node.hub, "compare", compare_and_count)
    return lost


async def test_what_redis_did_not_say_is_asked_again(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch, pages: list[str]
) -> None:
    settings = attrs.evolve(QUICK, link_deadline=10.0, redis_patience=0.2)
    with trio.fail_after(30):
        async with cluster(app, 1, redis=own_redis.url, settings=settings) as nodes:
            [node] = nodes.nodes
            async with member(node.url) as client:
                await say_in_all(client, 1)
                said: list[bool] = []
                ask, reset = node.executor.cursors, node.hub.reset

                def spy(topics: Sequence[str], answered: Answered) -> None:
                    def told(cursors: list[Cursor | None] | None) -> None:
                        said.append(cursors is not None)
                        answered(cursors)

                    ask(topics, told)

                def reset_and_pause() -> None:
                    reset()
                    own_redis.pause()

                monkeypatch.setattr(node.executor, "cursors", spy)
                listener = attrs.evolve(node.listener, up=reset_and_pause)
                monkeypatch.setattr(node, "listener", listener)
                own_redis.kill_connections()
                await eventually(lambda: said)
                own_redis.resume()
                await eventually(lambda: all(topic.live for topic in node.hub.topics()))
                await say_in_all(client, 2)
                await client.received(ROOMS[-1], 2)
                check_all_heard(client, 2)
                assert (said[0], said[-1], pages) == (False, True, [])
