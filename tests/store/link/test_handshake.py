"""The hello: what a Redis must be, and how plainly it is said when it is not."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import ResponseError

from tests.conftest import MakeRedis
from tests.support.links import running
from tests.support.scripted_redis import HELLO, ScriptedRedis
from tests.support.servers import RedisServer
from trio_wss import store
from trio_wss.store.executor import Executor
from trio_wss.store.keys import Keys
from trio_wss.store.link.address import Address, parse_address
from trio_wss.store.link.handshake import Server, Words, meet, prepare
from trio_wss.store.link.link import Link, LinkLost
from trio_wss.store.link.resp import WrongRedis, pack, redis_error
from trio_wss.store.scripts import SCRIPTS, command, link_to

REPLIES: dict[str, Any] = {
    "HELLO": {b"version": b"7.2.4"},
    "SELECT": b"OK",
    "CLIENT": b"OK",
    "INFO": b"# Replication\r\nrole:master\r\nmaster_replid:abc\r\n",
    "CONFIG": {b"maxmemory-policy": b"allkeys-lru"},
    "SCRIPT": b"00",
    "EVALSHA": [],
    "SUBSCRIBE": None,
}


class Told:
    """Answers a hello's commands and keeps them, by round trips."""

    def __init__(self, **instead: Any) -> None:
        self.replies = REPLIES | instead
        self.writes: list[list[tuple[str | bytes | int, ...]]] = []
        self._due: list[Any] = []

    async def say(self, commands: Iterable[Words]) -> None:
        assert not self._due, "it has not heard all that it was answered"
        self.writes.append([tuple(words) for words in commands])
        for name, *_ in self.writes[-1]:
            text = name.decode() if isinstance(name, bytes) else str(name)
            self._due.append(self.replies[text])

    async def hear(self) -> Any:
        reply = self._due.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


WORDS = ("EVALSHA", "00", 0)


async def greeted(told: Told, address: Address) -> Server:
    """A whole hello."""
    server = await meet(told, address, "node-1")
    await prepare(told, address, ["return 1", "return 2"], WORDS, [b"a", b"b"])
    return server


async def test_the_commands_of_a_hello_are_two_round_trips() -> None:
    told = Told()
    address = Address(username="ada", password="s3cret", database=4)
    assert await greeted(told, address) == Server(b"abc", "allkeys-lru")
    assert told.writes == [
        [
            ("HELLO", 3, "AUTH", "ada", "s3cret"),
            ("SELECT", 4),
            ("CLIENT", "SETNAME", "node-1"),
            ("INFO", "replication"),
            ("CONFIG", "GET", "maxmemory-policy"),
        ],
        [
            ("SCRIPT", "LOAD", "return 1"),
            ("SCRIPT", "LOAD", "return 2"),
            WORDS,
            (b"SUBSCRIBE", b"a", b"b"),
        ],
    ]


async def test_one_subscription_holds_a_thousand_channels() -> None:
    told = Told()
    await prepare(told, Address(), [], None, [b"%d" % n for n in range(2001)])
    assert [len(command) - 1 for command in told.writes[0]] == [1000, 1000, 1]


@pytest.mark.parametrize("reply", [redis_error("ERR unknown command"), {}])
async def test_a_forbidden_config_is_no_obstacle(reply: Any) -> None:
    server = await greeted(Told(CONFIG=reply), Address())
    assert server.maxmemory_policy is None


async def test_a_name_that_redis_does_not_take_is_no_obstacle() -> None:
    renamed = redis_error("ERR unknown command 'CLIENT', with args beginning with: 'SETNAME'")
    assert (await greeted(Told(CLIENT=renamed), Address())).replid == b"abc"


@pytest.mark.parametrize(
    ("instead", "reason"),
    [
        ({"INFO": b"role:slave\r\n"}, "is a replica: REDIS_SERVER must name the primary"),
        ({"SCRIPT": redis_error("LOADING the dataset")}, "is still loading its data"),
        ({"HELLO": redis_error("ERR max number of clients reached")}, "refused the hello (ERR max"),
        ({"EVALSHA": redis_error("MISCONF disk")}, "refused the hello (MISCONF disk)"),
        ({"HELLO": redis_error("BUSY it runs a script")}, "refused the hello (BUSY it"),
    ],
)
async def test_a_redis_that_cannot_serve_now(instead: dict[str, Any], reason: str) -> None:
    with pytest.raises(LinkLost) as caught:
        await greeted(Told(**instead), Address(host="h", database=2))
    assert type(caught.value) is LinkLost
    assert str(caught.value).startswith("redis://h:6379/2 ")
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("instead", "reason", "cure"),
    [
        ({"HELLO": {b"version": b"6.2.1"}}, "is version 6.2.1", "Redis 7 or any Valkey is needed"),
        ({"HELLO": redis_error("ERR unknown command `HELLO`")}, "(ERR unknown", "Redis 7 or any"),
        ({"HELLO": b"OK"}, "does not say what it is", "Redis 7 or any Valkey is needed"),
        ({"HELLO": redis_error("NOPROTO unsupported")}, "(NOPROTO", "Redis 7 or any"),
        (
            {"HELLO": redis_error("WRONGPASS invalid")},
            "(WRONGPASS",
            "set the user and the password",
        ),
        ({"HELLO": redis_error("NOAUTH required.")}, "(NOAUTH", "set the user and the password"),
        ({"SELECT": redis_error("ERR DB index is out of range")}, "(ERR DB", "set a database"),
        ({"SELECT": redis_error("ERR SELECT is not allowed in cluster mode")}, "(ERR SEL", "leave"),
        ({"INFO": redis_error("NOPERM no info")}, "(NOPERM no info", "its ACL must allow +@all"),
        ({"EVALSHA": redis_error("NOPERM a key")}, "(NOPERM a key", "its ACL must allow +@all"),
        ({"SUBSCRIBE": redis_error("NOPERM a channel")}, "(NOPERM a", "its ACL must allow +@all"),
        ({"SCRIPT": redis_error("ERR unknown command 'SCRIPT'")}, "(ERR unk", "under its own name"),
        (
            {"EVALSHA": [b"XADD", b"GET on {wss}:nodes"]},
            "does not let this user run XADD, GET on {wss}:nodes",
            "its ACL must allow +@all",
        ),
        ({"EVALSHA": [b"X"] * 20}, "run X, X, X, X, X, X, X, X, 12 more:", "its ACL must"),
    ],
)
async def test_a_redis_that_will_never_serve(
    instead: dict[str, Any], reason: str, cure: str
) -> None:
    with pytest.raises(WrongRedis) as caught:
        await greeted(Told(**instead), Address(host="h", database=2))
    assert str(caught.value).startswith("redis://h:6379/2 ")
    assert reason in str(caught.value)
    assert cure in str(caught.value)


async def test_who_cannot_serve_is_told_no_more() -> None:
    """Least of all with a wrong password: Redis hangs up on large words of strangers."""
    told = Told(HELLO=redis_error("WRONGPASS invalid"))
    with pytest.raises(WrongRedis):
        await greeted(told, Address(password="s3cret"))
    assert len(told.writes) == 1


@pytest.mark.parametrize("password", ["s3cret", "s3cret" * 40])
async def test_a_password_that_redis_repeats_is_not_shown(password: str) -> None:
    words = f"'3' 'AUTH' 'default' '{password[:100]}'"  # it repeats no more than so many bytes
    echo = redis_error(f"ERR unknown command 'HELLO', with args beginning with: {words}")
    with pytest.raises(LinkLost) as caught:
        await meet(Told(HELLO=echo), Address(password=password), "node-1")
    assert "refused the hello (ERR unknown command 'HELLO'): Redis 7 or" in str(caught.value)
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
        assert "refused the hello (NOPERM" in await watch.is_lost(2)  # it is one of the hello's now


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


async def test_a_hello_whose_last_error_is_followed_by_hanging_up_still_says_why() -> None:
    for _ in range(10):
        scripted = ScriptedRedis(database=1)
        async with running(Link(scripted, {})) as watch:
            peer = await scripted.accept()
            for _ in "12345":
                await peer.take()
            await peer.put(HELLO + b"+OK\r\n+OK\r\n-NOPERM no info for you\r\n-ERR no\r\n")
            await peer.stream.aclose()
            assert "NOPERM no info for you" in await watch.is_lost()


async def test_the_greeting_of_a_hello_goes_before_all_that_waits(redis_url: str) -> None:
    link = Link(parse_address(redis_url), {}, greeting=lambda replid: ("SET", "master", replid))
    replies: list[Any] = []
    link.submit(pack("GET", "master"), replies.append)
    async with running(link):
        await link.call(pack("PING"))
    assert replies == [link.replid]


async def test_a_greeting_that_is_refused(redis_url: str) -> None:
    link = Link(parse_address(redis_url), {}, greeting=lambda _: ("NONSENSE",))
    async with running(link) as watch:
        assert "refused the hello (ERR unknown command" in await watch.is_lost()
        assert watch.ups == 0


# ---- rights


class Acting:
    """A link as a node has it, for a user with these rights."""

    def __init__(self, server: RedisServer, *rights: str) -> None:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "ada", "reset", "on", ">pw", *rights)
        keys = Keys("wss")
        self.link = link_to(parse_address(f"unix://ada:pw@{server.socket}"), keys)
        self.executor = Executor(self.link, keys, "n1")


ALL = ("+@all", "~*", "&*")


@pytest.mark.parametrize(
    ("rights", "reason"),
    [
        ((*ALL, "-xadd"), "does not let this user run XADD: its ACL must allow +@all"),
        ((*ALL, "-publish", "-time", "-spop"), "does not let this user run PUBLISH, SPOP, TIME:"),
        (("+@all", "~{wss}:*", "&other"), "PUBLISH on {wss}/0:all, SUBSCRIBE on {wss}/0:all: its"),
        (("+@all", "~other:*", "&*"), "refused the hello (NOPERM"),
        (("+@all", "%R~*", "&*"), "refused the hello (NOPERM"),
        (("+@all", "~{wss}:master", "&*"), "run DEL on {wss}:nodes, EVALSHA on {wss}:nodes,"),
        ((*ALL, "-evalsha"), "refused the hello (NOPERM"),
        ((*ALL, "-script"), "refused the hello (NOPERM"),
        ((*ALL, "-info"), "refused the hello (NOPERM"),
        (
            ("+@all", "-@write", "~*", "&*"),
            "run DEL, HDEL, HINCRBY, HSET, INCRBY, LTRIM, PERSIST, PEXPIRE,",
        ),
    ],
)
async def test_a_user_who_may_not_do_all_that_a_commit_needs(
    make_redis: MakeRedis, rights: tuple[str, ...], reason: str
) -> None:
    """An error in the middle of a script would leave half of it; so it must not even begin."""
    server = make_redis()
    acting = Acting(server, *rights)
    acting.link.submit(pack("SET", "{wss}:k:a", "1"), lambda _: None)
    async with running(acting.link) as watch:
        assert reason in await watch.is_lost()
        assert watch.ups == 0
    with server.client() as client:
        assert client.keys("*") == []


async def test_the_rights_that_the_docs_name_are_enough(make_redis: MakeRedis) -> None:
    text = (Path(__file__).parents[3] / "docs/deployment.md").read_text()
    found = re.search(r"An ACL user of the namespace `wss` needs `(.*)`, `(.*)` and `(.*)`\.", text)
    assert found is not None
    acting = Acting(make_redis(), found[1], found[2], *found[3].split())
    async with running(acting.link) as watch:
        await watch.is_up()
        assert await acting.link.call(pack("GET", "{wss}:master")) == acting.link.replid


@pytest.mark.parametrize("command", ["XADD", "SPOP"])
async def test_a_command_under_another_name_is_missing(make_redis: MakeRedis, command: str) -> None:
    server = make_redis(rename_command=f"{command} other-{command}")
    async with running(Acting(server, *ALL).link) as watch:
        assert f"does not let this user run {command}:" in await watch.is_lost()


@pytest.mark.parametrize("command", ["CLIENT", "CONFIG"])
async def test_a_command_that_is_only_nice_to_have(make_redis: MakeRedis, command: str) -> None:
    server = make_redis(rename_command=f"{command} other-{command}")
    async with running(Acting(server, *ALL).link) as watch:
        await watch.is_up()
        assert watch.losses == []


async def test_rights_that_are_taken_end_the_link_and_none_comes_up(make_redis: MakeRedis) -> None:
    server = make_redis()
    acting = Acting(server, *ALL)
    async with running(acting.link) as watch:
        await watch.is_up()
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "ada", "-set")
        keys = ["{wss}:n:n1", "{wss}:nodes", "{wss}:pulse", "{wss}:r:n1"]
        beat = command("beat", keys, ["n1", "60000", "new"])
        with pytest.raises(ResponseError):
            await acting.link.call(beat)
        assert "has taken rights from us" in await watch.is_lost()
        assert "does not let this user run SET:" in await watch.is_lost(2)
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "ada", "+set")
        assert await acting.link.call(beat) == 1


async def test_a_full_redis_says_hello(make_redis: MakeRedis) -> None:
    server = make_redis(maxmemory="1")
    async with running(Acting(server, *ALL).link) as watch:
        await watch.is_up()


def test_hello_lua_asks_for_all_that_the_scripts_and_the_link_call(redis_url: str) -> None:
    asked = set(re.findall(r"\{'([A-Z]+)'", SCRIPTS["hello"]))
    sources = "".join(SCRIPTS.values())
    called = set(re.findall(r"\b(?:call|try)\('([A-Z]+)'", sources))
    assert len(called) > 25
    assert not re.search(r"\b(?:call|try)\([^'.]", sources), "which command is not to be seen"
    texts = "".join(file.read_text() for file in Path(store.__file__).parent.rglob("*.py"))
    words = set(re.findall(r'"([A-Z]+)"', texts))
    with redis.Redis.from_url(redis_url) as client:
        packed = {name for name in words if name.lower().encode() in client.command_list()}
    # What a hello itself says has been allowed when it is answered; READONLY is an error's name.
    packed -= {"AUTH", "CLIENT", "CONFIG", "HELLO", "INFO", "READONLY", "SCRIPT", "SELECT"}
    assert {"PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", "HGETALL", "PING"} <= packed
    assert asked == called | packed
