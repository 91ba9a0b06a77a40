"""The link against real servers: commands, answers, pushes, and their order."""

from functools import partial
from typing import Any

import pytest
import redis
import trio
from attrs import field, frozen
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

from tests.support.links import running
from tests.support.members import eventually
from tests.support.proxies import proxy
from tests.support.servers import RedisServer
from trio_wss.store.executor import Executor
from trio_wss.store.keys import Keys
from trio_wss.store.link.address import Address, parse_address
from trio_wss.store.link.link import Link, Listener
from trio_wss.store.link.resp import pack
from trio_wss.store.scripts import SCRIPTS

APPEND = {"append": "return redis.call('rpush', KEYS[1], ARGV[1])"}
ECHO = {"echo": "return ARGV[1]"}
PING = pack("PING")


def echo(link: Link, text: str) -> bytes:
    return pack("EVALSHA", link.scripts["echo"], 0, text)


def recorder() -> tuple[list[str], Listener]:
    """All that a link hands on, as text, in order; and who listens for that."""
    seen: list[str] = []

    def push(channel: bytes, payload: bytes) -> None:
        seen.append(f"{channel.decode()}:{payload.decode()}")

    return seen, Listener(hear=push)


async def test_two_hundred_tasks_get_their_own_answers(redis_url: str) -> None:
    link = Link(parse_address(redis_url), ECHO)
    wrong: list[tuple[str, Any]] = []

    async def client(number: int) -> None:
        for turn in range(20):
            text = f"{number}.{turn}"
            reply = await link.call(echo(link, text))
            if reply != text.encode():
                wrong.append((text, reply))

    async with running(link) as watch, trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(client, number)
    assert (wrong, watch.losses, link.unanswered) == ([], [], 0)


async def test_pushes_and_answers_come_in_one_order(redis_url: str) -> None:
    """Redis 7 sends one's own push before the answer, Valkey 9 after it, each beside its own."""
    link = Link(parse_address(redis_url), {})
    seen, listener = recorder()
    async with running(link, listener):
        link.subscribe(b"news")
        for number in range(500):
            link.submit(
                pack("PUBLISH", "news", number),
                partial(lambda n, _: seen.append(f"answer:{n}"), number),
            )
        await link.call(PING)
    assert len(seen) == 1000
    assert [item.partition(":")[2] for item in seen] == [str(n) for n in range(500) for _ in "12"]
    assert {item.partition(":")[0] for item in seen[::2]} in ({"news"}, {"answer"})


async def test_a_subscription_counts_from_the_next_command_on(redis_url: str) -> None:
    link = Link(parse_address(redis_url), {})
    seen, listener = recorder()
    async with running(link, listener):
        assert await link.call(pack("PUBLISH", "a", "early")) == 0
        link.subscribe(b"a")
        assert await link.call(pack("PUBLISH", "a", "heard")) == 1
        link.unsubscribe(b"a")
        assert await link.call(pack("PUBLISH", "a", "late")) == 0
        await link.call(PING)
    assert seen == ["a:heard"]


async def test_channels_named_while_down_are_in_the_hello(redis_url: str) -> None:
    """More of them than one SUBSCRIBE takes; and they are there before the first command."""
    link = Link(parse_address(redis_url), {})
    seen, listener = recorder()
    for number in range(2500):
        link.subscribe(b"c%d" % number)
    link.unsubscribe(b"c0")
    heard: list[int] = []
    for channel in ("c0", "c1", "c2499"):
        link.submit(pack("PUBLISH", channel, "x"), heard.append)
    async with running(link, listener):
        await link.call(PING)
    assert heard == [0, 1, 1]
    assert seen == ["c1:x", "c2499:x"]


async def test_channels_changed_during_the_hello_end_as_wanted(redis_url: str) -> None:
    link = Link(parse_address(redis_url), {})
    link.subscribe(b"gone")

    def change() -> None:  # the hello has subscribed to `gone` by now
        link.unsubscribe(b"gone")
        link.subscribe(b"new")

    async with running(link, Listener(up=change)) as watch:
        await watch.is_up()
        assert await link.call(pack("PUBLISH", "gone", "x")) == 0
        assert await link.call(pack("PUBLISH", "new", "x")) == 1


@frozen
class Recording(Address):
    """Notes what is written and what had been read at each end of a batch."""

    writes: list[bytes] = field(factory=list)

    async def open(self) -> trio.abc.Stream:
        stream = await super().open()
        send_all = stream.send_all

        async def recorded(data: Any) -> None:
            self.writes.append(bytes(data))
            await send_all(data)

        stream.send_all = recorded  # type: ignore[method-assign]  # a spy on the real stream
        return stream


def recording(url: str) -> Recording:
    address = parse_address(url)
    return Recording(path=address.path)


async def test_all_that_is_queued_in_a_tick_leaves_in_one_write(redis_url: str) -> None:
    address = recording(redis_url)
    link = Link(address, ECHO, idle=1000)
    async with running(link) as watch:
        await watch.is_up()
        del address.writes[:]
        link.subscribe(b"a")
        for number in range(100):
            link.submit(echo(link, str(number)), lambda _: None)
        await link.call(PING)
    assert len(address.writes) == 1
    assert address.writes[0].startswith(pack("SUBSCRIBE", "a"))


async def test_while_the_link_holds_back_only_what_is_urgent_leaves(redis_url: str) -> None:
    link = Link(parse_address(redis_url), {})
    seen: list[str] = []

    def say(text: str, *, urgent: bool = False) -> None:
        link.submit(pack("ECHO", text), lambda reply: seen.append(reply.decode()), urgent=urgent)

    async with running(link) as watch:
        await watch.is_up()
        link.hold_back(60)
        say("a")
        say("b", urgent=True)
        await urgent_ping(link)
        assert seen == ["b"]
        link.go_on()
        await link.call(PING)
        assert seen == ["b", "a"]
        link.hold_back(0.05)  # nobody says that it may go on
        say("c")
        await link.call(PING)
        assert seen == ["b", "a", "c"]


async def test_what_is_urgent_does_not_overtake_a_subscription(redis_url: str) -> None:
    """A page of history must be taken when what follows it is already heard."""
    link = Link(parse_address(redis_url), {})
    heard: list[Any] = []
    async with running(link) as watch:
        await watch.is_up()
        link.hold_back(60)
        for command, there in ((link.subscribe, 1), (link.unsubscribe, 0)):
            command(b"a")
            link.submit(pack("PUBSUB", "NUMSUB", "a"), heard.append, urgent=True)
            await urgent_ping(link)
            assert heard.pop() == [b"a", there]


async def urgent_ping(link: Link) -> None:
    """Wait until all that is urgent is answered."""
    there = trio.Event()
    link.submit(PING, lambda _: there.set(), urgent=True)
    await there.wait()


async def test_what_is_urgent_goes_first_after_a_reconnect_too(shared_redis: RedisServer) -> None:
    link = Link(parse_address(shared_redis.url), {})
    seen: list[bytes] = []
    async with running(link, Listener(up=lambda: link.hold_back(60))) as watch:
        await watch.is_up()
        link.submit(pack("ECHO", "a"), seen.append)
        link.submit(pack("ECHO", "b"), seen.append)
        shared_redis.kill_connections()
        await watch.is_up(2)
        await urgent_ping(link)
        assert seen == []
        link.go_on()
        await link.call(PING)
        assert seen == [b"a", b"b"]


async def test_an_error_reply_is_an_exception_with_its_whole_text(redis_url: str) -> None:
    link = Link(parse_address(redis_url), {"bad": "return redis.error_reply('OOM told so')"})
    async with running(link) as watch:
        with pytest.raises(ResponseError, match=r"^OOM told so"):
            await link.call(pack("EVALSHA", link.scripts["bad"], 0))
        with pytest.raises(ResponseError, match=r"^ERR unknown command"):
            await link.call(pack("NO\xffSUCH"))
        await link.call(PING)
    assert watch.losses == []


async def test_a_cancelled_call_leaves_the_others_in_step(redis_url: str) -> None:
    link = Link(parse_address(redis_url), ECHO)
    async with running(link) as watch:
        await watch.is_up()
        with trio.CancelScope() as scope:
            scope.cancel()
            await link.call(echo(link, "nobody"))
        assert await link.call(echo(link, "me")) == b"me"


async def test_cancelling_the_run_leaves_nothing_behind(shared_redis: RedisServer) -> None:
    link = Link(parse_address(shared_redis.url), {}, name="leaver")
    with shared_redis.client() as client, trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            await nursery.start(link.run)
            assert [c for c in client.client_list() if c["name"] == "leaver"]
            link.submit(PING, lambda _: None)  # not sent: it must wait for the next run
            nursery.cancel_scope.cancel()
        assert not link.up
        assert link.unanswered == 1
        while [c for c in client.client_list() if c["name"] == "leaver"]:
            await trio.lowlevel.checkpoint()
        async with running(link):
            await link.call(PING)
        assert link.unanswered == 0


async def test_a_slow_network_is_no_obstacle(redis_url: str) -> None:
    """Half a second each way, and thousands of channels: the hello is two round trips."""
    async with proxy(redis_url) as door:
        door.delay = 0.5
        link = Link(parse_address(door.url), SCRIPTS)
        Executor(link, Keys("wss"), "n1")
        for number in range(2500):
            link.subscribe(b"{wss}/0:%d" % number)
        async with running(link) as watch:
            await watch.is_up()
            assert watch.losses == []
            assert await link.call(PING) == b"PONG"


async def test_what_the_hello_learns(redis_url: str) -> None:
    link = Link(parse_address(f"{redis_url}?db=3"), ECHO)
    async with running(link) as watch:
        await watch.is_up()
        assert len(link.replid) == 40
        assert link.maxmemory_policy == "noeviction"
        assert repr(link) == f"<Link {link.address} up: 0 queued, {link.unanswered} sent>"
        await link.call(pack("SET", "k", "v"))
        await link.call(pack("SELECT", 0))
        assert await link.call(pack("GET", "k")) is None


async def test_lost_scripts_drop_the_link_and_are_loaded_again(shared_redis: RedisServer) -> None:
    link = Link(parse_address(shared_redis.url), ECHO)
    async with running(link) as watch:
        await watch.is_up()
        with shared_redis.client() as client:
            client.script_flush()
        assert await link.call(echo(link, "again")) == b"again"
        assert len(watch.losses) == 1
        assert "has lost the scripts" in watch.losses[0]


async def test_commands_that_other_links_had_scripts_for_are_not_overtaken(
    shared_redis: RedisServer, redis_url: str
) -> None:
    """Redis loses its scripts, and another node loads them before this one has heard of it."""
    seen: list[str] = []

    def has_called(client: redis.Redis, number: int) -> bool:
        calls: int = client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
        return calls >= number

    def answered(name: str, reply: Any) -> None:
        seen.append(f"{name}: {type(reply).__name__ if isinstance(reply, Exception) else 'done'}")

    async with proxy(redis_url) as door:
        link = Link(parse_address(door.url), APPEND)
        async with running(link) as watch, running(Link(parse_address(redis_url), {})) as other:
            await watch.is_up()
            await other.is_up()
            with shared_redis.client() as client:
                client.config_resetstat()
                door.hold()
                client.script_flush()
                for number, name in enumerate("abc", 1):
                    if name == "b":
                        client.script_load(APPEND["append"])
                    command = pack("EVALSHA", link.scripts["append"], 1, "list", name)
                    link.submit(command, partial(answered, name))
                    await eventually(partial(has_called, client, number))
                door.let_go()
                await watch.is_lost()
                await link.call(PING)
                assert client.lrange("list", 0, -1) == [b"b", b"c"]
    assert seen == ["a: Unavailable", "b: done", "c: done"]


async def test_a_script_that_nobody_loads_is_an_error_after_one_reconnect(redis_url: str) -> None:
    link = Link(parse_address(redis_url), {})
    async with running(link) as watch:
        with pytest.raises(NoScriptError):
            await link.call(pack("EVALSHA", "0" * 40, 0))
        await link.call(PING)
        assert len(watch.losses) == 1


async def test_a_server_that_becomes_a_replica_is_left(own_redis: RedisServer) -> None:
    link = Link(parse_address(own_redis.url), {})
    async with running(link) as watch:
        await watch.is_up()
        with own_redis.client() as client:
            client.replicaof("127.0.0.1", "1")
        with pytest.raises(ReadOnlyError):
            await link.call(pack("SET", "a", "1"))
        assert "has become a replica" in await watch.is_lost()
        assert "REDIS_SERVER must name the primary" in await watch.is_lost(2)
        with own_redis.client() as client:
            client.replicaof("NO", "ONE")
        await link.call(pack("SET", "a", "1"))
