"""Sentinels: every form of their URL, what they say when there is no primary, and a real failover,
over which a node's clients go on."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import attrs
import pytest
import trio

from tests.conftest import MakeRedis
from tests.support.links import running
from tests.support.members import member
from tests.support.servers import RedisServer, free_port
from trio_wss import App, Broadcast, Client, Effects, Increment, Join, Reply
from trio_wss.errors import SettingsError
from trio_wss.settings import Settings
from trio_wss.store.link.address import parse_address
from trio_wss.store.link.link import Link
from trio_wss.store.link.resp import pack
from trio_wss.testing import cluster

# ---- URLs


@pytest.mark.parametrize(
    ("url", "members", "shown"),
    [
        ("redis+sentinel://a/db", [("a", 26379)], "redis+sentinel://a:26379/db/0"),
        (
            "redis+sentinel://ada:p%40w@a:1,b:2,[::1]:3/my.db-1/4",
            [("a", 1), ("b", 2), ("::1", 3)],
            "redis+sentinel://a:1,b:2,[::1]:3/my.db-1/4",
        ),
        ("rediss+sentinel://[::1],b/db?db=2", [("::1", 26379), ("b", 26379)], None),
    ],
)
def test_urls(url: str, members: list[tuple[str, int]], shown: str | None) -> None:
    address = parse_address(url)
    assert address.sentinels is not None
    assert list(address.sentinels.members) == members
    assert str(address) == (shown or "rediss+sentinel://[::1]:26379,b:26379/db/2")
    assert (address.tls is not None) == url.startswith("rediss")
    assert "p@w" not in repr(address)


def test_credentials_are_those_of_redis_and_those_of_the_sentinels_are_options() -> None:
    own = "sentinel_username=eve&sentinel_password=hush%2Fhush"
    address = parse_address(f"redis+sentinel://ada:pw@a/db/3?{own}")
    assert (address.username, address.password, address.database) == ("ada", "pw", 3)
    assert address.sentinels is not None
    assert address.sentinels.options == {"username": "eve", "password": "hush/hush"}
    assert "hush" not in repr(address)
    assert "hush" not in str(address)


@pytest.mark.parametrize(
    ("options", "checked", "names_checked"),
    [
        ("", "required", True),
        ("?ssl_cert_reqs=none", "none", False),
        ("?ssl_check_hostname=false", "required", False),
    ],
)
def test_tls_is_the_same_for_redis_and_its_sentinels(
    options: str, checked: str, names_checked: bool
) -> None:
    address = parse_address(f"rediss+sentinel://a/db{options}")
    assert address.tls is not None
    assert address.tls.check_hostname == names_checked
    assert (address.tls.verify_mode is ssl.CERT_NONE) == (checked == "none")
    assert address.sentinels is not None
    asked = address.sentinels.options
    assert asked["ssl"] is True
    assert asked["ssl_check_hostname"] == names_checked
    assert asked.get("ssl_cert_reqs", "required") == checked


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://",
        "redis+sentinel://:s3cret@a",
        "redis+sentinel://:s3cret@a/",
        "redis+sentinel://:s3cret@/db",
        "redis+sentinel://:s3cret@a,/db",
        "redis+sentinel://:s3cret@a:port/db",
        "redis+sentinel://:s3cret@a:99999/db",
        "redis+sentinel://:s3cret@[::1/db",
        "redis+sentinel://:s3cret@a#s3/db",
        "redis+sentinel://:s3cret@a/my%20db",
        "redis+sentinel://ada:12/s3cret@a/db",
        "redis+sentinel://:s3?cret@a/db",
        "redis+sentinel://:s3cret@a/db/x",
        "redis+sentinel://:s3cret@a/db/1/2",
        "redis+sentinel://:s3cret@a/db/-1",
        "redis+sentinel://:s3cret@a/db?s3cret=1",
        "redis+sentinel://:s3cret@a/db?ssl_ca_certs=/x",
    ],
)
def test_a_bad_url_names_the_setting_and_the_cure_and_shows_no_password(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_address(url)
    text = str(caught.value)
    assert text.startswith("redis ")
    assert "use redis+sentinel://" in text
    assert "s3" not in text
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


# ---- real Sentinels


def at_port(make_redis: MakeRedis, **options: Any) -> tuple[RedisServer, int]:
    port = free_port()
    return make_redis(port=str(port), bind="127.0.0.1", **options), port


async def reason(url: str, *, hello_deadline: float = 5.0) -> str:
    """Why the link is lost."""
    async with running(Link(parse_address(url), {}, hello_deadline=hello_deadline)) as watch:
        return await watch.is_lost()


async def test_the_first_sentinel_that_knows_the_primary_is_believed(
    make_redis: MakeRedis,
) -> None:
    """Behind one that is not there, one of another service, and one that is no Sentinel."""
    _, primary = at_port(make_redis)
    watched = f"127.0.0.1 {primary} 1"
    _, stranger = at_port(make_redis, sentinel=[f"monitor other {watched}"])
    _, friend = at_port(make_redis, sentinel=[f"monitor db {watched}"])
    others = f"127.0.0.1:{free_port()},127.0.0.1:{primary},127.0.0.1:{stranger}"
    link = Link(parse_address(f"redis+sentinel://{others},127.0.0.1:{friend}/db/2"), {})
    async with running(link) as watch:
        await watch.is_up()
        assert await link.call(pack("PING")) == b"PONG"
        assert b" db=2 " in await link.call(pack("CLIENT", "INFO"))
        assert watch.losses == []
    lost = await reason(f"redis+sentinel://{others}/db/2")
    assert lost.startswith("no Sentinel knows the primary of db (127.0.0.1:")
    for why in ("refused", "unknown command", f":{stranger}: it watches over no such service"):
        assert why in lost


async def test_passwords_of_redis_and_of_its_sentinels(make_redis: MakeRedis) -> None:
    _, primary = at_port(make_redis, requirepass="redis-pw")
    lines = [f"monitor db 127.0.0.1 {primary} 1", "auth-pass db redis-pw"]
    _, port = at_port(make_redis, sentinel=lines, requirepass="sentinel-pw")
    place = f":redis-pw@127.0.0.1:{port}/db"
    link = Link(parse_address(f"redis+sentinel://{place}?sentinel_password=sentinel-pw"), {})
    async with running(link) as watch:
        await watch.is_up()
    assert "authenticat" in (await reason(f"redis+sentinel://{place}")).lower()
    wrong = await reason(f"redis+sentinel://{place}?sentinel_password=wr0ng")
    assert "invalid username-password pair" in wrong
    assert "wr0ng" not in wrong


async def test_a_primary_that_is_down_or_is_none(make_redis: MakeRedis) -> None:
    primary, port = at_port(make_redis)
    lines = [f"monitor db 127.0.0.1 {port} 1", "down-after-milliseconds db 300"]
    _, asked = at_port(make_redis, sentinel=lines)
    url = f"redis+sentinel://127.0.0.1:{asked}/db"
    link = Link(parse_address(url), {})
    async with running(link) as watch:
        await watch.is_up()
        with primary.client() as client:
            client.replicaof("127.0.0.1", str(free_port()))
        primary.kill_connections()
        while "is a replica: its Sentinels do not know yet" not in await watch.is_lost():
            watch.losses.clear()
        primary.kill()
        while "the primary by word of its Sentinels (" not in await watch.is_lost():
            watch.losses.clear()
        while "the primary is down" not in await watch.is_lost():
            watch.losses.clear()


async def test_a_sentinel_that_does_not_answer_holds_nobody_up(make_redis: MakeRedis) -> None:
    _, primary = at_port(make_redis)
    lines = [f"monitor db 127.0.0.1 {primary} 1"]
    deaf, deaf_port = at_port(make_redis, sentinel=lines)
    _, port = at_port(make_redis, sentinel=lines)
    deaf.pause()
    link = Link(parse_address(f"redis+sentinel://127.0.0.1:{deaf_port},127.0.0.1:{port}/db"), {})
    async with running(link) as watch:
        await watch.is_up()
        assert watch.losses == []
    lost = await reason(f"redis+sentinel://127.0.0.1:{deaf_port}/db", hello_deadline=0.2)
    assert "did not answer the hello within 0.2 s" in lost
    deaf.resume()


# ---- a failover

ROOM = "room:a"
app = App(history=10_000)


@app.on_connect
def enter(client: Client) -> Effects:
    return Join(ROOM)


@app.on("say")
def say(n: int, client: Client) -> Effects:
    return [Increment("count"), Broadcast(ROOM, "said", [client.session, n]), Reply("said", n)]


def until(condition: Callable[[], bool]) -> None:
    """Look again and again."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def with_a_replica(make_redis: MakeRedis) -> tuple[RedisServer, RedisServer, int]:
    """A primary, a replica that has all its data and goes on to have it, and the first's port."""
    primary, port = at_port(make_redis, repl_diskless_sync_delay="0")
    replica, _ = at_port(make_redis, replicaof=f"127.0.0.1 {port}")
    with replica.client() as client:
        until(lambda: client.info("replication")["master_link_status"] == "up")
    return primary, replica, port


def three_sentinels(make_redis: MakeRedis, port: int) -> tuple[list[RedisServer], str]:
    """Who know each other and the replica; and their URL."""
    names = {str(n) * 40: free_port() for n in range(1, 4)}
    servers = []
    for name, own in names.items():
        lines = [
            f"myid {name}",
            f"monitor db 127.0.0.1 {port} 2",
            "down-after-milliseconds db 500",
            "failover-timeout db 3000",
            *(
                f"known-sentinel db 127.0.0.1 {at} {other}"
                for other, at in names.items()
                if other != name
            ),
        ]
        servers.append(make_redis(sentinel=lines, port=str(own), bind="127.0.0.1"))
    for server in servers:
        with server.client() as client:
            until(lambda: client.sentinel_masters()["db"]["num-slaves"] == 1)
    members = ",".join(f"127.0.0.1:{own}" for own in names.values())
    return servers, f"redis+sentinel://{members}/db"


@pytest.mark.slow
async def test_clients_go_on_when_the_primary_and_a_sentinel_die(make_redis: MakeRedis) -> None:
    primary, replica, port = with_a_replica(make_redis)
    sentinels, url = three_sentinels(make_redis, port)
    settings = attrs.evolve(Settings(drain=1.0), redis_patience=30.0)
    with trio.fail_after(60):
        async with cluster(app, 2, redis=url, settings=settings) as nodes, AsyncExitStack() as s:
            everyone = [
                await s.enter_async_context(member(node.url)) for node in nodes.nodes for _ in "ab"
            ]
            for one in everyone:
                assert await one.good("say", 1) == 1
            with primary.client() as client:
                client.wait(1, 1000)
            before = nodes.nodes[0].link.replid
            sentinels[0].kill()
            primary.kill()
            numbers = [await one.post("say", 2) for one in everyone]
            for one, number in zip(everyone, numbers, strict=True):
                assert (await one.answer(number))["data"] == 2
            assert nodes.nodes[0].link.replid != before
            with replica.client() as client:
                assert client.role()[0] == b"master"
                assert client.get("{wss}:k:count") == b"8"
            wanted = sorted([one.session, n] for one in everyone for n in (1, 2))
            for one in everyone:
                seen = await one.received(ROOM, len(wanted))
                assert [frame["offset"] for frame in seen] == list(range(1, len(wanted) + 1))
                assert sorted(frame["data"] for frame in seen) == wanted
                assert one.code is None
