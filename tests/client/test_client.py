"""trio_wss/client/client.py. One connection, to a real WebSocket server that follows a script: one
answer per id, in whatever order they come; bounds, deadlines and losses by their types. Several, on
memory streams and a clock that jumps: what is sent again, what is known of it, and what is given to
the app once.
"""

from functools import partial
from itertools import chain, repeat
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.support.peer import (
    House,
    Peer,
    Street,
    echo,
    nothing,
    one_house,
    server,
    vanish,
    welcome,
)
from trio_wss.client import (
    Answer,
    Connected,
    ConnectionLost,
    Disconnected,
    Event,
    EventError,
    FellBehind,
    OutcomeUnknown,
    Ticket,
    connect,
)
from trio_wss.client.pending import MAX_UNANSWERED

connect_once = partial(connect, reconnect=False)


async def test_an_answer_comes_to_its_event() -> None:
    async with server(echo) as url, connect_once(url) as client:
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

    async with server(note) as url, connect_once(url) as client:
        for _ in range(3):
            await client.send("say")
    assert seen == [6, 7, 8]


async def test_answers_may_come_in_any_order() -> None:
    async def backwards(peer: Peer) -> None:
        got = [await peer.take() for _ in range(3)]
        for frame in reversed(got):
            await peer.put(event="ok", re=frame["id"], data=frame["data"])
        await peer.until_closed()

    async with server(backwards) as url, connect_once(url) as client:
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

    async with server(note) as url, connect_once(url) as client:
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

    async with server(slow) as url, connect_once(url) as client, trio.open_nursery() as nursery:
        for n in range(MAX_UNANSWERED + 20):
            nursery.start_soon(client.send, "say", n)
    assert most == MAX_UNANSWERED


async def test_an_error_answer_is_raised_and_the_connection_goes_on() -> None:
    async def refuse_once(peer: Peer) -> None:
        frame = await peer.take()
        data = {"code": "not_your_turn", "message": "Wait for your turn."}
        await peer.put(event="wss.error", re=frame["id"], data=data)
        await echo(peer)

    async with server(refuse_once) as url, connect_once(url) as client:
        with pytest.raises(EventError) as caught:
            await client.send("move")
        assert caught.value.code == "not_your_turn"
        assert (await client.send("move", 1)).data == 1


async def test_post_has_no_id_and_waits_for_nothing() -> None:
    frames: list[Any] = []

    async def note(peer: Peer) -> None:
        frames.append(await peer.take())
        await peer.put(event="seen")

    async with server(note) as url, connect_once(url) as client:
        await client.post("say", 1)
        assert await client.receive() == Event("seen")
    assert frames == [{"event": "say", "data": 1}]


async def test_events_come_in_order_and_end_with_the_client() -> None:
    async def broadcast(peer: Peer) -> None:
        for n in (1, 2):
            await peer.put(event="said", topic="a", epoch="x", offset=n, data=n)
        await peer.until_closed()

    got = []
    async with server(broadcast) as url, connect_once(url) as client:
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
            async with connect_once(url, buffer=100_000) as client:
                await client.receive()


async def test_events_that_came_before_the_close_are_still_taken() -> None:
    async def leave(peer: Peer) -> None:
        await peer.put(event="bye")
        await peer.socket.aclose(4409, "replaced")

    async with server(leave) as url, connect_once(url) as client:
        events = client.events()
        assert await anext(events) == Event("bye")
        with pytest.raises(ConnectionLost) as caught:
            await anext(events)
        assert (caught.value.code, caught.value.reason) == (4409, "replaced")


async def test_a_closed_connection_tells_everyone_who_waits() -> None:
    async def leave(peer: Peer) -> None:
        await peer.take()
        await peer.socket.aclose(1012, "restart")

    async with server(leave) as url, connect_once(url) as client:
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

    async with server(vanish) as url, connect_once(url) as client:
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

    async with server(late) as url, connect_once(url) as client:
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

    async with server(sleepy) as url, connect_once(url) as client:
        for _ in range(20):
            with trio.move_on_after(0.01):
                await client.send("say", "x" * 900_000)
        read_on.set()
        assert (await client.send("say", 2)).data == 2


async def test_a_client_that_takes_no_events_is_told_so() -> None:
    codes: list[int] = []

    async def flood(peer: Peer) -> None:
        for n in range(11):
            await peer.put(event="said", data=n)
        codes.append(await peer.until_closed())

    async with server(flood) as url, connect_once(url, buffer=10) as client:
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

    async with server(flood) as url, connect_once(url, buffer=0) as client:
        assert (await client.send("say", 1)).data == 1


async def test_data_that_is_no_json_costs_no_slot() -> None:
    async with server(echo) as url, connect_once(url) as client:
        for _ in range(MAX_UNANSWERED + 1):
            with pytest.raises(TypeError):
                await client.send("say", object())
        assert (await client.send("say", 1)).data == 1


# --- several connections

UNAVAILABLE = {"code": "unavailable", "message": "the outcome is not known"}


async def broadcast(peer: Peer, topic: str, *offsets: int, epoch: str = "x") -> None:
    for offset in offsets:
        await peer.put(event="said", topic=topic, epoch=epoch, offset=offset, data=offset)


async def joined(peer: Peer, topic: str, offset: int) -> None:
    data = {"topic": topic, "epoch": "x", "offset": offset, "recovered": True}
    await peer.put(event="wss.joined", data=data)


async def test_events_sent_while_it_is_away_wait_for_the_next_connection(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(peer: Peer) -> None:
        await (vanish(peer) if peer.number == 0 else echo(peer))

    async with one_house(monkeypatch, script) as (client, _):
        await client.receive()
        assert isinstance(await client.receive(), Disconnected)
        assert (await client.send("say", 1)).data == 1


async def test_each_broadcast_is_given_once_and_in_order(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(peer: Peer) -> None:
        await joined(peer, "a", 0 if peer.number == 0 else 3)
        if peer.number == 0:
            await broadcast(peer, "a", 1, 2, 2, 1, 3)
            await vanish(peer)
        await broadcast(peer, "a", 1, 3, 4, 4)
        await peer.put(event="moved", topic="a", data=0)  # a volatile one has no number
        await peer.put(event="moved", topic="a", data=0)
        await broadcast(peer, "a", 5)
        await nothing(peer)

    async with one_house(monkeypatch, script) as (client, _):
        found: list[int] = []
        while 5 not in found:
            match await client.receive():
                case Event("said" | "moved", data):
                    found.append(data)
    assert found == [1, 2, 3, 4, 0, 0, 5]


@pytest.mark.parametrize("resumed", [True, False, None])
async def test_wss_begin_is_the_first_word_after_a_resume_that_came_to_nothing(
    resumed: bool | None, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None: the session was not asked for, and the first frame is an event."""
    first: list[str] = []

    async def script(peer: Peer) -> None:
        if resumed is not None:
            await peer.take()
        await peer.put(**welcome(resumed=bool(resumed)))
        first.append((await peer.take())["event"])
        await nothing(peer)

    street = Street({"a": House(script, greet=False)})
    ticket = None if resumed is None else Ticket("t", {}, 5, 1)
    async with street.live(monkeypatch), connect("ws://a", resume=ticket) as client:
        await client.submit("say")
        await client.post("say")
        await wait_all_tasks_blocked()
    assert first == ["wss.begin" if resumed is False else "say"]


async def test_unavailable_until_the_callers_time_is_up(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    async def script(peer: Peer) -> None:
        while True:
            frame = await peer.take()
            taken.append(frame["id"])
            await peer.put(event="wss.error", re=frame["id"], data=UNAVAILABLE)

    async with one_house(monkeypatch, script) as (client, _):
        with pytest.raises(trio.TooSlowError):
            await client.send("say", timeout=10)
        count = len(taken)
        assert 4 < count < 12
        await trio.sleep(100)
        assert len(taken) == count  # nobody waits for it any more
        assert repr(client) == "<Client s1: open, 0 unanswered>"


async def test_unavailable_is_an_answer_where_there_is_one_connection(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(peer: Peer) -> None:
        frame = await peer.take()
        await peer.put(event="wss.error", re=frame["id"], data=UNAVAILABLE)
        await nothing(peer)

    async with one_house(monkeypatch, script, reconnect=False) as (client, _):
        with pytest.raises(EventError, match="unavailable"):
            await client.send("say")


@pytest.mark.parametrize("resumes", [True, False])
async def test_an_event_whose_time_is_up_while_there_is_no_connection_is_not_sent_again(
    resumes: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    async def script(peer: Peer) -> None:
        if peer.number == 0:
            await peer.take()
            return await peer.socket.aclose(1012, '{"retry": 5}')
        while True:
            frame = await peer.take()
            seen.append(frame["data"])
            await peer.put(event="ok", re=frame["id"])

    house = House(script, resumes=resumes)
    async with Street({"a": house}).live(monkeypatch), connect("ws://a") as client:
        with pytest.raises(trio.TooSlowError):
            await client.send("say", "late", timeout=1, again=True)
        await client.send("say", "next")
    assert seen == ["next"]


async def test_a_full_buffer_holds_the_server_back_and_loses_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server closes such a client in time; it goes on from where it was."""
    put = 0

    async def script(peer: Peer) -> None:
        nonlocal put
        first = 1
        if peer.resume is not None:
            first = peer.resume["topics"]["a"][1] + 1
        await joined(peer, "a", first - 1)
        if peer.number == 0:
            await broadcast(peer, "a", *range(first, 20))
            put = 19
            await peer.socket.aclose(1013, "too slow")
        await broadcast(peer, "a", *range(first, 31))
        await nothing(peer)

    async with one_house(monkeypatch, script, buffer=5, ping_interval=1, ping_timeout=1) as (
        client, house,
    ):  # fmt: skip
        await trio.sleep(1000)  # no ping is answered meanwhile, and that is not the server's fault
        assert len(house.requests) == 1
        found: list[int] = []
        while len(found) < 30:
            match await client.receive():
                case Event("said", data):
                    found.append(data)
            await trio.sleep(0.1)
        assert len(house.requests) == 2
    assert found == list(range(1, 31))


async def test_a_client_that_keeps_nothing_may_take_no_events(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(peer: Peer) -> None:
        await joined(peer, "a", 0)
        await broadcast(peer, "a", *range(1, 2000))
        await (vanish(peer) if peer.number == 0 else echo(peer))

    async with one_house(monkeypatch, script, buffer=0) as (client, _):
        assert (await client.send("say", 1)).data == 1


async def test_abandon_says_nothing_and_gives_what_resumes_the_session(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []
    resumes: list[Any] = []

    async def script(peer: Peer) -> None:
        resumes.append(peer.resume)
        await joined(peer, "a", 7)
        if peer.number == 0:
            await peer.take()
            codes.append(await peer.until_closed())
        else:
            await echo(peer)

    async with one_house(monkeypatch, script) as (client, _):
        pending = await client.submit("say")
        await wait_all_tasks_blocked()
        ticket = await client.abandon()
        with pytest.raises(OutcomeUnknown):
            await pending.answer()
        with pytest.raises(ConnectionLost, match="abandoned"):
            await client.send("say")
        assert len([event async for event in client.events()]) == 2
        async with connect("ws://a", resume=ticket) as other:
            assert other.state == Connected(True, "s1", "n1")
            assert (await other.submit("say")).number == 7  # one above all that were used
    assert codes == [1006]
    assert ticket == Ticket("t", {"a": ("x", 7)}, 6)
    assert resumes[1].pop("attempt") > 0
    assert resumes == [None, {"token": "t", "topics": {"a": ["x", 7]}}]


async def test_each_resume_is_another_attempt_whatever_the_clock_says(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[int] = []

    async def script(peer: Peer) -> None:
        if peer.resume is not None:
            attempts.append(peer.resume["attempt"])
        await peer.socket.aclose(1012)

    ticket = Ticket("t", {}, 6, 7000)
    times = chain([5.0, 5.0, 4.0], repeat(9.0))
    clock = SimpleNamespace(time=lambda: next(times))
    monkeypatch.setattr("trio_wss.client.client.time", clock)
    street = Street({"a": House(script)})
    async with street.live(monkeypatch), connect("ws://a", resume=ticket) as client:
        while len(attempts) < 5:
            await client.receive()
        assert client.ticket().attempt >= 9001
    assert attempts[:5] == [7001, 7002, 7003, 9000, 9001]


async def test_what_an_abandoned_client_had_no_room_for_is_the_others(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(peer: Peer) -> None:
        await joined(peer, "a", 0)
        await broadcast(peer, "a", *range(1, 10))
        await nothing(peer)

    async with one_house(monkeypatch, script, buffer=4) as (client, _):
        await wait_all_tasks_blocked()
        ticket = await client.abandon()
        kept = [event async for event in client.events()]
    assert isinstance(kept[-1], Event)
    assert ticket.topics == {"a": ("x", kept[-1].offset)}
    assert len(kept) == 4


async def test_no_secret_is_told(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(peer: Peer) -> None:
        await peer.put(**welcome(token="sesame"))
        await peer.socket.aclose(1012)

    secrets = {"headers": {"Cookie": "sesame"}, "query": {"key": "sesame"}}
    house = House(script, greet=False)
    street = Street({"a": house})
    async with street.live(monkeypatch):
        async with connect("ws://me:sesame@a/x?key=sesame", **secrets) as client:  # type: ignore[arg-type] # of all three
            told = [repr(client), repr(client.welcome), repr(client.ticket()), repr(client.state)]
            told += [str(await client.receive())]
            street.houses.clear()
            told += [str(await client.receive()) for _ in range(4)]
            told += [repr(client._reconnector._dialer)]
        with pytest.raises(Exception, match="cannot connect to ws://a/x: ") as caught:
            async with connect("ws://me:sesame@a/x?key=sesame"):
                raise AssertionError
        told.append(str(caught.value))
    assert "sesame" not in " ".join(told)
    assert "ws://a/x" in " ".join(told)


# --- every event is settled


@pytest.mark.parametrize("reconnect", [True, False])
async def test_two_events_that_get_no_answer_do_not_hold_up_the_hundred_behind_them(
    reconnect: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(peer: Peer) -> None:
        while True:
            frame = await peer.take()
            if frame["event"] == "bad":
                await peer.put(event="wss.error", data={"code": "invalid", "message": "no"})
            else:
                await peer.put(event="ok", re=frame["id"], data=frame["data"])

    async with one_house(monkeypatch, script, reconnect=reconnect) as (client, house):
        bad = [await client.submit("bad") for _ in range(2)]
        good = [await client.submit("say", n) for n in range(100)]
        assert [(await one.answer()).data for one in good] == list(range(100))
        for one in bad:
            with pytest.raises(OutcomeUnknown, match="gives this event no answer"):
                await one.answer()
        assert len(house.requests) == 1
        assert trio.current_time() < 60


async def test_the_last_event_is_settled_too_if_only_pongs_come(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(peer: Peer) -> None:
        await peer.take()
        await trio.sleep(100)
        await peer.put(event="ok", re=6)  # too late, and no fault
        await echo(peer)

    async with one_house(monkeypatch, script) as (client, house):
        pending = await client.submit("say")
        with pytest.raises(OutcomeUnknown):
            await pending.answer()
        assert 60 <= trio.current_time() <= 80
        assert (await client.send("say", 1, timeout=60)).data == 1
        assert len(house.requests) == 1


async def test_answers_that_wait_behind_a_full_buffer_are_not_overdue(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(peer: Peer) -> None:
        numbers = [(await peer.take())["id"] for _ in range(2)]
        for _ in range(10):
            await peer.put(event="tick")
        for number in numbers:
            await peer.put(event="ok", re=number)
        await nothing(peer)

    async with one_house(monkeypatch, script, buffer=1) as (client, _):
        pending = [await client.submit("say") for _ in range(2)]
        await trio.sleep(1000)
        for _ in range(11):
            await client.receive()
        assert [await one.answer() for one in pending] == [Answer("ok")] * 2


@pytest.mark.parametrize("call", ["send", "submit", "post"])
@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("say", float("nan")), ("say", "\ud83d"), ("say", 2**64), ("say", object()),
        (5, 1), ("say\ud83d", 1), ("wss.ping", None), (None, None),
    ],
)  # fmt: skip
async def test_what_cannot_be_sent_is_a_type_error_and_the_client_goes_on(
    call: str, event: Any, data: Any, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one_house(monkeypatch, echo) as (client, _):
        for _ in range(100):
            with pytest.raises(TypeError):
                await getattr(client, call)(event, data)
        pending = await client.submit("say", 1)
        assert (pending.number, (await pending.answer()).data) == (6, 1)
