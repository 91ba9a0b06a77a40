"""Clients that read slowly, or not at all, over real sockets."""

import trio
from trio.testing import (
    lockstep_stream_pair,
    wait_all_tasks_blocked,
)

from tests.support.frames import PING, close, closes
from tests.support.wires import closed, tcp_pair, wire
from trio_wss.wire import WireLimits
from trio_wss.wire.frames import text_frame


async def test_a_slow_reader_that_pings_does_no_harm() -> None:
    near, far = await tcp_pair()
    frame = text_frame(b"x" * 10_000)
    with trio.fail_after(10):
        async with wire(pair=(near, far)) as (client, socket), trio.open_nursery() as nursery:
            for _ in range(60):
                socket.outbox.push(frame)
            socket.outbox.flush()

            @nursery.start_soon
            async def node() -> None:
                await closed(socket)

            for _ in range(100):
                await client.send(PING)
            await client.send(close())
            frames = await client.frames()
    assert [first for first, _ in frames] == [0x81] * 60 + [0x8A] * 100 + [0x88]


async def test_a_ping_that_cannot_be_answered_yet_holds_the_reading_up() -> None:
    async with (
        wire(pair=lockstep_stream_pair()) as (client, socket),
        trio.open_nursery() as nursery,
    ):
        socket.outbox.push(text_frame(b"not read"))
        socket.outbox.flush()
        nursery.start_soon(closed, socket)
        sent: list[bytes] = []

        @nursery.start_soon
        async def ping() -> None:
            for _ in range(5):
                await client.send(PING)
                sent.append(PING)
            await client.send(close())

        await wait_all_tasks_blocked()
        assert sent == [PING]
        assert [first for first, _ in await client.frames()] == [0x81, *[0x8A] * 5, 0x88]


async def test_a_client_that_stops_reading_gets_1013_and_its_outbox_stays_bounded() -> None:
    near, far = await tcp_pair()
    limits = WireLimits(outbox_bytes=100_000, close_seconds=0.3)
    frame = text_frame(b"x" * 997)
    with trio.fail_after(10):
        async with wire(limits, pair=(near, far)) as (_, socket):
            outbox = socket.outbox
            for _ in range(5000):
                outbox.push(frame)
                outbox.flush()
                assert outbox.size <= outbox.limit
            assert outbox.sealed
            end = await closed(socket)
            assert (end.code, end.clean) == (1013, False)
            await socket.close()  # the client says nothing: it is aborted
            assert outbox.size == 0


async def test_a_client_that_reads_again_in_time_sees_whole_frames_and_1013() -> None:
    near, far = await tcp_pair()
    frame = text_frame(b"x" * 997)
    with trio.fail_after(10):
        async with wire(WireLimits(outbox_bytes=50_000), pair=(near, far)) as (client, socket):
            while not socket.outbox.sealed:
                socket.outbox.push(frame)
                socket.outbox.flush()
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def read() -> None:
                    *data, last = [await client.frame() for _ in range(1)]
                    while last[0] != 0x88:
                        data.append(last)
                        last = await client.frame()
                    assert set(data) == {(0x81, b"x" * 997)}
                    assert closes([last]) == [1013]
                    await client.send(close(1013))

                assert (await closed(socket)).code == 1013
                await socket.close()
            assert socket.clean
