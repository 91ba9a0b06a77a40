"""Whatever one client does costs only that client: a well-behaved bystander goes on throughout."""

from __future__ import annotations

import resource
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from attrs import frozen

from tests.support.members import (
    PONG,
    TEXT,
    Member,
    Rejected,
    dial,
    event,
    eventually,
    frame,
    member,
    request,
    shake_hands,
    text,
)
from tests.support.processes import trio_wss
from tests.support.servers import RedisServer
from trio_wss import App, Broadcast, Effects, Identity, Join, Reply, Request, Store
from trio_wss.node import Node
from trio_wss.settings import Settings
from trio_wss.store.embedded import find_server
from trio_wss.testing import cluster

BINARY, CONTINUATION, PING = 0x82, 0x80, 0x89
MIB = 1 << 20
SETTINGS = Settings(drain=1.0, rate=0)
app = App()


@frozen
class Point:
    x: int
    tags: list[str] = attrs.field(factory=list)


@app.on_connect
def enter() -> Effects:
    return Join("room:a")


@app.on("point")
def point(event: Point) -> Effects:
    return Reply("point", event)


@app.on("fail")
def fail() -> Effects:
    raise ZeroDivisionError


@app.on("store")
def store(event: Any) -> Effects:
    return [Store("anything", event), Broadcast("room:a", "stored")]


@app.on("ping")
def ping() -> Effects:
    return Reply("pong")


class Bystander:
    """Asks one thing after the other for as long as the test runs, and is always answered."""

    def __init__(self, client: Member) -> None:
        self._client = client
        self._answers = 0

    async def run(self) -> None:
        while True:
            await self._client.good("ping")
            self._answers += 1

    async def goes_on(self) -> None:
        """Wait for three more answers."""
        wanted = self._answers + 3
        await self._client.until(lambda: self._answers >= wanted)


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    """The URL of one server for all tests here, of whichever engine: Redis is not in question."""
    server = RedisServer(find_server())
    yield server.url
    server.close()


@asynccontextmanager
async def one_node(
    redis: str, settings: Settings = SETTINGS, the_app: App = app
) -> AsyncIterator[tuple[Node, Bystander]]:
    with trio.fail_after(60):
        async with (
            cluster(the_app, 1, redis=redis, settings=settings) as nodes,
            member(nodes.nodes[0].url) as client,
            trio.open_nursery() as nursery,
        ):
            bystander = Bystander(client)
            nursery.start_soon(bystander.run)
            yield nodes.nodes[0], bystander
            await bystander.goes_on()
            assert client.code is None
            nursery.cancel_scope.cancel()


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


INVALID = {
    "no JSON": (b"{", ""),
    "an array": (b"[]", ""),
    "a number": (b"1", ""),
    "null": (b"null", ""),
    "nothing": (b"", ""),
    "no event": (b"{}", "event"),
    "an event that is no text": (b'{"event":1}', "event"),
    "half a surrogate pair": (
        b'{"event":"point","data":{"x":1,"tags":["\\ud800"]}}',
        "data.tags[0]",
    ),
    "nesting 1000 deep": (b'{"event":"store","data":%b}' % nested(1000).encode(), ""),
    "nesting 100,000 deep": (b'{"event":"store","data":%b}' % nested(100_000).encode(), ""),
    "no data": (b'{"event":"point"}', "data"),
    "a field that is missing": (b'{"event":"point","data":{}}', "data.x"),
    "a field of another type": (b'{"event":"point","data":{"x":"1"}}', "data.x"),
    "an item of another type": (b'{"event":"point","data":{"x":1,"tags":["a",2]}}', "data.tags[1]"),
    "NaN": (b'{"event":"point","data":{"x":NaN}}', "data.x"),
    "an integer beyond 64 bits": (b'{"event":"store","data":[18446744073709551616]}', "data[0]"),
    "two messages in one": (b'{"event":"ping"}{"event":"ping"}', ""),
}


@pytest.mark.parametrize("what", INVALID)
async def test_what_is_no_event_is_told_to_be_invalid_and_the_connection_goes_on(
    redis: str, what: str
) -> None:
    payload, path = INVALID[what]
    async with one_node(redis) as (node, bystander), member(node.url) as client:
        await client.raw(frame(TEXT, payload))
        [error] = await client.heard("wss.error")
        assert error["data"]["code"] == "invalid"
        assert error["data"].get("path", "") == path
        assert len(error["data"]["message"]) < 500
        await client.good("point", {"x": 1})
        await bystander.goes_on()


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param('{"event":"store","id":%d,"data":"\\ud83d"}', id="half an emoji"),
        pytest.param('{"event":"\\ud83d","id":%d}', id="in the name"),
        pytest.param('{"event":"store","id":%d,"data":{"\\ud83d":1}}', id="in a key"),
        pytest.param(f'{{"event":"store","id":%d,"data":{nested(80)}}}', id="80 deep"),
        pytest.param(f'{{"event":"store","id":%d,"data":{nested(5000)}}}', id="5,000 deep"),
        pytest.param('{"event":"store","id":%d,"data":NaN}', id="NaN"),
        pytest.param('{"event":"store","id":%d,"data":18446744073709551616}', id="2^64"),
    ],
)
async def test_what_cannot_be_read_is_answered_and_recorded_under_its_id(
    redis: str, bad: str
) -> None:
    async with one_node(redis) as (node, _), member(node.url) as client:
        good = [event("store", "x", number) for number in range(3, 103)]
        await client.raw(text(bad % 1), text(bad % 2), *good)
        for number in range(1, 103):
            answer = await client.answer(number)
            assert answer["event"] == ("wss.error" if number < 3 else "wss.ok")
        await client.raw(text(bad % 103))
        first = await client.answer(103)
        assert first["data"]["code"] == "invalid"
        assert await client.again("store", "x", 103) == first
        assert len(client.named("wss.error")) == 4


async def test_a_binary_frame_is_invalid_and_the_connection_goes_on(redis: str) -> None:
    async with one_node(redis) as (node, bystander), member(node.url) as client:
        await client.raw(frame(BINARY, event("ping")))
        [error] = await client.heard("wss.error")
        assert error["data"]["code"] == "invalid"
        await client.good("ping")
        await bystander.goes_on()


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("no such event", None, "unknown_event"),
        ("x" * 100_000, None, "unknown_event"),
        ("wss.resume", {"token": 1, "topics": []}, "unknown_event"),
        ("fail", None, "internal"),
    ],
)
async def test_an_event_that_nobody_can_handle_is_an_error_and_the_connection_goes_on(
    redis: str, name: str, data: Any, code: str
) -> None:
    async with one_node(redis) as (node, bystander), member(node.url) as client:
        for _ in range(3):
            answer = await client.ask(name, data)
            assert answer["data"]["code"] == code
            assert len(answer["data"]["message"]) < 500
        await client.good("ping")
        await bystander.goes_on()


BROKEN = {
    "text that is no UTF-8": (frame(TEXT, b"\xff\xfe"), 1007),
    "text that ends within a character": (frame(TEXT, b"\xe2\x82"), 1007),
    "no mask": (b"\x81\x02{}", 1002),
    "a reserved bit": (frame(0xC1, b"{}"), 1002),
    "a reserved opcode": (frame(0x83, b"{}"), 1002),
    "a ping in fragments": (frame(0x09, b"a"), 1002),
    "a long ping": (frame(PING, b"a" * 126), 1002),
    "the end of no message": (frame(CONTINUATION, b"{}"), 1002),
    "a message within a message": (frame(0x01, b"{") + frame(TEXT, b"{}"), 1002),
    "a Close of one byte": (frame(0x88, b"\x03"), 1002),
    "a Close with a code that is none": (frame(0x88, b"\x00\x00"), 1002),
    "100 MB in one frame": (
        b"\x81\xff" + struct.pack("!Q", 100 * MIB) + bytes(4) + b"x" * (MIB + 1),
        1009,
    ),
    "2^63 bytes in one frame": (b"\x81\xff" + struct.pack("!Q", 2**63) + bytes(4), 1002),
    "100 MB in fragments": (frame(0x01, b"x" * (MIB // 2)) + 3 * frame(0, b"x" * MIB), 1009),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_a_broken_protocol_closes_that_connection_with_the_code_of_the_rfc(
    redis: str, what: str
) -> None:
    payload, code = BROKEN[what]
    async with one_node(redis) as (node, bystander), member(node.url) as client:
        await client.good("ping")
        await client.raw(payload)
        assert await client.closed() == code
        await bystander.goes_on()


async def test_what_a_client_sends_behind_a_close_is_dropped(redis: str) -> None:
    async with one_node(redis) as (node, bystander), member(node.url) as client:
        await client.raw(b"\x81\xff" + struct.pack("!Q", 100 * MIB) + bytes(4))
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # where it is cut off
            for _ in range(100):
                await client.raw(bytes(MIB))
                await bystander.goes_on()
        assert await client.closed() == 1009


async def test_bytes_that_are_no_http_end_that_connection(redis: str) -> None:
    async with one_node(redis) as (node, bystander):
        for noise in (b"\0" * 1000 + b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\r\n" * 10_000):
            with pytest.raises(Rejected) as rejected:
                async with await dial(node.url) as stream:
                    await shake_hands(stream, noise + b"\r\n\r\n")
            assert rejected.value.status in (0, 400, 431)
            await bystander.goes_on()


async def test_a_head_that_is_too_long_is_refused(redis: str) -> None:
    async with one_node(redis) as (node, bystander):
        head = request(node.url, headers={"X-Long": "x" * 20_000})
        with pytest.raises(Rejected) as rejected:
            async with await dial(node.url) as stream:
                await shake_hands(stream, head)
        assert rejected.value.status == 431
        await bystander.goes_on()


async def test_an_endless_handshake_is_ended(redis: str) -> None:
    """It says something again and again, so that only a deadline on the whole can end it."""
    settings = attrs.evolve(SETTINGS, handshake_timeout=0.3)
    async with one_node(redis, settings) as (node, bystander), await dial(node.url) as stream:
        head = request(node.url, headers={"X-Long": "x" * 10_000})
        answer = b""
        async with trio.open_nursery() as nursery:

            async def drip() -> None:
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    for byte in head:
                        await stream.send_all(bytes((byte,)))
                        await bystander.goes_on()

            nursery.start_soon(drip)
            try:
                async for chunk in stream:
                    answer += chunk
            except trio.BrokenResourceError:
                pass  # it went on sending: a reset
            nursery.cancel_scope.cancel()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


async def test_a_client_whose_authentication_hangs_is_asked_to_come_later(redis: str) -> None:
    settings = attrs.evolve(SETTINGS, handshake_timeout=0.3)
    careful = App()
    careful.on("ping")(ping)

    @careful.authenticate
    async def authenticate(request: Request) -> Identity | None:
        if "slow" in request.query:
            await trio.sleep_forever()
        return None

    async with one_node(redis, settings, careful) as (node, bystander):
        with pytest.raises(Rejected) as rejected:
            async with member(node.url, {"slow": "yes"}):
                pass
        assert rejected.value.status == 503
        await bystander.goes_on()


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1", 403),  # another port
        ("https://good.example", 101),
        ("own", 101),
    ],
)
async def test_a_browser_page_of_a_foreign_origin_may_not_connect(
    redis: str, origin: str, status: int
) -> None:
    settings = attrs.evolve(SETTINGS, origins=["https://good.example"])
    async with one_node(redis, settings) as (node, bystander):
        own = node.url.replace("ws:", "http:")
        try:
            async with member(node.url, headers={"Origin": own if origin == "own" else origin}):
                assert status == 101
        except Rejected as rejected:
            assert rejected.status == status  # noqa: PT017 - some are, some are not
        await bystander.goes_on()


async def test_a_flood_of_events_is_limited_for_that_client_alone(redis: str) -> None:
    settings = attrs.evolve(SETTINGS, rate=200, burst=50)
    with trio.fail_after(60):
        async with (
            cluster(app, 1, redis=redis, settings=settings) as nodes,
            member(nodes.nodes[0].url) as flooder,
            member(nodes.nodes[0].url) as bystander,
        ):
            await flooder.raw(*(event("ping", None, n) for n in range(1, 1001)))
            for _ in range(20):
                await bystander.good("ping")
            answers = [await flooder.answer(n) for n in range(1, 1001)]
            good = sum(answer["event"] == "pong" for answer in answers)
            limited = [a for a in answers if a["event"] == "wss.error"]
            assert {a["data"]["code"] for a in limited} == {"rate_limited"}
            assert 50 <= good < 1000
            assert flooder.code is None
            with trio.move_on_after(10):
                number = 1000
                while (await flooder.answer(number))["event"] != "pong":
                    number += 1
                    await flooder.send("ping", None, number)
            assert flooder.answers[number]["event"] == "pong"  # it may go on when it is slower


async def test_a_flood_of_nonsense_is_limited_too(redis: str) -> None:
    settings = attrs.evolve(SETTINGS, rate=10, burst=50)
    with trio.fail_after(60):
        async with (
            cluster(app, 1, redis=redis, settings=settings) as nodes,
            member(nodes.nodes[0].url) as flooder,
        ):
            await flooder.raw(*(text("nonsense") for _ in range(1000)))
            errors = await flooder.heard("wss.error", 1000)
            codes = [error["data"]["code"] for error in errors]
            assert codes.count("rate_limited") > 900


async def test_a_flood_that_is_refused_does_not_hold_the_loop(
    redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = attrs.evolve(SETTINGS, rate=0.001, burst=1)
    turn = 0
    refused: Counter[int] = Counter()  # in each turn of another task

    async def others() -> None:
        nonlocal turn
        while True:
            await trio.lowlevel.checkpoint()
            turn += 1

    with trio.fail_after(60):
        async with (
            cluster(app, 1, redis=redis, settings=settings) as nodes,
            member(nodes.nodes[0].url) as flooder,
            trio.open_nursery() as nursery,
        ):
            node = nodes.nodes[0]
            count = node.statistics.count

            def noted(event: str, outcome: str) -> None:
                refused[turn] += outcome == "rate_limited"
                count(event, outcome)

            monkeypatch.setattr(node.statistics, "count", noted)
            nursery.start_soon(others)
            await flooder.raw(*(text("nonsense") for _ in range(1000)))
            await flooder.heard("wss.error", 1000)
            nursery.cancel_scope.cancel()
    assert refused.total() > 900
    assert max(refused.values()) <= 2  # one each time, in any order of the two


async def test_a_client_that_vanished_without_a_word_is_found_and_let_go(redis: str) -> None:
    settings = attrs.evolve(SETTINGS, ping_interval=0.1, ping_timeout=0.2)
    async with one_node(redis, settings) as (node, bystander), await dial(node.url) as stream:
        await shake_hands(stream, request(node.url))
        await eventually(lambda: len(node.connections) == 2)
        await eventually(lambda: len(node.connections) == 1)  # it answered no ping
        await bystander.goes_on()


async def test_a_reset_connection_is_let_go(redis: str) -> None:
    async with one_node(redis) as (node, bystander):
        for _ in range(20):
            stream = await dial(node.url)
            await shake_hands(stream, request(node.url))
            await stream.send_all(event("ping", None, 1) * 100)
            linger = struct.pack("ii", 1, 0)
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            await trio.aclose_forcefully(stream)
        await eventually(lambda: len(node.connections) == 1)
        await bystander.goes_on()


async def test_pongs_that_nobody_asked_for_do_no_harm(redis: str) -> None:
    async with one_node(redis) as (node, bystander), member(node.url) as client:
        await client.raw(frame(PONG, b"hello") * 1000)
        await client.raw(frame(PING, b"hello") * 100)
        await client.until(lambda: client.pongs >= 1)
        await client.good("ping")
        await bystander.goes_on()


def room_for(wanted: int) -> int:
    """How many sockets a process may open, at most `wanted`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = wanted + 500
    if soft < enough:
        soft = enough if hard == resource.RLIM_INFINITY else min(enough, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(wanted, soft - 500)


async def test_ten_thousand_half_open_handshakes_keep_nobody_out(tmp_path: Path) -> None:
    number = room_for(10_000)
    halves = [b"", b"GET / HTTP/1.1\r\n", b"GET /?room=a HTTP/1.1\r\nHost: a\r\nUpgrade: websoc"]
    with trio.fail_after(60):
        async with trio_wss("run", cwd=tmp_path, module=True) as process:
            url = (await process.listening()).url
            address = ("127.0.0.1", process.port)
            sockets: list[socket.socket] = []
            try:
                async with member(url) as old:
                    say = {"room": "lobby", "text": "hi"}
                    for n in range(number):
                        half = socket.create_connection(address)
                        half.sendall(halves[n % 3])
                        sockets.append(half)
                        if n % 1000 == 0:
                            await old.good("say", say)
                    async with member(url) as new:
                        for client in (old, new, old, new):
                            await client.good("say", say)
            finally:
                for half in sockets:
                    half.close()
