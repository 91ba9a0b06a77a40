"""How our side ends a connection: close(), seal(), leaving the block, the hook."""

import pytest
import trio
from trio.testing import (
    MockClock,
    memory_stream_pair,
    wait_all_tasks_blocked,
)

from tests.support.echo import echo
from tests.support.frames import HEAD, PING, client_frame, close, closes, text
from tests.support.wires import SLOW, Client, both, closed, tcp_pair, wire
from trio_wss.wire import WireLimits
from trio_wss.wire.frames import text_frame


async def test_close_comes_behind_all_that_is_queued() -> None:
    async with wire() as (client, socket), trio.open_nursery() as nursery:
        socket.outbox.push(text_frame(b"last"))
        nursery.start_soon(socket.close, 4001, "why")
        assert await client.text() == "last"
        assert await client.frame() == (0x88, (4001).to_bytes(2) + b"why")
        await wait_all_tasks_blocked()
        clean_before = socket.clean
        await client.send(text("dropped"), PING, close(4001))
        assert await client.frames() == []
        assert (clean_before, socket.clean) == (False, True)
        assert (await closed(socket)).code == 4001


async def test_close_has_a_deadline(autojump_clock: MockClock) -> None:
    async with wire(WireLimits(close_seconds=5)) as (client, socket):
        start = trio.current_time()
        await client.send(text("not a close"))
        await socket.close(1012)
        assert trio.current_time() - start == pytest.approx(5)
        assert closes(await client.frames()) == [1012]


async def test_close_has_a_deadline_when_nothing_can_be_written() -> None:
    near, far = await tcp_pair()
    with trio.fail_after(5):
        async with wire(WireLimits(close_seconds=0.2), pair=(near, far)) as (_, socket):
            socket.outbox.push(text_frame(b"x" * 900_000))
            await socket.close()
            assert (await closed(socket)).code == 1000


async def test_close_ends_a_receive_in_another_task(autojump_clock: MockClock) -> None:
    for answer in (b"", close(4000), text("x")):
        async with wire() as (client, socket), trio.open_nursery() as nursery:
            nursery.start_soon(closed, socket)
            await wait_all_tasks_blocked()
            nursery.start_soon(socket.close, 4000)
            assert await client.frame() == (0x88, (4000).to_bytes(2))
            await client.send(answer)


async def test_close_finds_a_close_that_was_not_read_yet() -> None:
    for early in (close(), text("a") + close(), SLOW + client_frame(0x01, b"a") + close()):
        async with wire(early=early) as (client, socket):
            if early.startswith(SLOW):
                await socket.receive()
            await socket.close(4000)
            assert socket.clean
            assert closes(await client.frames()) == [4000]


async def test_close_reads_on_when_the_reader_has_left(autojump_clock: MockClock) -> None:
    async with wire() as (client, socket), trio.open_nursery() as nursery:
        nursery.start_soon(closed, socket)
        await wait_all_tasks_blocked()
        nursery.start_soon(socket.close, 4000)
        await client.send(text("ends the reader: there is nothing more to receive"))
        await wait_all_tasks_blocked()
        start = trio.current_time()
        await client.send(close(4000))
        assert closes(await client.frames()) == [4000]
        assert trio.current_time() == start


async def test_a_close_that_is_cancelled_loses_nothing_that_is_queued() -> None:
    near, far = await tcp_pair()
    frame = text_frame(b"x" * 100_000)
    with trio.fail_after(5):
        async with wire(pair=(near, far)) as (client, socket), trio.open_nursery() as nursery:
            for _ in range(9):
                socket.outbox.push(frame)
            with trio.move_on_after(0):
                await socket.close(4000)
            received: list[tuple[int, bytes]] = []

            @nursery.start_soon
            async def read() -> None:
                received.extend([await client.frame() for _ in range(10)])
                await client.send(close(4000))

            await socket.close()
        assert [len(payload) for _, payload in received] == [100_000] * 9 + [2]
        assert socket.clean


@both
async def test_a_sealed_connection_answers_nothing(
    opening: bytes, autojump_clock: MockClock
) -> None:
    async with wire(early=opening) as (client, socket):
        assert await socket.receive() == ["ok"]
        socket.outbox.seal(4409, "replaced")
        socket.outbox.push(text_frame(b"late"))
        socket.outbox.seal(1000)
        start = trio.current_time()
        end = await closed(socket)
        assert (end.code, end.reason) == (4409, "replaced")
        assert trio.current_time() == start  # at once, though the peer has said nothing
        await client.send(PING, text("a"), close(4409))
        await socket.close()
        assert await client.frames() == [(0x88, (4409).to_bytes(2) + b"replaced")]


async def test_leaving_the_block_says_close() -> None:
    near, far = memory_stream_pair()
    client = Client(near)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, far, WireLimits())
        await client.send(HEAD, text("a"), close(1001))
        await client.head()
        assert await client.frames() == [(0x81, b"a"), (0x88, (1001).to_bytes(2))]


@pytest.mark.parametrize("leave", ["done", "fault", "cancelled"])
async def test_leaving_the_block_closes_and_leaves_no_task(leave: str) -> None:
    nurseries = list(trio.lowlevel.current_task().child_nurseries)
    near, far = await tcp_pair()
    hooked: list[bool] = []
    with trio.CancelScope() as scope:
        try:
            async with wire(pair=(near, far)) as (client, socket):
                socket.before_close(lambda: hooked.append(True))
                if leave == "fault":
                    raise ZeroDivisionError
                if leave == "cancelled":
                    scope.cancel()
                    await trio.lowlevel.checkpoint()
        except* ZeroDivisionError:
            assert leave == "fault"
    assert hooked == [True]
    assert trio.lowlevel.current_task().child_nurseries == nurseries
    if leave != "done":
        async with near:
            assert closes(await client.frames()) == [1001]


async def test_the_hook_is_called_before_the_close_in_the_same_step() -> None:
    near, far = await tcp_pair()
    seen: list[tuple[bool, bool]] = []
    async with wire(pair=(near, far)) as (client, socket):
        socket.before_close(lambda: seen.append((far.socket.fileno() >= 0, socket.outbox.detached)))
        await client.send(close())
        await closed(socket)
        await socket.close()
        assert seen == [(True, False)]
        assert far.socket.fileno() < 0
        socket.before_close(lambda: seen.append((False, False)))
        assert len(seen) == 2  # too late: called at once
