"""The outbox over real sockets, where it writes by itself, and over streams, where it cannot."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from tests.support.frames import closes
from tests.support.wires import Client, tcp_pair
from trio_wss.wire import Outbox, WireLimits
from trio_wss.wire.frames import text_frame

FRAME = text_frame(b"x" * 998)  # 1002 bytes


@frozen
class Owner:
    """Closes its socket when the writer fails."""

    outbox: Outbox
    stream: trio.abc.Stream
    nursery: trio.Nursery

    def start_writer(self) -> None:
        self.nursery.start_soon(self._write)

    async def _write(self) -> None:
        await self.outbox.run()
        if self.outbox.failed:
            self.outbox.detach()
            await trio.aclose_forcefully(self.stream)


@asynccontextmanager
async def outbox_over(
    pair: tuple[trio.abc.Stream, trio.abc.Stream], limits: WireLimits | None = None
) -> AsyncIterator[tuple[Outbox, Client]]:
    """An outbox with a writer task when it needs one; the socket is closed when that fails."""
    near, far = pair
    outbox = Outbox(far, limits or WireLimits(), lambda outbox: None)
    async with near, far, trio.open_nursery() as nursery:
        outbox.owner = Owner(outbox, far, nursery)
        yield outbox, Client(near)
        outbox.detach()


def fill(outbox: Outbox, frame: bytes = FRAME) -> None:
    """Push and flush until the socket takes no more."""
    while not outbox.size:
        outbox.push(frame)
        outbox.flush()


async def test_push_is_memory_only_and_says_once_that_it_is_dirty() -> None:
    dirty: list[Outbox] = []
    near, far = await tcp_pair()
    async with near, far:
        outbox = Outbox(far, WireLimits(), dirty.append)
        outbox.push(b"\x81\x01a")
        outbox.push(b"\x81\x01b")
        assert (dirty, outbox.dirty, outbox.size) == ([outbox], True, 6)
        with trio.move_on_after(0.01):
            assert not await near.receive_some()
        outbox.flush()
        assert (outbox.dirty, outbox.size) == (False, 0)
        assert await near.receive_some() == b"\x81\x01a\x81\x01b"
        outbox.push(b"\x81\x01c")
        assert len(dirty) == 2


async def test_flush_leaves_to_the_writer_what_the_socket_does_not_take() -> None:
    with trio.fail_after(5):
        async with outbox_over(await tcp_pair()) as (outbox, client):
            fill(outbox)
            for _ in range(500):
                outbox.push(FRAME)
                outbox.flush()  # the writer is at it: no second writer
            async with trio.open_nursery() as nursery:
                nursery.start_soon(outbox.sent)
                got = [await client.frame() for _ in range(501)]
            assert set(got) == {(0x81, b"x" * 998)}
            assert outbox.size == 0
            outbox.push(text_frame(b"direct"))
            outbox.flush()
            assert outbox.size == 0


async def test_other_streams_are_written_by_the_writer_alone() -> None:
    near, far = lockstep_stream_pair()
    async with outbox_over((near, far)) as (outbox, client):
        outbox.push(text_frame(b"a"))
        outbox.flush()
        await wait_all_tasks_blocked()
        assert outbox.size == 3  # in send_all
        outbox.push(text_frame(b"b"))
        outbox.flush()
        assert [await client.text(), await client.text()] == ["a", "b"]
        await wait_all_tasks_blocked()
        assert outbox.size == 0


@pytest.mark.parametrize("pushes", ["frames", "joined", "mixed"])
async def test_who_falls_behind_keeps_the_frame_begun_and_gets_1013(pushes: str) -> None:
    """Whatever was pushed, whole frames come out, then the Close, and nothing else."""
    limits = WireLimits(outbox_bytes=60_000)
    sizes = [998, 3, 30_000] if pushes == "mixed" else [998]
    frames = [text_frame(b"x" * size) for size in sizes]
    item = [b"".join(frames * 20)] if pushes == "joined" else frames
    with trio.fail_after(5):
        async with outbox_over(await tcp_pair(), limits) as (outbox, client):
            count = 0
            while not outbox.sealed:
                outbox.push(item[count % len(item)])
                outbox.flush()
                assert outbox.size <= outbox.limit
                count += 1
            left = outbox.size
            assert left <= max(sizes) + 50  # the rest of one frame, and the Close
            outbox.push(FRAME)
            assert outbox.size == left
            got: list[tuple[int, bytes]] = []
            while not got or got[-1][0] != 0x88:
                got.append(await client.frame())
            assert {len(payload) for _, payload in got[:-1]} <= set(sizes)
            assert closes(got) == [1013]


async def test_falling_behind_on_another_stream_keeps_what_is_in_send_all() -> None:
    near, far = lockstep_stream_pair()
    async with outbox_over((near, far), WireLimits(outbox_bytes=5000)) as (outbox, client):
        outbox.push(FRAME)
        outbox.flush()
        await wait_all_tasks_blocked()
        for _ in range(5):
            outbox.push(FRAME)
        assert outbox.sealed
        assert await client.frame() == (0x81, b"x" * 998)
        assert closes([await client.frame()]) == [1013]


async def test_a_single_item_over_the_bound_is_let_through_when_all_else_is_out() -> None:
    with trio.fail_after(5):
        limits = WireLimits(outbox_bytes=100_000)
        async with outbox_over(await tcp_pair(), limits) as (outbox, client):
            outbox.push(text_frame(b"x" * 900_000))
            outbox.flush()
            sealed = [outbox.sealed]
            outbox.push(FRAME)
            sealed.append(outbox.sealed)
            assert sealed == [False, True]
            assert (await client.frame())[1] == b"x" * 900_000
            assert closes([await client.frame()]) == [1013]


async def test_a_frame_that_goes_out_in_many_pieces_stays_whole() -> None:
    with trio.fail_after(5):
        limits = WireLimits(outbox_bytes=1_000_000)
        async with outbox_over(await tcp_pair(), limits) as (outbox, client):
            big = bytes(i & 255 for i in range(900_000))
            outbox.push(text_frame(b"first") + text_frame(big))
            outbox.flush()
            for size in range(100_000, 500_000, 100_000):
                await client.need(size)
                await wait_all_tasks_blocked()
            for _ in range(900):
                outbox.push(FRAME)
            assert outbox.sealed
            assert await client.text() == "first"
            assert (await client.frame())[1] == big
            assert closes([await client.frame()]) == [1013]


async def test_a_close_seals() -> None:
    async with outbox_over(memory_stream_pair()) as (outbox, client):
        outbox.push(text_frame(b"a"))
        outbox.seal(4000, "first")
        outbox.seal(4001, "second")
        outbox.push(text_frame(b"late"))
        outbox.flush()
        assert await client.text() == "a"
        assert await client.frame() == (0x88, b"\x0f\xa0first")
        assert (outbox.code, outbox.reason) == (4000, "first")


async def test_a_seal_gives_the_socket_so_long_and_no_longer(autojump_clock: MockClock) -> None:
    async with outbox_over(memory_stream_pair(), WireLimits(close_seconds=5)) as (outbox, client):
        start = trio.current_time()
        outbox.seal(1000)
        await client.frames()
        assert trio.current_time() - start == pytest.approx(5)
        assert outbox.detached


async def test_a_client_that_takes_nothing_is_given_up(autojump_clock: MockClock) -> None:
    near, far = lockstep_stream_pair()
    async with outbox_over((near, far), WireLimits(stall_seconds=20)) as (outbox, _):
        outbox.push(FRAME)
        outbox.flush()
        start = trio.current_time()
        with pytest.raises(trio.BrokenResourceError):
            await outbox.sent()
        assert trio.current_time() - start == pytest.approx(20)


async def test_a_socket_closed_under_load_never_writes_to_its_successor() -> None:
    near, far = await tcp_pair()
    with trio.fail_after(5):
        async with near, outbox_over((near, far)) as (outbox, _):
            fill(outbox)
            fd = far.socket.fileno()
            outbox.detach()
            await far.aclose()
            successor_near, successor_far = await tcp_pair()
            async with successor_near, successor_far:
                if fd not in (successor_near.socket.fileno(), successor_far.socket.fileno()):
                    os.dup2(successor_far.socket.fileno(), fd)
                for _ in range(3):
                    outbox.push(FRAME)
                    outbox.flush()
                    outbox.seal(1000)
                    await wait_all_tasks_blocked()
                assert outbox.size == 0
                await successor_far.send_all(b"own")
                assert await successor_near.receive_some() == b"own"
                if fd not in (successor_near.socket.fileno(), successor_far.socket.fileno()):
                    os.close(fd)


async def test_a_peer_that_is_gone_ends_the_writer() -> None:
    with trio.fail_after(5):
        near, far = await tcp_pair()
        async with outbox_over((near, far)) as (outbox, _):
            fill(outbox)
            await near.aclose()
            with pytest.raises(trio.BrokenResourceError):
                await outbox.sent()
        near, far = await tcp_pair()
        async with outbox_over((near, far)) as (outbox, _):
            await near.aclose()
            while not outbox.detached:
                outbox.push(FRAME)
                outbox.flush()
                await wait_all_tasks_blocked()
        async with outbox_over(memory_stream_pair()) as (outbox, client):
            await client.stream.aclose()
            outbox.push(FRAME)
            outbox.flush()
            with pytest.raises(trio.BrokenResourceError):
                await outbox.sent()


async def test_room_is_less_than_half_of_the_bound() -> None:
    near, far = lockstep_stream_pair()
    async with outbox_over((near, far), WireLimits(outbox_bytes=4000)) as (outbox, client):
        await outbox.room()
        outbox.push(FRAME)
        outbox.push(FRAME)
        outbox.flush()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outbox.room)
            await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1
            await client.frame()
            await client.frame()
        outbox.push(FRAME + FRAME)
        outbox.flush()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outbox.room)
            await wait_all_tasks_blocked()
            outbox.fail()  # nothing will ever be out: nobody may wait for it


async def test_sent_returns_when_what_it_waits_for_is_dropped() -> None:
    near, far = lockstep_stream_pair()
    async with outbox_over((near, far), WireLimits(outbox_bytes=4000)) as (outbox, client):
        for _ in range(3):
            outbox.push(FRAME)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outbox.sent)
            await wait_all_tasks_blocked()
            outbox.push(FRAME)
        assert closes([await client.frame()]) == [1013]
