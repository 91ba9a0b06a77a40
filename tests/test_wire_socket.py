"""A connection from its first message to its close, over memory streams and real sockets."""

import pytest
import trio
from trio.testing import (
    MockClock,
    lockstep_stream_pair,
    memory_stream_pair,
    wait_all_tasks_blocked,
)

from tests.echo import echo
from tests.frames import HEAD, client_frame, close, closes, text
from tests.wires import Client, tcp_pair, wire
from trio_wss.wire import Closed, WebSocket, WireLimits
from trio_wss.wire.frames import text_frame

PING = client_frame(0x89, b"p")
PONG = (0x8A, b"p")
FAST = text("ok")
SLOW = client_frame(0x01, b"o") + client_frame(0x80, b"k")
both = pytest.mark.parametrize("opening", [FAST, SLOW], ids=["fast", "slow"])


async def closed(socket: WebSocket) -> Closed:
    """How the connection ended; fails on a message."""
    with pytest.raises(Closed) as caught:
        await socket.receive()
    return caught.value


# --- messages


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


# --- closing: ours


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


async def test_a_sealed_connection_answers_nothing(autojump_clock: MockClock) -> None:
    async with wire() as (client, socket):
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


# --- slow readers


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
