"""The janitor's roll call: connections and sessions that have lost each other."""

from __future__ import annotations

import pytest
import redis
import trio

from tests.members import member
from trio_wss import App
from trio_wss.node import janitor
from trio_wss.settings import Settings
from trio_wss.testing import cluster

app = App()
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
