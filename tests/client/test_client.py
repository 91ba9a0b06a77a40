"""trio_wss/client/client.py with one connection, to a real WebSocket server that follows a script.

One answer per id, in whatever order they come; bounds, deadlines and losses by their types.
"""

from functools import partial
from typing import Any

import pytest
import trio

from tests.support.peer import Peer, echo, server
from trio_wss.client import (
    Answer,
    ConnectionLost,
    Event,
    EventError,
    FellBehind,
    OutcomeUnknown,
)
from trio_wss.client import connect as connect_for_good
from trio_wss.client.pending import MAX_UNANSWERED

connect = partial(connect_for_good, reconnect=False)


async def test_an_answer_comes_to_its_event() -> None:
    async with server(echo) as url, connect(url) as client:
        assert client.welcome.session == "s1"
        assert await client.send("say", {"n": 1}) == Answer("ok", {"n": 1})
        assert await client.send("say") == Answer("ok", None)
        assert repr(client) == "<Client s1: open, 0 unanswered>"


async def test_ids_go_on_from_the_last_of_the_session() -> None:
    seen: list[int] = []

    async def note(peer: Peer) -> None:
        while True:
            frame = await peer.take()
            seen.append(frame["id"])
            await peer.put(event="wss.ok", re=frame["id"])

    async with server(note) as url, connect(url) as client:
        for _ in range(3):
            await client.send("say")
    assert seen == [6, 7, 8]


async def test_answers_may_come_in_any_order() -> None:
    async def backwards(peer: Peer) -> None:
        got = [await peer.take() for _ in range(3)]
        for frame in reversed(got):
            await peer.put(event="ok", re=frame["id"], data=frame["data"])
        await peer.until_closed()

    async with server(backwards) as url, connect(url) as client:
        pending = [await client.submit("say", n) for n in range(3)]
        assert [p.number for p in pending] == [6, 7, 8]
        assert [(await p.answer()).data for p in pending] == [0, 1, 2]


async def test_submitted_events_go_out_in_order() -> None:
    order: list[Any] = []

    async def note(peer: Peer) -> None:
        while True:
            frame = await peer.take()
            order.append(frame["data"])
            await peer.put(event="ok", re=frame["id"])

    async with server(note) as url, connect(url) as client:
        pending = [await client.submit("say", n) for n in range(200)]
        await pending[-1].answer()
    assert order == list(range(200))


async def test_no_more_unanswered_than_the_protocol_allows() -> None:
    most = 0

    async def slow(peer: Peer) -> None:
        nonlocal most
        waiting: list[int] = []
        while True:
            with trio.move_on_after(0.05):
                waiting.append((await peer.take())["id"])
                continue
            most = max(most, len(waiting))
            for number in waiting:
                await peer.put(event="ok", re=number)
            waiting.clear()

    async with server(slow) as url, connect(url) as client, trio.open_nursery() as nursery:
        for n in range(MAX_UNANSWERED + 20):
            nursery.start_soon(client.send, "say", n)
    assert most == MAX_UNANSWERED


async def test_an_error_answer_is_raised_and_the_connection_goes_on() -> None:
    async def refuse_once(peer: Peer) -> None:
        frame = await peer.take()
        data = {"code": "not_your_turn", "message": "Wait for your turn."}
        await peer.put(event="wss.error", re=frame["id"], data=data)
        await echo(peer)

    async with server(refuse_once) as url, connect(url) as client:
        with pytest.raises(EventError) as caught:
            await client.send("move")
        assert caught.value.code == "not_your_turn"
        assert (await client.send("move", 1)).data == 1


async def test_post_has_no_id_and_waits_for_nothing() -> None:
    frames: list[Any] = []

    async def note(peer: Peer) -> None:
        frames.append(await peer.take())
        await peer.put(event="seen")

    async with server(note) as url, connect(url) as client:
        await client.post("say", 1)
        assert await client.receive() == Event("seen")
    assert frames == [{"event": "say", "data": 1}]


async def test_events_come_in_order_and_end_with_the_client() -> None:
    async def broadcast(peer: Peer) -> None:
        for n in (1, 2):
            await peer.put(event="said", topic="a", epoch="x", offset=n, data=n)
        await peer.until_closed()

    got = []
    async with server(broadcast) as url, connect(url) as client:
        async for event in client.events():
            got.append(event)
            if len(got) == 2:
                await client.close()
    assert got == [Event("said", n, "a", "x", n) for n in (1, 2)]


async def test_closing_under_a_flood_of_events() -> None:
    async def flood(peer: Peer) -> None:
        while True:
            await peer.put(event="said")

    async with server(flood) as url:
        for _ in range(20):
            async with connect(url, buffer=100_000) as client:
                await client.receive()


async def test_events_that_came_before_the_close_are_still_taken() -> None:
    async def leave(peer: Peer) -> None:
        await peer.put(event="bye")
        await peer.socket.aclose(4409, "replaced")

    async with server(leave) as url, connect(url) as client:
        events = client.events()
        assert await anext(events) == Event("bye")
        with pytest.raises(ConnectionLost) as caught:
            await anext(events)
        assert (caught.value.code, caught.value.reason) == (4409, "replaced")


async def test_a_closed_connection_tells_everyone_who_waits() -> None:
    async def leave(peer: Peer) -> None:
        await peer.take()
        await peer.socket.aclose(1012, "restart")

    async with server(leave) as url, connect(url) as client:
        with pytest.raises(OutcomeUnknown) as caught:
            await client.send("say")
        assert caught.value.code == 1012
        for attempt in (client.send, client.post):
            with pytest.raises(ConnectionLost) as lost:
                await attempt("say")
            assert type(lost.value) is ConnectionLost  # it was never sent
        assert "closed with 1012: restart" in repr(client)


async def test_a_vanished_server_is_a_loss_with_1006() -> None:
    async def vanish(peer: Peer) -> None:
        await peer.socket._stream.aclose()  # no close handshake: the socket is just gone

    async with server(vanish) as url, connect(url) as client:
        with pytest.raises(ConnectionLost) as caught:
            await client.receive()
        assert caught.value.code == 1006


async def test_a_deadline_passes_and_a_late_answer_does_no_harm() -> None:
    answer_now = trio.Event()

    async def late(peer: Peer) -> None:
        frame = await peer.take()
        await answer_now.wait()
        await peer.put(event="ok", re=frame["id"])
        await echo(peer)

    async with server(late) as url, connect(url) as client:
        with pytest.raises(trio.TooSlowError):
            await client.send("say", timeout=0.05)
        assert repr(client) == "<Client s1: open, 1 unanswered>"
        answer_now.set()
        assert (await client.send("say", 2)).data == 2
        assert repr(client) == "<Client s1: open, 0 unanswered>"


async def test_a_cancelled_send_never_cuts_a_frame() -> None:
    """The frame is far larger than a socket's buffer, and the connection still works after."""
    read_on = trio.Event()

    async def sleepy(peer: Peer) -> None:
        await read_on.wait()
        await echo(peer)

    async with server(sleepy) as url, connect(url) as client:
        for _ in range(20):
            with trio.move_on_after(0.01):
                await client.send("say", "x" * 900_000)
        read_on.set()
        assert (await client.send("say", 2)).data == 2


@pytest.mark.parametrize("ids", [[6, 6], [99]], ids=["answered twice", "never sent"])
async def test_exactly_one_answer_per_id(ids: list[int]) -> None:
    """Another answer is the server's fault: the connection is closed with 1002."""
    codes: list[int] = []

    async def wrong(peer: Peer) -> None:
        await peer.take()
        for number in ids:
            await peer.put(event="ok", re=number)
        codes.append(await peer.until_closed())

    async with server(wrong) as url, connect(url) as client:
        await client.submit("say")
        with pytest.raises(ConnectionLost, match="waits for none"):
            await client.receive()
    assert codes == [1002]


async def test_bad_json_from_the_server_ends_the_connection() -> None:
    async def babble(peer: Peer) -> None:
        await peer.socket.send_message("{")
        await peer.until_closed()

    async with server(babble) as url, connect(url) as client:
        with pytest.raises(ConnectionLost, match="not JSON"):
            await client.receive()


async def test_a_client_that_takes_no_events_is_told_so() -> None:
    codes: list[int] = []

    async def flood(peer: Peer) -> None:
        for n in range(11):
            await peer.put(event="said", data=n)
        codes.append(await peer.until_closed())

    async with server(flood) as url, connect(url, buffer=10) as client:
        with pytest.raises(OutcomeUnknown, match="10 events waited"):
            await client.send("say")
        assert [await client.receive() for _ in range(10)] == [Event("said", n) for n in range(10)]
        with pytest.raises(FellBehind, match="10 events waited"):
            await client.receive()
    assert codes == [1008]


async def test_a_client_without_a_buffer_keeps_no_events() -> None:
    async def flood(peer: Peer) -> None:
        for n in range(2000):
            await peer.put(event="said", data=n)
        await echo(peer)

    async with server(flood) as url, connect(url, buffer=0) as client:
        assert (await client.send("say", 1)).data == 1


async def test_data_that_is_no_json_costs_no_slot() -> None:
    async with server(echo) as url, connect(url) as client:
        for _ in range(MAX_UNANSWERED + 1):
            with pytest.raises(TypeError):
                await client.send("say", object())
        assert (await client.send("say", 1)).data == 1
