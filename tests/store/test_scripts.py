"""An error in the middle of a script would leave half of a commit. What Redis may refuse for, it
refuses for before a script begins, on both engines; and what it cannot finish it forgets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from threading import Thread

import pytest
import redis

from tests.conftest import MakeRedis
from tests.support.links import running
from tests.support.members import eventually
from tests.support.servers import RedisServer
from tests.support.snapshots import snapshot
from trio_wss import Append, Broadcast, Delete, Effect, Increment, Store
from trio_wss.app import App
from trio_wss.commit.plan import EMPTY_PLAN, plan
from trio_wss.reads import Client
from trio_wss.store.executor import NEW, Commit, Executor
from trio_wss.store.keys import Keys
from trio_wss.store.link.address import parse_address
from trio_wss.store.outcome import CommitOutcome, Done, Unknown
from trio_wss.store.scripts import SCRIPTS, link_to
from trio_wss.store.sessions import Sessions, new_token

CLIENT = Client("s1", None, None, {})


class Node:
    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def commit(self, *effects: Effect) -> CommitOutcome:
        made = plan(effects, CLIENT, App().history)
        return await self._executor.committed(Commit(made, CLIENT.session, "1"))


@asynccontextmanager
async def node(server: RedisServer) -> AsyncIterator[Node]:
    keys = Keys("scripts")
    link = link_to(parse_address(server.url), keys)
    async with running(link) as watch:
        await watch.is_up()
        executor, sessions = Executor(link, keys, "n1"), Sessions(link, keys, "n1")
        await sessions.beat(600, new=True)
        lead = sessions.begin(CLIENT, new_token(CLIENT.session))
        begin = Commit(EMPTY_PLAN, CLIENT.session, NEW, lead=lead)
        assert isinstance(await executor.committed(begin), Done)
        yield Node(executor)


def several(size: int = 10) -> list[Effect]:
    n = Increment("n")
    stored = [Store(f"k{number}", "x" * size) for number in range(3)]
    return [n, Append("list", 1), *stored, Broadcast("room", "said", n.result)]


async def test_a_redis_that_becomes_full_in_the_middle_goes_on_to_the_end(
    make_redis: MakeRedis,
) -> None:
    server = make_redis(maxmemory_policy="noeviction")
    async with node(server) as one:
        with server.client() as client:
            # The least at which it begins: what it writes is as much again as its own arguments.
            least = client.info("memory")["used_memory"] + 500_000
            outcome: CommitOutcome | None = None
            while not isinstance(outcome, Done):
                least += 100_000
                client.config_set("maxmemory", least)
                outcome = await one.commit(*several(300_000))
            assert client.strlen("{scripts}:k:k2") == 300_002
            assert client.xlen("{scripts}:h:room") == 1
            client.config_set("maxmemory", 1)
            before = snapshot(client)
            refused = await one.commit(Delete("k2"), Increment("n"))  # the first of them only frees
            assert isinstance(refused, Unknown)
            assert refused.reason.startswith("OOM ")
            assert snapshot(client) == before
            assert isinstance(await one.commit(Delete("k1"), Delete("k2")), Done)


def no_replicas(client: redis.Redis, folder: Path) -> None:
    client.config_set("min-replicas-to-write", 1)


def has_failed(client: redis.Redis) -> bool:
    status: str = client.info("persistence")["rdb_last_bgsave_status"]
    return status == "err"


def no_disk(client: redis.Redis, folder: Path) -> None:
    client.config_set("save", "3600 1")
    folder.rmdir()
    client.bgsave()


def replica(client: redis.Redis, folder: Path) -> None:
    client.replicaof("127.0.0.1", "1")


@pytest.mark.parametrize(
    ("harm", "reason"),
    [(no_replicas, "NOREPLICAS "), (no_disk, "MISCONF "), (replica, "READONLY ")],
)
async def test_what_redis_refuses_is_refused_before_the_first_write(
    make_redis: MakeRedis,
    short_path: Path,
    harm: Callable[[redis.Redis, Path], None],
    reason: str,
) -> None:
    folder = short_path / "data"
    folder.mkdir()
    server = make_redis(dir=str(folder), stop_writes_on_bgsave_error="yes")
    async with node(server) as one:
        with server.client() as client:
            before = snapshot(client)
            harm(client, folder)
            if harm is no_disk:
                await eventually(partial(has_failed, client))
            refused = await one.commit(*several())
            assert isinstance(refused, Unknown)
            assert refused.reason.startswith(reason)
            assert snapshot(client) == before


async def test_a_script_that_has_written_cannot_be_killed_and_is_lost_whole_with_its_redis(
    make_redis: MakeRedis,
) -> None:
    server = make_redis(appendonly="yes", appendfsync="always", lua_time_limit="20")
    with server.client() as client:
        client.set("before", "1")

    def write_for_ever() -> None:
        with server.client() as busy, pytest.raises(redis.ConnectionError):
            busy.eval("#!lua\nredis.call('SET', 'half', '1') while true do end", 0)

    thread = Thread(target=write_for_ever)
    thread.start()
    with server.client() as client:

        def is_busy() -> bool:
            try:
                client.ping()
            except redis.ResponseError as error:
                return "BUSY" in str(error)
            return False

        await eventually(is_busy)
        with pytest.raises(redis.ResponseError, match="UNKILLABLE"):
            client.script_kill()
    server.restart()
    thread.join()
    with server.client() as client:
        assert client.keys("*") == [b"before"]


def test_no_script_hands_on_more_than_lua_can_take() -> None:
    """`unpack` fails beyond some thousands; only the hello's own words are unpacked."""
    assert [name for name, source in SCRIPTS.items() if "unpack(" in source] == ["hello"]
