"""trio_wss/client/connection.py: how a server that is gone is found, and what may take its time."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock
from trio_websocket import WebSocketConnection
from wsproto.events import Ping

from tests.support.peer import House, Peer, Script, Street, echo, nothing
from trio_wss.client import (
    Client,
    Connected,
    Disconnected,
    Event,
    OutcomeUnknown,
    TooLong,
    connect,
)
from trio_wss.client.connection import CLOSE_TIMEOUT


@asynccontextmanager
async def one_house(
    patch: pytest.MonkeyPatch, script: Script, **options: Any
) -> AsyncIterator[Client]:
    async with Street({"a": House(script)}).live(patch), connect("ws://a", **options) as client:
        yield client


async def hang(peer: Peer) -> None:
    """Be there, and take nothing more: what is seen of a machine whose cable was cut."""
    await peer.take()
    await trio.sleep_forever()


class Pongs:
    """What servers answer pings with; they may fall silent."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.come = True
        answer = WebSocketConnection._handle_ping_event

        async def handle(socket: WebSocketConnection, ping: Ping) -> None:
            if self.come:
                await answer(socket, ping)

        patch.setattr(WebSocketConnection, "_handle_ping_event", handle)


async def test_a_server_that_answers_pings_is_left_alone(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one_house(monkeypatch, nothing, ping_interval=5, ping_timeout=2) as client:
        await trio.sleep(1000)
        assert isinstance(client.state, Connected)
        await client.receive()
        with trio.move_on_after(0) as scope:
            await client.receive()
        assert scope.cancelled_caught  # nothing else has happened


async def test_a_server_that_answers_no_ping_is_left(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """trio-websocket's reader stands still while its one message is not taken."""

    async def script(peer: Peer) -> None:
        await (hang(peer) if peer.number == 0 else echo(peer))

    async with one_house(monkeypatch, script, ping_interval=5, ping_timeout=2) as client:
        pending = [await client.submit("say", n) for n in range(4)]
        await client.receive()
        state = await client.receive()
        assert isinstance(state, Disconnected)
        assert (state.code, state.reason) == (1006, "the server answers no ping")
        assert trio.current_time() == 4  # an answer was due, so it was asked after 2 s
        assert [(await one.answer()).data for one in pending] == [0, 1, 2, 3]
        assert isinstance(client.state, Connected)


async def test_a_server_that_is_heard_may_answer_pings_late(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it sends may stand before its pong, on a slow line."""

    async def script(peer: Peer) -> None:
        await peer.take()
        for _ in range(100):
            await peer.put(event="tick")
            await trio.sleep(1)
        await hang(peer)

    async with one_house(monkeypatch, script, ping_interval=5, ping_timeout=2) as client:
        for _ in range(4):
            await client.post("say")
        ticks = [await client.receive() for _ in range(101)]
        assert ticks[1:] == [Event("tick")] * 100
        state = await client.receive()
        assert isinstance(state, Disconnected)
        assert trio.current_time() == 99 + 5 + 2


async def test_a_long_message_on_a_slow_line_is_a_sign_of_life(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = b'{"event":"long","data":"' + b"x" * 60_000 + b'"}'

    async def script(peer: Peer) -> None:
        await trio.testing.wait_all_tasks_blocked()
        frame = b"\x81\x7e" + len(text).to_bytes(2) + text
        for at in range(0, len(frame), 1000):
            await peer.socket._stream.send_all(frame[at : at + 1000])
            await trio.sleep(1)
        await nothing(peer)

    async with one_house(monkeypatch, script, ping_interval=5, ping_timeout=2) as client:
        for _ in range(4):  # what the server does not take keeps it from seeing pings
            await client.post("say")
        await client.receive()
        event = await client.receive()
        assert isinstance(event, Event)
        assert len(event.data) == 60_000
        assert 59 <= trio.current_time() <= 61


def slow_line(patch: pytest.MonkeyPatch, seconds: Callable[[int], float]) -> None:
    """Long messages go out in pieces of 1,000 bytes; each takes so many seconds, by its number."""
    number = count(1)
    send_all = trio.testing.MemorySendStream.send_all

    async def send_slowly(stream: trio.testing.MemorySendStream, data: Any) -> None:
        if len(data) == 1000:
            await trio.sleep(seconds(next(number)))
        await send_all(stream, data)

    patch.setattr("trio_wss.client.transport.PIECE", 1000)
    patch.setattr(trio.testing.MemorySendStream, "send_all", send_slowly)


async def test_a_server_that_takes_a_long_message_slowly_is_there(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ping would wait behind the message."""
    slow_line(monkeypatch, lambda _: 1.0)
    async with one_house(monkeypatch, echo, ping_interval=5, ping_timeout=2) as client:
        answer = await client.send("say", "x" * 30_000, timeout=60)
        assert len(answer.data) == 30_000
        assert isinstance(client.state, Connected)
        assert 30 <= trio.current_time() <= 32


async def test_a_server_that_takes_no_more_of_a_long_message_is_left(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_line(monkeypatch, lambda number: 1.0 if number <= 10 else 1000.0)
    async with one_house(monkeypatch, nothing, ping_interval=5, ping_timeout=2) as client:
        await client.submit("say", "x" * 60_000)
        await client.receive()
        state = await client.receive()
        assert isinstance(state, Disconnected)
        assert (state.code, state.reason) == (1006, "the server answers no ping")
        assert 10 + 2 <= trio.current_time() <= 10 + 5 + 2


@pytest.mark.parametrize("period", [0.3, 0.7, 1.5, 2.5])
async def test_silence_counts_from_what_was_heard_last_whatever_is_sent(
    period: float, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 0:
            await peer.put(event="ok", re=(await peer.take())["id"])
            while True:  # it reads, so that pings are seen; only nothing comes back
                await peer.take()
        await echo(peer)

    pongs = Pongs(monkeypatch)
    async with one_house(monkeypatch, script, ping_interval=1, ping_timeout=2) as client:
        await client.send("say")
        pongs.come = False
        async with trio.open_nursery() as nursery:

            async def chatter() -> None:
                while True:
                    await client.post("say")
                    await trio.sleep(period)

            nursery.start_soon(chatter)
            with trio.move_on_after(10):
                while not isinstance(await client.receive(), Disconnected):
                    pass
            assert trio.current_time() == 3
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("last", [0.5, 1.1, 2.9])
async def test_what_was_heard_behind_a_ping_buys_no_time_of_its_own(
    last: float, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(peer: Peer) -> None:
        await trio.sleep(last)
        await peer.put(event="tick")
        await peer.until_closed()

    Pongs(monkeypatch).come = False
    async with one_house(monkeypatch, script, ping_interval=1, ping_timeout=2) as client:
        for _ in range(2):
            await client.receive()
        assert isinstance(await client.receive(), Disconnected)
        assert trio.current_time() == pytest.approx(last + 3)


async def test_a_buffer_that_was_full_until_now_is_not_the_servers_silence(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It becomes full just behind a ping, and has room again just before its time is up."""

    async def script(peer: Peer) -> None:
        await trio.sleep(1.1)
        for _ in range(3):
            await peer.put(event="tick")
        await trio.sleep(4.9)
        await peer.put(event="tick")
        await peer.until_closed()

    Pongs(monkeypatch).come = False
    async with one_house(monkeypatch, script, ping_interval=1, ping_timeout=2, buffer=1) as client:
        await client.receive()
        await trio.sleep(4.9)
        for _ in range(4):
            assert await client.receive() == Event("tick")
        assert trio.current_time() == 6
        assert isinstance(client.state, Connected)


async def test_a_program_that_was_busy_reads_first_what_came_meanwhile(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    Pongs(monkeypatch).come = False
    street = Street({"a": House(nothing)})
    for _ in range(10):  # the order of tasks is random
        async with street.live(monkeypatch), connect("ws://a") as client:
            await trio.sleep(21)  # a ping is out
            end = street.open[-1]
            assert isinstance(end, trio.StapledStream)
            end.receive_stream.put_data(b'\x81\x10{"event":"tick"}')
            autojump_clock.jump(10)
            await client.receive()
            assert await client.receive() == Event("tick")
            assert isinstance(client.state, Connected)


@pytest.mark.parametrize("reconnect", [True, False])
async def test_a_message_that_is_too_long_for_us_ends_the_client(
    reconnect: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would come again at each resume; and none of our events is to blame."""
    codes: list[int] = []

    async def script(peer: Peer) -> None:
        await peer.take()
        await peer.put(event="said", data="x" * 2000)
        codes.append(await peer.until_closed())

    options = {"max_message": 1000, "reconnect": reconnect}
    async with one_house(monkeypatch, script, **options) as client:
        pending = await client.submit("say", "x" * 5000)
        with pytest.raises(OutcomeUnknown):
            await pending.answer()
        with pytest.raises(TooLong, match="1009: the server sent a message of over 1000 bytes"):
            async for _ in client.events():
                pass
    assert codes == [1009]


async def test_closing_where_nobody_answers_has_a_deadline(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one_house(monkeypatch, hang) as client:
        for _ in range(4):
            await client.post("say")
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        await client.close()
        assert trio.current_time() - began == CLOSE_TIMEOUT
        assert client.state == Disconnected(1000, "", None)


async def test_a_server_whose_close_meets_ours(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(peer: Peer) -> None:
        await peer.take()
        await peer.socket.aclose(1012)

    for _ in range(50):
        async with one_house(monkeypatch, script) as client:
            await client.post("say")
    assert trio.current_time() == 0


async def test_a_ping_that_comes_behind_our_close(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """trio-websocket fails to answer it; the connection is at its end anyway."""
    closing = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.take()
        await closing.wait()
        await peer.socket._stream.send_all(b"\x89\x00" * 3)
        await peer.until_closed()

    async with one_house(monkeypatch, script) as client, trio.open_nursery() as nursery:
        for _ in range(4):
            await client.post("say")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(client.close)
        await trio.testing.wait_all_tasks_blocked()
        closing.set()
    assert client.state == Disconnected(1000, "", None)
