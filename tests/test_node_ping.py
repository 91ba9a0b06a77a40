"""A client that sees no pings of its own asks for a sign of life: trio_wss/node/connection.py."""

import trio

from tests.members import member
from tests.servers import RedisServer
from trio_wss import App
from trio_wss.settings import Settings
from trio_wss.testing import cluster


async def test_a_ping_is_answered_even_while_redis_hangs(own_redis: RedisServer) -> None:
    settings = Settings(drain=0.5)
    with trio.fail_after(30):
        async with (
            cluster(App(), 1, redis=own_redis.url, settings=settings) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            own_redis.pause()
            for number in (None, 1, 1):  # an id is ignored, and uses nothing up
                await client.send("wss.ping", None, number)
            pongs = await client.heard("wss.pong", 3)
            assert pongs == [{"event": "wss.pong"}] * 3
            own_redis.resume()


async def test_pings_count_as_events_against_the_rate(redis_url: str) -> None:
    settings = Settings(drain=0.5, rate=0.01, burst=2)
    with trio.fail_after(30):
        async with (
            cluster(App(), 1, redis=redis_url, settings=settings) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            for _ in range(3):
                await client.send("wss.ping")
            [error] = await client.heard("wss.error")
            assert error["data"]["code"] == "rate_limited"
            assert len(client.named("wss.pong")) == 2
