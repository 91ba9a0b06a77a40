"""Every event of the Python client is settled, whatever comes: what cannot be sent, what is too
big, and what gets no answer."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.support.peer import Peer, echo, nothing, one_house, vanish, welcome
from trio_wss.client import Answer, Disconnected, EventError, OutcomeUnknown


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


async def test_after_1009_it_comes_back_without_the_largest_event(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, str]] = []

    async def script(peer: Peer) -> None:
        while True:
            frame = await peer.take()
            if len(frame["data"]) > 1000:
                return await peer.socket.aclose(1009, "too big")
            seen.append((frame["id"], frame["data"]))
            if peer.number > 0:
                await peer.put(event="ok", re=frame["id"], data=frame["data"])

    async with one_house(monkeypatch, script) as (client, house):
        pending = [await client.submit("say", text) for text in ("a", "x" * 2000, "b")]
        for one, text in ((pending[0], "a"), (pending[2], "b")):
            assert (await one.answer()).data == text
        with pytest.raises(EventError) as caught:
            await pending[1].answer()
        assert caught.value.code == "invalid"
        assert len(house.requests) == 2
    assert seen == [(6, "a"), (6, "a"), (8, "b")]


async def test_1009_before_a_welcome_ends_it(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 0:
            await peer.put(**welcome())
            await peer.take()
            await vanish(peer)
        await peer.socket.aclose(1009)

    async with one_house(monkeypatch, script, greet=False) as (client, _):
        with pytest.raises(OutcomeUnknown):
            await client.send("say")
        assert client.state == Disconnected(1009, client.state.reason, None)  # type: ignore[union-attr] # it is one


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
