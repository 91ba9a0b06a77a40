"""trio_wss/cli/emit.py: a broadcast from a script reaches every node, in one order
with the others, and leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.members import member
from tests.support.processes import DEADLINE, call
from tests.support.servers import RedisServer
from trio_wss import App, Broadcast, Client, Effects, Join
from trio_wss.settings import Settings
from trio_wss.testing import Cluster, cluster

pytestmark = pytest.mark.any_engine

app = App()


@app.on_connect
def enter(client: Client) -> Effects:
    return Join("room")


@app.on("say")
def say(event: str) -> Effects:
    return Broadcast("room", "said", event)


@asynccontextmanager
async def nodes(redis: str, number: int = 1) -> AsyncIterator[Cluster]:
    with trio.fail_after(DEADLINE):
        settings = Settings(drain=1.0, namespace="n")
        async with cluster(app, nodes=number, redis=redis, settings=settings) as running:
            yield running


async def emit(redis: str, folder: Path, *arguments: str) -> tuple[int, str]:
    """`trio-wss emit …`: exit code and stderr."""
    code, out, err = await call(
        "emit", "--redis", redis, "--namespace", "n", *arguments, cwd=folder
    )
    assert out == ""
    return code, err


def keys(redis: RedisServer) -> dict[str, Any]:
    """What there is in Redis of nodes."""
    with redis.client(decode_responses=True) as client:
        return {
            "leases": set(client.zrange("{n}:nodes", 0, -1)),
            "records": set(client.scan_iter("{n}:n:*")),
        }


async def test_it_reaches_every_node_in_one_order_with_others(
    redis_url: str, shared_redis: RedisServer, tmp_path: Path
) -> None:
    async with nodes(redis_url, 2) as running:
        first, second = (node.url for node in running.nodes)
        async with member(first) as here, member(second) as there:
            await here.good("say", "one")
            before = keys(shared_redis)
            data = {"text": "hi", "list": []}
            assert await emit(redis_url, tmp_path, "room", "news", json.dumps(data)) == (0, "")
            await here.good("say", "three")
            await here.received("room", 3)
            await there.received("room", 3)
            assert here.of("room") == there.of("room")
            assert [frame["offset"] for frame in here.of("room")] == [1, 2, 3]
            assert here.of("room")[1]["event"] == "news"
            assert here.of("room")[1]["data"] == data
            assert keys(shared_redis) == before


async def test_without_json_there_is_no_data(redis_url: str, tmp_path: Path) -> None:
    async with nodes(redis_url) as running, member(running.nodes[0].url) as client:
        assert await emit(redis_url, tmp_path, "all", "news", "--volatile") == (0, "")
        [frame] = await client.received("all", 1)
        assert frame["data"] is None
        assert "offset" not in frame


async def test_it_keeps_as_much_history_as_it_is_told(
    redis_url: str, shared_redis: RedisServer, tmp_path: Path
) -> None:
    with trio.fail_after(DEADLINE):
        for text in "abc":
            options = ("--history", "2", "--ttl", "60")
            assert (await emit(redis_url, tmp_path, "r", "e", f'"{text}"', *options))[0] == 0
    with shared_redis.client() as client:
        assert client.xlen("{n}:h:r") == 2
        assert 50 < client.ttl("{n}:h:r") <= 60


async def test_what_is_wrong_is_one_sentence(redis_url: str, tmp_path: Path) -> None:
    with trio.fail_after(DEADLINE):
        for arguments, words in (
            (("room", "news", "{"), "'{' is not JSON"),
            (("room", "news", "18446744073709551616"), "beyond 64 bits"),
            (("wss.nodes", "news"), "reserved"),
            (("room", "wss.node"), "reserved"),
        ):
            code, err = await emit(redis_url, tmp_path, *arguments)
            assert (code, err.count("\n")) == (2, 1)
            assert words in err


async def test_no_redis_is_one_sentence(tmp_path: Path) -> None:
    with trio.fail_after(DEADLINE):
        code, err = await emit(f"unix://{tmp_path}/none", tmp_path, "room", "news")
    assert code == 2
    assert "nothing was sent" in err
    assert err.count("\n") == 1


async def test_a_redis_that_does_not_take_it_is_exit_code_1(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    with own_redis.client() as client:
        client.config_set("maxmemory", "1")
    with trio.fail_after(DEADLINE):
        code, err = await emit(own_redis.url, tmp_path, "room", "news")
    assert code == 1
    assert "OOM" in err
    assert "not known whether it happened" in err.splitlines()[-1]
