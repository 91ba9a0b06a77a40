"""The hello: what a Redis must be, and how plainly it is said when it is not."""

from typing import Any

import pytest
from redis.exceptions import ResponseError

from tests.conftest import MakeRedis
from tests.links import running
from trio_wss.store.address import Address, parse_address
from trio_wss.store.hello import Server, say_hello
from trio_wss.store.link import Link, LinkLost
from trio_wss.store.resp import pack, redis_error

REPLIES: dict[str, Any] = {
    "HELLO": {b"version": b"7.2.4"},
    "SELECT": b"OK",
    "CLIENT": b"OK",
    "INFO": b"# Replication\r\nrole:master\r\nmaster_replid:abc\r\n",
    "SCRIPT": b"00",
    "CONFIG": {b"maxmemory-policy": b"allkeys-lru"},
}


class Asked:
    """Answers a hello's commands and keeps them."""

    def __init__(self, **instead: Any) -> None:
        self.replies = REPLIES | instead
        self.commands: list[tuple[str | bytes | int, ...]] = []

    async def __call__(self, *command: str | bytes | int) -> Any:
        self.commands.append(command)
        reply = self.replies[str(command[0])]
        if isinstance(reply, Exception):
            raise reply
        return reply


async def test_the_commands_of_a_hello() -> None:
    asked = Asked()
    address = Address(username="ada", password="s3cret", database=4)
    server = await say_hello(asked, address, ["return 1", "return 2"], "node-1")
    assert server == Server(b"abc", "allkeys-lru")
    assert asked.commands == [
        ("HELLO", 3, "AUTH", "ada", "s3cret"),
        ("SELECT", 4),
        ("CLIENT", "SETNAME", "node-1"),
        ("INFO", "replication"),
        ("SCRIPT", "LOAD", "return 1"),
        ("SCRIPT", "LOAD", "return 2"),
        ("CONFIG", "GET", "maxmemory-policy"),
    ]


@pytest.mark.parametrize("reply", [ResponseError("unknown command"), {}])
async def test_a_forbidden_config_is_no_obstacle(reply: Any) -> None:
    server = await say_hello(Asked(CONFIG=reply), Address(), [], "node-1")
    assert server.maxmemory_policy is None


@pytest.mark.parametrize(
    ("instead", "reason"),
    [
        ({"HELLO": {b"version": b"6.2.1"}}, "is version 6.2.1: Redis 7 or any Valkey is needed"),
        ({"INFO": b"role:slave\r\n"}, "is a replica: REDIS_SERVER must name the primary"),
        ({"SCRIPT": redis_error("LOADING the dataset")}, "is still loading its data"),
        ({"HELLO": redis_error("ERR unknown command `HELLO`")}, "refused the hello (ERR unknown"),
    ],
)
async def test_a_redis_that_cannot_serve(instead: dict[str, Any], reason: str) -> None:
    with pytest.raises(LinkLost) as caught:
        await say_hello(Asked(**instead), Address(host="h"), ["return 1"], "node-1")
    assert str(caught.value).startswith("redis://h:6379/0 ")
    assert reason in str(caught.value)


async def test_a_password_that_redis_repeats_is_not_shown() -> None:
    echo = redis_error("ERR unknown command `HELLO`, with args: `3`, `AUTH`, `default`, `s3cret`")
    with pytest.raises(LinkLost) as caught:
        await say_hello(Asked(HELLO=echo), Address(password="s3cret"), [], "node-1")
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(caught.value.__cause__)


# ---- against real servers


async def test_passwords_and_users(make_redis: MakeRedis) -> None:
    server = make_redis(requirepass="s3cret")
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "ada", "on", ">l0ve/?", "+@all", "~*", "&*")
    for user in (":s3cret", "ada:l0ve%2F%3F"):
        link = Link(parse_address(f"unix://{user}@{server.socket}"), {})
        async with running(link):
            assert await link.call(pack("PING")) == b"PONG"
    for user, reason in ((":wr0ng", "WRONGPASS"), ("bob:wr0ng", "WRONGPASS"), ("", "NOAUTH")):
        async with running(Link(parse_address(f"unix://{user}@{server.socket}"), {})) as watch:
            lost = await watch.is_lost()
            assert f"refused the hello ({reason}" in lost
            assert "wr0ng" not in lost


async def test_a_user_with_few_rights(make_redis: MakeRedis) -> None:
    server = make_redis()
    rights = ("+@all", "-config", "~*", "resetchannels")
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "ada", "on", ">pw", *rights)
    link = Link(parse_address(f"unix://ada:pw@{server.socket}"), {})
    async with running(link) as watch:
        await watch.is_up()
        assert link.maxmemory_policy is None
        link.subscribe(b"a")
        assert "refused a subscription (NOPERM" in await watch.is_lost()


async def test_a_database_that_is_not_there(redis_url: str) -> None:
    async with running(Link(parse_address(f"{redis_url}?db=99"), {})) as watch:
        assert "refused the hello (ERR DB index is out of range)" in await watch.is_lost()


async def test_a_script_that_does_not_compile(redis_url: str) -> None:
    async with running(Link(parse_address(redis_url), {"bad": "return ("})) as watch:
        assert "Error compiling script" in await watch.is_lost()


async def test_a_hello_refused_by_hanging_up_still_says_why(make_redis: MakeRedis) -> None:
    server = make_redis(maxclients="1")
    with server.client() as client:
        client.ping()  # and stays
        for _ in range(10):
            async with running(Link(parse_address(server.url), {})) as watch:
                assert "max number of clients reached" in await watch.is_lost()


async def test_the_last_words_of_a_hello_go_before_all_that_waits(redis_url: str) -> None:
    link = Link(parse_address(redis_url), {})
    link.last_words = lambda replid: ("SET", "master", replid)
    replies: list[Any] = []
    link.submit(pack("GET", "master"), replies.append)
    async with running(link):
        await link.call(pack("PING"))
    assert replies == [link.replid]


async def test_last_words_that_are_refused(redis_url: str) -> None:
    link = Link(parse_address(redis_url), {})
    link.last_words = lambda _: ("NONSENSE",)
    async with running(link) as watch:
        assert "refused the hello (ERR unknown command" in await watch.is_lost()
        assert watch.ups == 0
