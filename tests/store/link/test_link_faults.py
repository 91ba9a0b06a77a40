"""The link when Redis is slow, silent, gone or back: every command is answered exactly once, in
order, within its time, and nothing grows without a bound."""

import math
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import trio
import trio.testing
from redis.exceptions import RedisError
from trio.testing import MockClock

from tests.support.links import Watch, running
from tests.support.scripted_redis import Peer, ScriptedRedis
from tests.support.servers import RedisServer
from trio_wss.errors import Unavailable
from trio_wss.store.link.address import parse_address
from trio_wss.store.link.link import NO_LISTENER, Link, Listener
from trio_wss.store.link.resp import pack

PING = pack("PING")
SLACK = 3  # seconds that a busy machine may take; the exact times are tested with a mock clock
KILL = pack("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
APPEND = {"append": "return redis.call('rpush', KEYS[1], ARGV[1])"}


def quick(server: RedisServer, *, patience: float = 10, bound: int = 4096) -> Link:
    """A link whose deadlines are short enough for a test."""
    return Link(
        parse_address(server.url),
        APPEND,
        deadline=0.3,
        hello_deadline=0.3,
        idle=0.1,
        patience=patience,
        bound=bound,
    )


class Ledger:
    """Numbered commands that append their number to one list in Redis, and their answers."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.answers: Counter[int] = Counter()
        self.failed: dict[int, Exception] = {}
        self.order: list[int] = []
        self._all_there = trio.Event()
        self._wanted = 0

    def submit(self, number: int) -> None:
        self._wanted += 1
        command = pack("EVALSHA", self.link.scripts["append"], 1, "list", number)
        self.link.submit(command, partial(self._answered, number))

    def _answered(self, number: int, reply: Any) -> None:
        self.answers[number] += 1
        self.order.append(number)
        if isinstance(reply, RedisError | Unavailable):
            self.failed[number] = reply
        if len(self.order) >= self._wanted:
            self._all_there.set()

    async def wait(self) -> None:
        """Until as many answers are there as there are commands."""
        while len(self.order) < self._wanted:
            self._all_there = trio.Event()
            await self._all_there.wait()

    def in_redis(self, server: RedisServer) -> list[int]:
        with server.client() as client:
            return [int(item) for item in client.lrange("list", 0, -1)]


def is_resent_in_order(numbers: list[int], count: int) -> bool:
    """All of 0..count-1, each step one on, or back to where a new connection began again."""
    steps = all(after == before + 1 or after <= before for before, after in pairwise(numbers))
    return steps and numbers[0] == 0 and set(numbers) == set(range(count))


async def test_connections_killed_under_load_lose_no_answer(own_redis: RedisServer) -> None:
    link = quick(own_redis)
    calls = 0

    async def client(number: int) -> None:
        nonlocal calls
        for turn in range(50):
            key = f"{number}.{turn}"
            reply = await link.call(pack("EVALSHA", link.scripts["append"], 1, key, turn))
            assert 1 <= reply <= 1 + 5  # once, and once more for each connection lost
            calls += 1

    async with running(link) as watch:
        await watch.is_up()
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(client, number)
            for _ in range(5):
                await trio.lowlevel.checkpoint()
                ups = watch.ups
                while calls < 1000 * ups:
                    await trio.lowlevel.checkpoint()
                await trio.to_thread.run_sync(own_redis.kill_connections)
                await watch.is_up(ups + 1)
    assert calls == 10_000
    assert len(watch.losses) == 5
    assert link.unanswered == 0


async def test_what_a_killed_connection_left_is_sent_again_in_order(
    own_redis: RedisServer,
) -> None:
    link = quick(own_redis)
    ledger = Ledger(link)
    async with running(link) as watch:
        await watch.is_up()
        for number in range(3000):
            ledger.submit(number)
            if number == 1000:
                link.submit(KILL, lambda _: None)
        await ledger.wait()
        assert len(watch.losses) == 1
    assert ledger.order == list(range(3000))
    assert ledger.failed == {}
    assert is_resent_in_order(ledger.in_redis(own_redis), 3000)


async def test_what_two_connections_were_lost_with_is_not_sent_on_a_third(
    own_redis: RedisServer,
) -> None:
    """It may be the reason. What was not sent on either is served."""
    link = quick(own_redis)
    ledger = Ledger(link)
    ups = 0

    def up() -> None:
        nonlocal ups
        ups += 1
        if ups == 3:
            ledger.submit(3000)

    async with running(link, Listener(up=up)) as watch:
        await watch.is_up()
        for number in range(3000):
            ledger.submit(number)
            if number in (1000, 2000):
                link.submit(KILL, lambda _: None)
        await ledger.wait()
        assert len(watch.losses) == 2
        assert await link.call(PING) == b"PONG"
    assert ledger.order == list(range(3001))
    assert list(ledger.failed) == list(range(2001, 3000))
    assert {str(error) for error in ledger.failed.values()} == {
        "the link was lost twice with it; the outcome is not known"
    }
    assert set(ledger.in_redis(own_redis)) == {*range(2001), 3000}


async def test_a_stopped_redis_is_noticed_and_nothing_grows(own_redis: RedisServer) -> None:
    link = quick(own_redis, patience=0.5, bound=100)
    most = 0
    outcomes: Counter[str] = Counter()

    async def client(number: int) -> None:
        nonlocal most
        await link.room()
        most = max(most, link.unanswered + 1)
        try:
            await link.call(pack("EVALSHA", link.scripts["append"], 1, "list", number))
            outcomes["answered"] += 1
        except Unavailable:
            outcomes["unavailable"] += 1

    async with running(link) as watch:
        await watch.is_up()
        own_redis.pause()
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(250):
                nursery.start_soon(client, number)
            reason = await watch.is_lost()
            assert "has not answered for 0.3 s" in reason
            assert trio.current_time() - start < 0.3 + SLACK
            assert "did not answer the hello" in await watch.is_lost(2)
        # Three times a full link, each with the whole patience.
        assert trio.current_time() - start < 3 * 0.5 + SLACK
        assert outcomes == {"unavailable": 250}
        assert most == 100
        assert link.unanswered <= 5  # the hello's own
        own_redis.resume()
        await watch.is_up(2)
        assert await link.call(PING) == b"PONG"


async def test_a_redis_that_comes_back_gets_all_again_in_order(own_redis: RedisServer) -> None:
    """Its old connection's copies run too: only the script's own memory can tell them apart."""
    link = quick(own_redis)
    ledger = Ledger(link)
    async with running(link) as watch:
        await watch.is_up()
        own_redis.pause()
        for number in range(500):
            ledger.submit(number)
        await watch.is_lost(2)
        own_redis.resume()
        await ledger.wait()
    assert ledger.order == list(range(500))
    assert ledger.failed == {}
    assert is_resent_in_order(ledger.in_redis(own_redis), 500)


async def test_a_redis_killed_and_restarted_serves_what_waited(own_redis: RedisServer) -> None:
    link = quick(own_redis)
    ledger = Ledger(link)
    seen: list[bytes] = []
    listener = Listener(hear=lambda _, payload: seen.append(payload))
    async with running(link, listener) as watch:
        link.subscribe(b"news")
        await watch.is_up()
        before = link.replid
        own_redis.kill()
        for number in range(100):
            ledger.submit(number)
        link.submit(pack("PUBLISH", "news", "back"), lambda _: None)
        assert "no connection to unix:///" in await watch.is_lost(3)
        own_redis.restart()
        await ledger.wait()
        await link.call(PING)
        assert link.replid != before
    assert ledger.order == ledger.in_redis(own_redis) == list(range(100))
    assert seen == [b"back"]


async def test_an_idle_link_finds_a_dead_peer(own_redis: RedisServer) -> None:
    link = quick(own_redis)
    async with running(link) as watch:
        await watch.is_up()
        await link.call(PING)
        own_redis.pause()
        start = trio.current_time()
        await watch.is_lost()
        assert trio.current_time() - start < 0.1 + 0.3 + SLACK
        own_redis.resume()
        await watch.is_up(2)


async def test_a_write_that_is_stuck_does_not_hide_a_dead_peer(own_redis: RedisServer) -> None:
    """More than the kernel takes: the writer waits in the middle of it."""
    link = quick(own_redis, patience=0.6)
    big = pack("SET", "big", bytes(1 << 20))
    replies: list[Any] = []
    last = trio.Event()

    def answered(reply: Any) -> None:
        replies.append(reply)
        if len(replies) == 64:
            last.set()

    async with running(link) as watch:
        await watch.is_up()
        own_redis.pause()
        for _ in range(64):
            assert not link.full
            link.submit(big, answered)
        assert link.full  # by its bytes
        assert "has not answered" in await watch.is_lost()
        await last.wait()
        await link.room()
        assert [type(reply) for reply in replies] == [Unavailable] * 64
        own_redis.resume()
        await watch.is_up(2)
        assert await link.call(PING) == b"PONG"


# ---- a scripted Redis: no real bytes in flight, so the clock may jump


@asynccontextmanager
async def connected(
    link: Link, redis: ScriptedRedis, listener: Listener = NO_LISTENER
) -> AsyncIterator[tuple[Peer, Watch]]:
    async with running(link, listener, within=100) as watch:
        peer = await redis.accept()
        await peer.hello()
        await watch.is_up()
        yield peer, watch


async def test_with_the_defaults_a_dead_peer_is_found_within_six_seconds(
    autojump_clock: MockClock,
) -> None:
    redis = ScriptedRedis()
    async with connected(Link(redis, {}), redis) as (peer, watch):
        for _ in range(20):  # idle but well for ten seconds and more
            assert await peer.take() == [b"PING"]
            await peer.put(b"+PONG\r\n")
        assert trio.current_time() > 9
        start = trio.current_time()
        await watch.is_lost()
        assert trio.current_time() - start <= 6


async def test_a_command_is_given_up_after_its_patience_with_no_redis_at_all(
    autojump_clock: MockClock,
) -> None:
    redis = ScriptedRedis()
    link = Link(redis, {})
    replies: list[tuple[str, float, type]] = []

    def note(name: str, reply: Any) -> None:
        replies.append((name, round(trio.current_time() - start), type(reply)))

    start = trio.current_time()
    link.submit(PING, partial(note, "late"), expires=start + 12)
    link.submit(PING, partial(note, "usual"))
    async with running(link, within=100) as watch:
        await watch.is_lost(3)
    assert replies == [("usual", 10, Unavailable), ("late", 12, Unavailable)]
    assert watch.losses[0] == "redis://localhost:6379/0 did not answer the hello within 5 s"
    assert link.unanswered == 0


async def test_time_goes_on_while_the_link_rests(autojump_clock: MockClock) -> None:
    link = Link(ScriptedRedis(), {})
    replies: list[Any] = []
    link.submit(PING, replies.append, expires=trio.current_time() + 1)
    await link.rest(0.5)
    assert replies == []
    await link.rest(1)
    assert [str(reply) for reply in replies] == [
        "Redis did not answer in time; the outcome is not known"
    ]


async def test_an_answer_that_comes_too_late_leaves_the_next_in_step(
    autojump_clock: MockClock,
) -> None:
    redis = ScriptedRedis()
    replies: list[Any] = []
    link = Link(redis, {}, patience=1)
    async with connected(link, redis) as (peer, watch):
        link.submit(pack("GET", "first"), replies.append)
        link.submit(pack("GET", "second"), replies.append, expires=trio.current_time() + 4)
        await trio.sleep(2)
        assert [type(reply) for reply in replies] == [Unavailable]
        assert link.unanswered == 2
        await peer.put(b"+first\r\n+second\r\n")
        await trio.testing.wait_all_tasks_blocked()
        assert replies[1:] == [b"second"]
        assert watch.losses == []


async def test_what_was_given_up_is_not_sent_again(autojump_clock: MockClock) -> None:
    redis = ScriptedRedis()
    link = Link(redis, {}, patience=1)
    async with connected(link, redis) as (peer, watch):
        link.submit(pack("GET", "given up"), lambda _: None)
        await trio.sleep(2)
        link.submit(pack("GET", "kept"), lambda _: None, expires=math.inf)
        await trio.testing.wait_all_tasks_blocked()
        await peer.stream.aclose()
        assert "closed the connection" in await watch.is_lost()
        peer = await redis.accept()
        await peer.hello()
        assert await peer.take() == [b"GET", b"kept"]


async def test_a_node_that_stood_still_itself_does_not_blame_redis(mock_clock: MockClock) -> None:
    """After a suspend the answers lie unread, and the timer wakes first."""
    redis = ScriptedRedis()
    link = Link(redis, {}, patience=1000)
    replies: list[Any] = []
    async with connected(link, redis) as (peer, watch):
        link.submit(PING, replies.append)
        await peer.take()
        mock_clock.jump(60)
        await peer.put(b"+PONG\r\n")
        for _ in range(10):
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(0.1)
        assert replies == [b"PONG"]
        assert watch.losses == []


async def test_items_cut_anywhere_are_handed_on_in_order() -> None:
    redis = ScriptedRedis()
    link = Link(redis, {})
    seen: list[str] = []
    listener = Listener(
        hear=lambda channel, payload: seen.append(f"{channel.decode()}={payload.decode()}"),
        end_batch=lambda: seen.append("end"),
    )
    items = (
        b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n1\r\n"
        b"+one\r\n"
        b">2\r\n$10\r\ninvalidate\r\n*0\r\n"  # nothing we asked for
        b">3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$1\r\n2\r\n"
        b"+two\r\n"
    )
    async with connected(link, redis, listener) as (peer, _):
        for cut in range(len(items) + 1):
            del seen[:]
            for _ in "12":
                link.submit(PING, lambda reply: seen.append(reply.decode()))
                await peer.take()
            for part in (items[:cut], items[cut:]):
                if part:
                    await peer.put(part)
                    await trio.testing.wait_all_tasks_blocked()
            assert [item for item in seen if item != "end"] == ["a=1", "one", "b=2", "two"]
            assert seen[-1] == "end"
            assert seen.count("end") == (1 if cut in (0, len(items)) else 2)


async def test_what_weighs_much_waits_for_the_answers_before_it() -> None:
    """All of them together would be more than Redis keeps for one connection."""
    redis = ScriptedRedis()
    link = Link(redis, {})
    async with connected(link, redis) as (peer, _):
        for name in "abc":
            link.submit(pack("GET", name), lambda _: None, weight=9 << 20)
        assert await peer.take() == [b"GET", b"a"]
        link.submit(pack("GET", "urgent"), lambda _: None, urgent=True, weight=9 << 20)
        assert await peer.take() == [b"GET", b"urgent"]
        await trio.testing.wait_all_tasks_blocked()
        assert len(link._backlog.sent) == 2
        await peer.put(b"+a\r\n")  # what is urgent, and may come all the time, holds up nothing
        assert await peer.take() == [b"GET", b"b"]
        await peer.put(b"+urgent\r\n")
        await trio.testing.wait_all_tasks_blocked()
        assert [slot.packed for slot in link._backlog.sent] == [pack("GET", "b")]
        await peer.put(b"+b\r\n")
        assert await peer.take() == [b"GET", b"c"]


NOSCRIPT = b"-NOSCRIPT No matching script.\r\n"


def ask(link: Link, replies: list[Any], names: str) -> None:
    for name in names:
        link.submit(pack("EVALSHA", name), lambda reply: replies.append(reply))


async def test_after_lost_scripts_nothing_overtakes_what_had_none() -> None:
    """Another node loads them while answers are under way: what came behind is carried out."""
    redis = ScriptedRedis()
    link = Link(redis, {})
    replies: list[Any] = []
    async with connected(link, redis) as (peer, watch):
        ask(link, replies, "abcd")
        for name in "abcd":
            assert await peer.take() == [b"EVALSHA", name.encode()]
        await peer.put(NOSCRIPT)
        await trio.testing.wait_all_tasks_blocked()
        ask(link, replies, "e")
        await trio.testing.wait_all_tasks_blocked()
        assert link._backlog.queued, "it was written behind what had no script"
        assert (watch.losses, replies) == ([], [])
        await peer.put(b"+b\r\n")
        await trio.testing.wait_all_tasks_blocked()
        assert [type(replies[0]), replies[1]] == [Unavailable, b"b"]
        await peer.put(NOSCRIPT * 2)
        assert "has lost the scripts" in await watch.is_lost()
        peer = await redis.accept()
        await peer.hello()
        for name in "cde":
            assert await peer.take() == [b"EVALSHA", name.encode()]
            await peer.put(b"+%b\r\n" % name.encode())
        await trio.testing.wait_all_tasks_blocked()
        assert replies[2:] == [b"c", b"d", b"e"]


async def test_lost_scripts_and_no_more_answers_end_in_time(autojump_clock: MockClock) -> None:
    redis = ScriptedRedis()
    link = Link(redis, {}, patience=100)
    replies: list[Any] = []
    async with connected(link, redis) as (peer, watch):
        ask(link, replies, "ab")
        await trio.testing.wait_all_tasks_blocked()
        await peer.put(NOSCRIPT)
        start = trio.current_time()
        assert "has not answered for 5 s" in await watch.is_lost()
        assert trio.current_time() - start < 6
        assert [type(reply) for reply in replies] == [Unavailable]  # b may have been carried out
        peer = await redis.accept()
        await peer.hello()
        assert await peer.take() == [b"EVALSHA", b"b"]


async def test_a_subscription_is_awaited_before_lost_scripts_are_loaded() -> None:
    """It is the last thing on its way, and overtakes nothing."""
    redis = ScriptedRedis()
    link = Link(redis, {})
    replies: list[Any] = []
    async with connected(link, redis) as (peer, watch):
        ask(link, replies, "a")
        await peer.take()
        link.subscribe(b"c")
        await peer.take()
        await peer.put(NOSCRIPT + b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")
        assert "has lost the scripts" in await watch.is_lost()
        peer = await redis.accept()
        await peer.hello()
        assert await peer.take() == [b"SUBSCRIBE", b"c"]
        await peer.put(b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")
        assert await peer.take() == [b"EVALSHA", b"a"]
        assert replies == []


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"+PONG\r\n", "an answer to no command"),
        (b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", "confirmed what was not asked"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak RESP3"),
    ],
)
async def test_a_peer_out_of_step_is_left(raw: bytes, reason: str) -> None:
    redis = ScriptedRedis()
    async with connected(Link(redis, {}), redis) as (peer, watch):
        await peer.put(raw)
        assert reason in await watch.is_lost()


async def test_a_refused_subscription_is_no_answer_to_another_command() -> None:
    redis = ScriptedRedis()
    link = Link(redis, {})
    replies: list[Any] = []
    async with connected(link, redis) as (peer, watch):
        link.subscribe(b"secret")
        link.submit(PING, replies.append)
        await peer.put(b"-NOPERM no such channel for you\r\n+PONG\r\n")
        assert "refused a subscription (NOPERM" in await watch.is_lost()
        assert replies == []


async def test_the_callbacks_of_a_start_come_in_order() -> None:
    """Channels first, then `up`, then the commands that waited."""
    redis = ScriptedRedis()
    link = Link(redis, {})
    link.subscribe(b"a")
    link.submit(pack("GET", "waiting"), lambda _: None)
    listener = Listener(up=lambda: link.submit(pack("GET", "from up"), lambda _: None))
    async with running(link, listener) as watch:
        peer = await redis.accept()
        await peer.hello()
        assert await peer.take() == [b"SUBSCRIBE", b"a"]
        await trio.testing.wait_all_tasks_blocked()
        assert not link.up
        await peer.put(b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")
        await watch.is_up()
        assert await peer.take() == [b"GET", b"waiting"]
        assert await peer.take() == [b"GET", b"from up"]


async def test_a_connection_lost_in_the_hello_says_so() -> None:
    redis = ScriptedRedis()
    async with running(Link(redis, {})) as watch:
        peer = await redis.accept()
        assert (await peer.take())[0] == b"HELLO"
        await peer.stream.aclose()
        assert "closed the connection" in await watch.is_lost()
        assert watch.ups == 0
