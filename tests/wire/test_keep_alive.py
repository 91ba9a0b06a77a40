"""Pings of our own, on a clock of the test's."""

from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from tests.support.echo import EchoHost
from tests.support.frames import HEAD, client_frame, close, text
from tests.support.wires import Client, closed, wire
from trio_wss.wire import Closed, WebSocket, WireLimits, serve_stream

LIMITS = WireLimits(ping_seconds=20, pong_seconds=10)
PING = (0x89, b"")
PONG = 0x8A
JITTER = 1e-6  # of sums of seconds
CROWD = 120  # more than are seen to between two checkpoints


async def end(socket: WebSocket) -> int:
    return (await closed(socket)).code


async def pings(client: Client) -> list[float]:
    """When each came, until the server closes; none is answered."""
    found: list[float] = []
    with suppress(EOFError, trio.BrokenResourceError):
        while True:
            assert await client.frame() == PING
            found.append(trio.current_time())
    return found


async def test_a_silent_peer_is_pinged_and_then_gone(autojump_clock: MockClock) -> None:
    async with wire(LIMITS) as (client, socket):
        start = trio.current_time()
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def watch() -> None:
                [asked] = await pings(client)
                assert 16 < asked - start < 20
                assert 10 - JITTER < trio.current_time() - asked < 10.5

            assert await end(socket) == 1006


@pytest.mark.parametrize("word", [0.1, 2.7, 2.8, 2.9, 9.99, 16, 17, 20, 30.3, 34.9])
async def test_silence_is_found_in_time_whenever_it_began(
    word: float, autojump_clock: MockClock
) -> None:
    """From a peer's last word, which may be its answer to a ping, to the ping and to its end."""
    limits = WireLimits(ping_seconds=20, pong_seconds=20)
    async with wire(limits) as (client, socket), trio.open_nursery() as nursery:
        heard = trio.current_time() + word

        @nursery.start_soon
        async def watch() -> None:
            *_, asked = await pings(client)
            gone = trio.current_time()
            assert 16.4 - JITTER < asked - heard < 20
            assert gone - asked > 20 - JITTER
            assert gone - heard < 40 + JITTER

        @nursery.start_soon
        async def speak() -> None:
            await trio.sleep_until(heard)
            await client.send(text("a"))

        assert await socket.receive() == ["a"]
        assert await end(socket) == 1006


async def test_an_idle_peer_is_pinged_again_before_the_time_is_over(
    autojump_clock: MockClock,
) -> None:
    async with wire(LIMITS) as (client, socket), trio.open_nursery() as nursery:
        last = trio.current_time()

        @nursery.start_soon
        async def watch() -> None:
            nonlocal last
            for _ in range(10):
                assert await client.frame() == PING
                assert 16 < trio.current_time() - last < 20
                last = trio.current_time()
                await client.send(client_frame(PONG))
            assert [at - last for at in await pings(client)] == [pytest.approx(19.6)]
            assert trio.current_time() - last < 30 + JITTER

        assert await end(socket) == 1006


async def test_the_time_that_a_node_loses_is_nobodys_silence(autojump_clock: MockClock) -> None:
    async with wire(LIMITS) as (client, socket), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def watch() -> None:
            assert await client.frame() == PING
            autojump_clock.jump(1000)
            await trio.sleep(9)
            await client.send(client_frame(PONG), close())

        assert await end(socket) == 1000


async def test_all_of_a_crowd_are_seen_to_but_those_that_go_just_then(
    autojump_clock: MockClock,
) -> None:
    host = EchoHost(LIMITS)
    begun = trio.Event()
    asked = 0

    async def enter(group: trio.Nursery) -> Client:
        near, far = memory_stream_pair()
        group.start_soon(serve_stream, far, host)
        client = Client(near)
        await client.send(HEAD)
        await client.head()
        return client

    async def stay(client: Client) -> None:
        nonlocal asked
        assert await client.frame() == PING
        asked += 1
        begun.set()
        cancelled.cancel_scope.cancel()
        assert await client.frames() == []

    async def leave(client: Client) -> None:
        await begun.wait()
        await client.stream.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(host.keep_alive.run)
        async with trio.open_nursery() as crowd, trio.open_nursery() as cancelled:
            for _ in range(CROWD):
                crowd.start_soon(stay, await enter(crowd))
                crowd.start_soon(leave, await enter(crowd))
                await enter(cancelled)
        assert repr(host.keep_alive) == "<KeepAlive 0 connections, 0 asked>"
        nursery.cancel_scope.cancel()
    assert asked == CROWD


async def test_a_peer_that_answers_is_kept(autojump_clock: MockClock) -> None:
    async with wire(LIMITS) as (client, socket), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def watch() -> None:
            for _ in range(10):
                assert await client.frame() == PING
                await trio.sleep(9)
                await client.send(client_frame(PONG))
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
        await client.send(client_frame(PONG))
        await wait_all_tasks_blocked()
        nursery.start_soon(trio.sleep, 1)
        await client.send(text("a"), close())
        assert await socket.receive() == ["a"]
        assert await end(socket) == 1000


async def test_no_ping_behind_a_close(autojump_clock: MockClock) -> None:
    async with wire(WireLimits(ping_seconds=1, close_seconds=5)) as (client, socket):
        await socket.close()
        assert [first for first, _ in await client.frames()] == [0x88]


async def test_who_was_asked_is_not_given_up_behind_a_close(autojump_clock: MockClock) -> None:
    async with wire(LIMITS) as (client, socket), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def say_goodbye() -> None:
            assert await client.frame() == PING
            await trio.sleep(9.9)  # just before the pong is due
            nursery.start_soon(socket.close)
            assert (await client.frame())[0] == 0x88
            await trio.sleep(4)
            await client.send(close())

        with pytest.raises(Closed):
            await socket.receive()
    assert socket.clean
