"""A Redis that will never do, at the first start of a node: one sentence, exit code 2. One that may
do later, and one that was there once, is tried for ever."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest
import redis
import trio

from tests.cli.test_run import is_clean, write_app
from tests.conftest import MakeRedis
from tests.support.processes import call, trio_wss
from tests.support.servers import RedisServer

WAYS: Final = [(), ("--workers", "2"), ("--reload",)]
SECRET: Final = "s3cret"


def no_password(server: RedisServer) -> str:
    return server.url


def wrong_password(server: RedisServer) -> str:
    return f"unix://:wr0ng-{SECRET}@{server.socket}"


def wrong_user(server: RedisServer) -> str:
    return f"unix://nobody:wr0ng-{SECRET}@{server.socket}"


def wrong_database(server: RedisServer) -> str:
    return f"unix://:{SECRET}@{server.socket}?db=99"


def lacks(*rights: str) -> Callable[[RedisServer], str]:
    def url(server: RedisServer) -> str:
        with server.client() as client:
            client.execute_command(
                "ACL", "SETUSER", "ada", "on", f">{SECRET}", "+@all", "~*", "&*", *rights
            )
        return f"unix://ada:{SECRET}@{server.socket}"

    return url


PASSWORD: Final = "set the user and the password that it takes"


@pytest.mark.parametrize("way", WAYS, ids=["one", "workers", "reload"])
@pytest.mark.parametrize(
    ("named", "words"),
    [
        (no_password, ("refused the hello (NOAUTH", PASSWORD)),
        (wrong_password, ("refused the hello (WRONGPASS", PASSWORD)),
        (wrong_user, ("refused the hello (WRONGPASS", PASSWORD)),
        (wrong_database, ("(ERR DB index is out of range", "set a database that it has")),
        (lacks("-xadd"), ("does not let this user run XADD", "its ACL must allow")),
        (lacks("resetchannels"), ("PUBLISH on {wss}/0:all", "its ACL must allow")),
    ],
)
async def test_what_is_wrong_for_ever_is_one_sentence(
    make_redis: MakeRedis,
    short_path: Path,
    way: Sequence[str],
    named: Callable[[RedisServer], str],
    words: tuple[str, ...],
) -> None:
    server = make_redis(requirepass=SECRET)
    write_app(short_path)
    env = {"REDIS_SERVER": named(server)}
    code, out, err = await call("run", *way, cwd=short_path, env=env)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("trio-wss: --redis (REDIS_SERVER) does not work: unix://")
    assert all(word in err for word in words)
    assert SECRET not in err
    assert is_clean(short_path)
    with server.client() as client:
        assert client.keys("*") == []


@pytest.mark.parametrize("way", WAYS, ids=["one", "workers", "reload"])
async def test_it_is_named_as_it_was_given(
    make_redis: MakeRedis, short_path: Path, way: Sequence[str]
) -> None:
    server = make_redis(requirepass=SECRET)
    write_app(short_path)
    (short_path / "url").write_text(wrong_password(server))
    code, _, err = await call("run", *way, "--redis-file", "url", cwd=short_path)
    assert (code, err.count("\n")) == (2, 1), err
    assert err.startswith("trio-wss: the URL in --redis-file (REDIS_SERVER_FILE) does not work: ")
    assert SECRET not in err


async def test_a_server_of_something_else(short_path: Path) -> None:
    write_app(short_path)

    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answer, [listener])
        port = listener.socket.getsockname()[1]
        code, _, err = await call("run", "--redis", f"redis://127.0.0.1:{port}", cwd=short_path)
        nursery.cancel_scope.cancel()
    assert (code, err.count("\n")) == (2, 1), err
    assert "does not speak RESP3" in err


@pytest.mark.any_engine
async def test_a_redis_that_is_not_there_is_waited_for(
    make_redis: MakeRedis, short_path: Path
) -> None:
    server = make_redis()
    server.kill()
    write_app(short_path)
    async with trio_wss("run", "--redis", server.url, cwd=short_path) as node:
        await node.err.until("Redis is away")
        server.restart()
        await node.err.until("linked to Redis")
        await node.listening()


@pytest.mark.any_engine
async def test_a_replica_is_waited_for(make_redis: MakeRedis, short_path: Path) -> None:
    server = make_redis()
    write_app(short_path)
    with socket.socket() as nobody, server.client() as client:
        nobody.bind(("127.0.0.1", 0))
        client.replicaof("127.0.0.1", str(nobody.getsockname()[1]))
        async with trio_wss("run", "--redis", server.url, cwd=short_path) as node:
            await node.err.until("is a replica: REDIS_SERVER must name the primary")
            client.replicaof("NO", "ONE")
            await node.err.until("linked to Redis")
            await node.listening()


@pytest.mark.any_engine
@pytest.mark.parametrize("way", WAYS, ids=["one", "workers", "reload"])
async def test_a_password_that_changes_later_is_waited_for(
    make_redis: MakeRedis, short_path: Path, way: Sequence[str]
) -> None:
    server = make_redis(requirepass=SECRET)
    url = f"unix://:{SECRET}@{server.socket}"
    write_app(short_path)
    async with trio_wss("run", *way, "--redis", url, cwd=short_path) as node:
        await node.listening()
        with redis.Redis.from_url(url) as client:
            client.config_set("requirepass", "other")
            for kind in ("normal", "pubsub"):
                client.client_kill_filter(_type=kind, skipme=True)
            await node.err.until("WRONGPASS")
            client.config_set("requirepass", SECRET)
            await node.err.until("linked to Redis")
        node.process.terminate()
        assert await node.ended() == 0
        assert "other" not in await node.err.rest()
