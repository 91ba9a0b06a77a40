"""A connection's messages, and how the peer ends it."""

import pytest
import trio
from trio.testing import (
    MockClock,
    lockstep_stream_pair,
    wait_all_tasks_blocked,
)

from tests.support.frames import PING, PONG, client_frame, close, closes, text
from tests.support.wires import FAST, SLOW, Client, both, closed, tcp_pair, wire
from trio_wss.wire import WireLimits
from trio_wss.wire.frames import text_frame


async def test_several_frames_of_one_read_come_as_one_batch() -> None:
    async with wire() as (client, socket):
        await client.send(text("a"), text("é"), client_frame(0x82, b"\xff"), text(""))
        assert await socket.receive() == ["a", "é", b"\xff", ""]


async def test_data_keeps_its_order_around_control_frames() -> None:
    async with wire() as (client, socket):
        await client.send(text("a"), PING, text("b"), PING, text("c"))
        assert await socket.receive() == ["a", "b", "c"]
        assert [await client.frame(), await client.frame()] == [PONG, PONG]


async def test_a_fragment_makes_the_connection_slow_and_loses_nothing() -> None:
    async with wire() as (client, socket):
        await client.send(text("a"), client_frame(0x01, b"b"), PING, client_frame(0x80, b"c"))
        await client.send(text("d"), text("e"), client_frame(0x82, b"f"))
        for message in ("a", "bc", "d", "e", b"f"):
            assert await socket.receive() == [message]
            await wait_all_tasks_blocked()
        assert await client.frame() == PONG
        await client.send(text("g"))
        assert await socket.receive() == ["g"]


async def test_bytes_behind_the_head_in_one_segment_are_frames() -> None:
    async with wire(early=text("early") + text("bird")[:3]) as (client, socket):
        assert await socket.receive() == ["early"]
        await client.send(text("bird")[3:])
        assert await socket.receive() == ["bird"]


async def test_an_extended_length_may_arrive_byte_by_byte() -> None:
    for size in (126, 70_000):
        async with wire() as (client, socket):
            frame = client_frame(0x81, b"x" * size)
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def trickle(client: Client = client, frame: bytes = frame) -> None:
                    for i in range(20):
                        await client.send(frame[i : i + 1])
                        await wait_all_tasks_blocked()
                    await client.send(frame[20:])

                assert await socket.receive() == ["x" * size]
            await client.send(text("next"))
            assert await socket.receive() == ["next"]


@both
async def test_nothing_is_read_while_the_node_is_not_in_receive(opening: bytes) -> None:
    # In lockstep, a send is done when the other side has read all of it.
    async with wire(pair=lockstep_stream_pair(), early=opening) as (client, socket):
        assert await socket.receive() == ["ok"]
        for i in range(3):
            taken = trio.Event()
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def send(i: int = i, taken: trio.Event = taken) -> None:
                    await client.send(text(f"{i}"))
                    taken.set()

                await wait_all_tasks_blocked()
                assert not taken.is_set()
                assert await socket.receive() == [f"{i}"]


@both
async def test_a_cancelled_receive_loses_nothing(opening: bytes) -> None:
    async with wire(early=opening) as (client, socket):
        assert await socket.receive() == ["ok"]
        for i in range(3):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(socket.receive)
                    await wait_all_tasks_blocked()
                    scope.cancel()
            await client.send(text(f"a{i}"), text(f"b{i}"))
            got: list[str | bytes] = []
            while len(got) < 2:
                got += await socket.receive()
            assert got == [f"a{i}", f"b{i}"]


# --- closing: the peer's


@both
async def test_a_close_is_answered_and_ends_the_connection_clean(opening: bytes) -> None:
    async with wire(early=opening) as (client, socket):
        assert await socket.receive() == ["ok"]
        await client.send(text("last"), close(4000, "bye"))
        assert await socket.receive() == ["last"]
        end = await closed(socket)
        assert (end.code, end.reason, end.clean) == (4000, "bye", True)
        assert socket.clean
        assert await client.frames() == [(0x88, (4000).to_bytes(2) + b"bye")]
        assert (await closed(socket)).code == 4000  # and again


async def test_a_close_without_a_code_is_1005() -> None:
    async with wire() as (client, socket):
        await client.send(client_frame(0x88))
        end = await closed(socket)
        assert (end.code, end.clean) == (1005, True)
        assert await client.frames() == [(0x88, b"")]


async def test_data_behind_a_close_is_dropped() -> None:
    async with wire() as (client, socket):
        await client.send(text("a"), close(), text("b"), PING, b"\xff\xff")
        assert await socket.receive() == ["a"]
        assert (await closed(socket)).code == 1000
        assert await client.frames() == [(0x88, (1000).to_bytes(2))]


async def test_a_peer_that_vanishes_is_1006_and_not_clean() -> None:
    for early in (b"", text("a")[:3], client_frame(0x01, b"a"), client_frame(0x89)[:1]):
        async with wire(early=early) as (client, socket):
            await client.stream.aclose()
            end = await closed(socket)
            assert (end.code, end.clean) == (1006, False)
            assert (await closed(socket)).code == 1006


async def test_a_connection_that_is_reset_is_1006() -> None:
    near, far = await tcp_pair()
    near.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    with trio.fail_after(5):
        async with wire(pair=(near, far)) as (client, socket):
            await client.stream.aclose()
            assert (await closed(socket)).code == 1006


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        pytest.param(client_frame(0x83), 1002, id="opcode"),
        pytest.param(client_frame(0xC1), 1002, id="reserved bit"),
        pytest.param(client_frame(0x81, b"a", mask=None), 1002, id="not masked"),
        pytest.param(client_frame(0x80), 1002, id="continues nothing"),
        pytest.param(client_frame(0x89, b"x" * 126), 1002, id="long ping"),
        pytest.param(client_frame(0x09), 1002, id="fragmented ping"),
        pytest.param(client_frame(0x88, b"x"), 1002, id="close of one byte"),
        pytest.param(close(1005), 1002, id="close code"),
        pytest.param(client_frame(0x88, b"\x03\xe8\xff"), 1007, id="close reason"),
        pytest.param(client_frame(0x81, b"\xff"), 1007, id="text"),
        pytest.param(b"\x81\xfe\0\x01" + bytes(5), 1002, id="length not shortest"),
        pytest.param(client_frame(0x82, b"x" * 1001), 1009, id="too long"),
        pytest.param(client_frame(0x81, "é".encode() * 501), 1009, id="too long, by bytes"),
        pytest.param(client_frame(0x81, "😀".encode() * 251), 1009, id="too long, in fours"),
    ],
)
async def test_a_broken_protocol_is_told_with_its_code(frame: bytes, code: int) -> None:
    async with wire(WireLimits(message_bytes=1000)) as (client, socket):
        await client.send(text("a"), frame, close(code), text("b"), PING)
        assert await socket.receive() == ["a"]
        end = await closed(socket)
        assert (end.code, end.clean) == (code, False)
        await socket.close()
        assert closes(await client.frames()) == [code]


async def test_a_malformed_close_is_not_clean() -> None:
    for frame in (client_frame(0x88, b"x"), close(1005), client_frame(0x88, b"\x03\xe8\xff")):
        for opening in (FAST, SLOW):
            async with wire(early=opening) as (client, socket):
                await socket.receive()
                await client.send(frame, close())
                await closed(socket)
                await socket.close()
                assert not socket.clean


@pytest.mark.parametrize("opening", [FAST, SLOW], ids=["fast", "slow"])
async def test_a_message_may_be_as_long_as_the_limit_in_bytes(opening: bytes) -> None:
    longest = "é" * 500
    async with wire(WireLimits(message_bytes=1000), early=opening) as (client, socket):
        await socket.receive()
        await client.send(client_frame(0x81, longest.encode()))
        assert await socket.receive() == [longest]
        await client.send(client_frame(0x01, longest.encode()), client_frame(0x80, b"x"))
        assert (await closed(socket)).code == 1009


async def test_fragments_of_nothing_have_a_bound() -> None:
    async with wire(WireLimits(fragments=100)) as (client, socket):
        for _ in range(3):
            await client.send(client_frame(0x01), client_frame(0x00) * 99, client_frame(0x80, b"x"))
            assert await socket.receive() == ["x"]
        await client.send(client_frame(0x01), client_frame(0x00) * 100)
        assert (await closed(socket)).code == 1009


async def test_a_ping_behind_what_is_too_long_does_no_harm(autojump_clock: MockClock) -> None:
    # trio-websocket by itself fails on it: it has said Close 1009 and may send no pong.
    async with wire(WireLimits(message_bytes=10)) as (client, socket):
        await client.send(client_frame(0x82, b"x" * 11), PING, PING)
        assert (await closed(socket)).code == 1009
    async with wire(WireLimits(message_bytes=10)) as (client, socket):
        await client.send(client_frame(0x01, b"x" * 11), PING, close(1009))
        assert (await closed(socket)).code == 1009


# --- what a connection is made of


async def test_a_connection_that_exchanges_messages_is_one_task() -> None:
    async with wire() as (client, socket):
        socket.outbox.push(text_frame(b"a"))
        socket.outbox.flush()
        assert await client.text() == "a"
        await client.send(client_frame(0x8A), text("b"))
        assert await socket.receive() == ["b"]
        await wait_all_tasks_blocked()
        assert not socket.nursery.child_tasks
        await client.send(PING, text("c"))  # from here trio-websocket answers
        assert await socket.receive() == ["c"]
        assert await client.frame() == PONG
        assert len(socket.nursery.child_tasks) == 1
