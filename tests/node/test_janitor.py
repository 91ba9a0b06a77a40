"""The janitor's roll call: connections and sessions that have lost each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
import trio

from tests.support.members import eventually, member
from trio_wss import App, Broadcast, Client, Effects, Join
from trio_wss.node import janitor
from trio_wss.settings import Settings
from trio_wss.store.executor import Executor
from trio_wss.store.outcome import Unknown
from trio_wss.store.sessions import Due, Sessions
from trio_wss.testing import cluster

app = App()


@app.on_connect
def enter(client: Client) -> Effects:
    return [Join(topic) for topic in client.query.get("topics", "").split()]


@app.on("say")
def say() -> Effects:
    return [Broadcast(topic, "said") for topic in ("kept", "lost", "back")]


SETTINGS = Settings(drain=1.0, namespace="roll-call", janitor_round=0.05)
PREFIX = "{roll-call}:"


@pytest.fixture(autouse=True)
def frequent_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(janitor, "ROLL_CALL", 1)


async def test_a_listener_whose_session_a_failover_lost_is_sent_away(redis_url: str) -> None:
    """It sends nothing, so no commit of its own tells it; members that are still there stay."""
    with trio.fail_after(20), redis.Redis.from_url(redis_url) as client:
        async with (
            cluster(app, nodes=2, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as listener,
            member(nodes.nodes[0].url) as other,
        ):
            client.delete(f"{PREFIX}s:{listener.session}")
            client.srem(f"{PREFIX}o:{nodes.nodes[0].id}", listener.session)
            assert await listener.closed() == 1012
            assert (await other.ask("none"))["data"]["code"] == "unknown_event"


async def test_a_listener_whose_resume_a_failover_lost_is_sent_away(redis_url: str) -> None:
    """The session is that of the connection before it again, which is on no node."""
    with trio.fail_after(20), redis.Redis.from_url(redis_url) as client:
        async with (
            cluster(app, nodes=1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as listener,
        ):
            client.hset(f"{PREFIX}s:{listener.session}", mapping={"gen": "0", "node": "dead"})
            client.srem(f"{PREFIX}o:{nodes.nodes[0].id}", listener.session)
            assert await listener.closed() == 1012


async def test_a_failover_that_lost_a_join_and_a_leave_is_told(redis_url: str) -> None:
    """And what it did not lose goes on, with no word of it."""
    with trio.fail_after(20), redis.Redis.from_url(redis_url) as client:
        async with (
            cluster(app, nodes=2, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url, {"topics": "kept lost"}) as listener,
            member(nodes.nodes[1].url) as other,
        ):
            node, session = nodes.nodes[0], f"{PREFIX}s:{listener.session}"
            await other.good("say")
            client.hdel(session, "t:lost")
            client.hset(session, "t:back", "1")
            node.link.replid = b"the replica that took over"
            await listener.left("lost")
            joined = (await listener.joined("back"))["data"]
            assert (joined["offset"], joined["recovered"]) == (1, False)
            await eventually(lambda: "back" in {t.name for t in node.hub.topics() if t.members})
            await other.good("say")
            assert [one["offset"] for one in await listener.received("kept", 2)] == [1, 2]
            assert [one["offset"] for one in await listener.received("back", 1)] == [2]
            assert [one["offset"] for one in listener.of("lost")] == [1]
            assert len(listener.named("wss.left")) == 1


async def test_a_nodes_first_master_is_no_failover(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's memberships are compared when nothing has happened."""
    rounds, compared = 0, []
    due, topics = Sessions.due, Executor.topics

    async def counted(self: Sessions, *arguments: Any) -> Due:
        nonlocal rounds
        rounds += 1
        return await due(self, *arguments)

    def noted(self: Executor, session: str, answered: Callable[[Any], None]) -> None:
        compared.append(session)
        topics(self, session, answered)

    monkeypatch.setattr(Sessions, "due", counted)
    monkeypatch.setattr(Executor, "topics", noted)
    with trio.fail_after(20):
        async with (
            cluster(app, nodes=1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as listener,
        ):
            before = rounds
            await eventually(lambda: rounds >= before + 2)
            assert compared == []
            nodes.nodes[0].link.replid = b"the replica that took over"
            await eventually(lambda: compared)
            assert compared == [listener.session]


async def test_where_redis_did_not_say_it_is_asked_again(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with trio.fail_after(20), redis.Redis.from_url(redis_url) as client:
        async with (
            cluster(app, nodes=1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url, {"topics": "lost"}) as listener,
        ):
            node = nodes.nodes[0]
            ask, silent = node.executor.topics, [listener.session]

            def topics(session: str, answered: Callable[[Any], None]) -> None:
                if silent:
                    silent.pop()
                    answered(Unknown("the link was lost"))
                else:
                    ask(session, answered)

            monkeypatch.setattr(node.executor, "topics", topics)
            client.hdel(f"{PREFIX}s:{listener.session}", "t:lost")
            node.link.replid = b"the replica that took over"
            await listener.left("lost")
            assert not silent


async def test_whose_session_a_failover_lost_is_sent_away_and_left_no_topics(
    redis_url: str,
) -> None:
    with trio.fail_after(20), redis.Redis.from_url(redis_url) as client:
        async with (
            cluster(app, nodes=1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url, {"topics": "kept"}) as listener,
        ):
            client.delete(f"{PREFIX}s:{listener.session}")
            nodes.nodes[0].link.replid = b"the replica that took over"
            assert await listener.closed() == 1012
            assert listener.named("wss.left") == []


async def test_all_sessions_of_a_dead_node_end_in_one_round(redis_url: str) -> None:
    """However many they are: not so many in each round."""
    settings = Settings(drain=1.0, namespace="roll-call", janitor_round=1000, grace=0.0)
    sessions = [f"s{n}" for n in range(1200)]
    with trio.fail_after(60), redis.Redis.from_url(redis_url) as client:
        async with cluster(app, nodes=1, redis=redis_url, settings=settings) as nodes:
            pipe = client.pipeline()
            for name in sessions:
                stored = {
                    "gen": "1",
                    "node": "dead",
                    "client": '{"user":null,"info":null,"query":{}}',
                }
                pipe.hset(f"{PREFIX}s:{name}", mapping=stored)
            pipe.sadd(f"{PREFIX}o:dead", *sessions)
            pipe.zadd(f"{PREFIX}nodes", {"dead": 1})
            pipe.execute()
            while await nodes.nodes[0].janitor._end_due():
                pass
            assert not list(client.scan_iter(f"{PREFIX}s:*"))
            assert client.zscore(f"{PREFIX}nodes", "dead") is None
