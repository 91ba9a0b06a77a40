"""Pings of our own, on a clock of the test's."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.frames import client_frame, close, text
from tests.wires import closed, wire
from trio_wss.wire import WebSocket, WireLimits

LIMITS = WireLimits(ping_seconds=20, pong_seconds=10)
PING = (0x89, b"")


async def end(socket: WebSocket) -> int:
    return (await closed(socket)).code


async def test_a_silent_peer_is_pinged_and_then_gone(autojump_clock: MockClock) -> None:
    async with wire(LIMITS) as (client, socket):
        start = trio.current_time()
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def watch() -> None:
                assert await client.frames() == [PING]

            assert await end(socket) == 1006
        # The head counts as a sign of life, and a beat may have been just before it.
        assert trio.current_time() - start in (pytest.approx(30), pytest.approx(50))


async def test_a_peer_that_answers_is_kept(autojump_clock: MockClock) -> None:
    async with wire(LIMITS) as (client, socket), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def watch() -> None:
            for _ in range(10):
                assert await client.frame() == PING
                await trio.sleep(9)
                await client.send(client_frame(0x8A))
            await client.send(close(1000))

        assert await end(socket) == 1000


async def test_a_peer_that_speaks_is_not_pinged(autojump_clock: MockClock) -> None:
    async with wire(LIMITS) as (client, socket), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def talk() -> None:
            for _ in range(10):
                await trio.sleep(15)
                await client.send(text("a"))

        for _ in range(10):
            assert await socket.receive() == ["a"]
        await client.send(close())
        assert await end(socket) == 1000
        assert [first for first, _ in await client.frames()] == [0x88]


async def test_no_ping_while_the_reader_is_held_back(autojump_clock: MockClock) -> None:
    async with wire(LIMITS) as (client, socket):
        for _ in range(3):
            await trio.sleep(500)
            await client.send(text("a"))
            assert await socket.receive() == ["a"]
        await client.send(close())
        assert await end(socket) == 1000
        assert [first for first, _ in await client.frames()] == [0x88]


async def test_a_pong_that_waits_behind_a_held_reader_counts(autojump_clock: MockClock) -> None:
    async with wire(LIMITS) as (client, socket), trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:

            @nursery.start_soon
            async def give_up_reading() -> None:
                assert await client.frame() == PING
                scope.cancel()

            await socket.receive()
        await trio.sleep(9.9)  # and again just before the pong is due
        await client.send(client_frame(0x8A))
        await wait_all_tasks_blocked()
        nursery.start_soon(trio.sleep, 1)
        await client.send(text("a"), close())
        assert await socket.receive() == ["a"]
        assert await end(socket) == 1000


async def test_no_ping_behind_a_close(autojump_clock: MockClock) -> None:
    async with wire(WireLimits(ping_seconds=1, close_seconds=5)) as (client, socket):
        await socket.close()
        assert [first for first, _ in await client.frames()] == [0x88]
