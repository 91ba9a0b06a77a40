"""trio_wss/client/reconnect.py through `connect`, on memory streams and a clock that jumps: where a
client goes, how long it waits, and when it gives up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.support.peer import House, Peer, Script, Street, nothing, welcome
from trio_wss.client import (
    Client,
    Connected,
    ConnectError,
    ConnectionLost,
    Disconnected,
    Event,
    GaveUp,
    State,
    connect,
)


@pytest.fixture
def full_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chance has no say: each wait is as long as it may be."""
    monkeypatch.setattr("random.uniform", lambda low, high: high)


@asynccontextmanager
async def street(patch: pytest.MonkeyPatch, **scripts: Script | House) -> AsyncIterator[Street]:
    houses = {name: one if isinstance(one, House) else House(one) for name, one in scripts.items()}
    town = Street(houses)
    async with town.live(patch):
        yield town


def leaves(*codes: int | tuple[int, str]) -> Script:
    """Connections in turn are closed with these codes, later ones stay. Code 0: with none."""
    left = list(codes)

    async def script(peer: Peer) -> None:
        code = left.pop(0) if left else None
        if code is None:
            await peer.until_closed()
        elif code == 0:
            await peer.socket._stream.aclose()
        elif isinstance(code, tuple):
            await peer.socket.aclose(*code)
        else:
            await peer.socket.aclose(code)

    return script


async def states(client: Client, count: int) -> list[State | Event]:
    return [await client.receive() for _ in range(count)]


async def rest(client: Client) -> list[State | Event]:
    """Everything that comes until the end."""
    found = []
    with pytest.raises(ConnectionLost):  # noqa: PT012 - after some events
        while True:
            found.append(await client.receive())
    return found


HERE = Connected(False, "s1", "n1")
BACK = Connected(True, "s1", "n1")


@pytest.mark.usefixtures("full_waits")
async def test_a_lost_connection_is_told_and_the_session_goes_on_elsewhere(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        street(monkeypatch, a=leaves(0), b=leaves(1001), c=nothing) as town,
        connect("ws://a", "ws://b", "ws://c") as client,
    ):
        assert client.state == HERE
        assert await states(client, 5) == [
            HERE,
            Disconnected(1006, "", 0.5),
            BACK,
            Disconnected(1001, "", 1.0),
            BACK,
        ]
        assert client.state == BACK
        assert client.session == "s1"
        assert town.calls == [(0.0, "a"), (0.5, "b"), (1.5, "c")]


@pytest.mark.usefixtures("full_waits")
async def test_a_single_server_is_tried_again_ever_more_rarely(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with street(monkeypatch, a=leaves(0, 0)) as town, connect("ws://a") as client:
        assert await client.receive() == HERE
        house = town.houses.pop("a")
        waits = []
        for _ in range(8):
            state = await client.receive()
            assert isinstance(state, Disconnected)
            assert client.state == state
            waits.append(state.wait)
        town.houses["a"] = house
        assert waits == [0.5, 1, 2, 4, 8, 15, 15, 15]
        assert client.state == Disconnected(
            1006, "cannot connect to ws://a: nobody lives there", 15.0
        )
        # What ended sooner than we had waited does not begin the back-off anew.
        assert await states(client, 3) == [BACK, Disconnected(1006, "", 15.0), BACK]


@pytest.mark.usefixtures("full_waits")
async def test_after_a_connection_that_lasted_the_first_wait_is_short_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lives_for_a_second(peer: Peer) -> None:
        await trio.sleep(1)
        await peer.socket.aclose(1001)

    async with street(monkeypatch, a=lives_for_a_second), connect("ws://a") as client:
        found = await states(client, 9)
    assert found[1::2] == [Disconnected(1001, "", 0.5)] * 4


async def test_waits_differ_from_client_to_client(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = set()
    for _ in range(20):
        async with street(monkeypatch, a=leaves(1001)), connect("ws://a") as client:
            _, state = await states(client, 2)
            assert isinstance(state, Disconnected)
            assert state.wait is not None
            assert 0 <= state.wait <= 0.5
            waits.add(state.wait)
    assert len(waits) == 20


@pytest.mark.parametrize("code", [1012, 1013])
async def test_it_waits_as_long_as_the_server_says(
    code: int, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = '{"retry": 1.7, "why": "the node is stopping"}'
    async with (
        street(monkeypatch, a=leaves((code, reason)), b=nothing) as town,
        connect("ws://a", "ws://b") as client,
    ):
        found = await states(client, 3)
        assert found == [HERE, Disconnected(code, "the node is stopping", 1.7), BACK]
        assert town.calls == [(0.0, "a"), (1.7, "b")]


async def test_any_other_reason_is_just_told(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with street(monkeypatch, a=leaves((1012, "{restart"))), connect("ws://a") as client:
        _, state, back = await states(client, 3)
        assert isinstance(state, Disconnected)
        assert state.reason == "{restart"
        assert back == BACK


@pytest.mark.parametrize("code", [1000, 1002, 1003, 1007, 1008, 4000, 4403, 4409], ids=str)
async def test_codes_that_mean_stay_away(
    code: int, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        street(monkeypatch, a=leaves((code, "why"))) as town,
        connect("ws://a", "ws://a") as client,
    ):
        assert await rest(client) == [HERE]
        with pytest.raises(ConnectionLost) as caught:
            await client.receive()
        assert (caught.value.code, caught.value.reason) == (code, "why")
        assert client.state == Disconnected(code, "why", None)
        with pytest.raises(ConnectionLost, match=f"{code}: why"):
            await client.send("say")
        await trio.sleep(1000)
        assert len(town.calls) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_a_server_that_does_not_want_us_back_ends_it(
    status: int, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Shut(House):
        async def receive(self, request: Any) -> None:
            await request.reject(status, body=b"who are you?")

    async with (
        street(monkeypatch, a=leaves(1012), b=Shut(nothing)),
        connect("ws://a", "ws://b") as client,
    ):
        await rest(client)
        with pytest.raises(GaveUp, match=f"HTTP {status}: who are you") as caught:
            await client.receive()
        assert caught.value.status == status


async def test_a_busy_server_is_tried_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Busy(House):
        busy = 3

        async def receive(self, request: Any) -> None:
            if self.busy:
                self.busy -= 1
                await request.reject(503, body=b"the node is stopping\n")
            else:
                await super().receive(request)

    async with (
        street(monkeypatch, a=leaves(1012), b=Busy(nothing)),
        connect("ws://a", "ws://b") as client,
    ):
        while await client.receive() != BACK:
            pass


async def test_it_gives_up_after_so_long_without_a_connection(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        street(monkeypatch, a=leaves(1012)) as town,
        connect("ws://a", give_up=60.0) as client,
    ):
        town.houses.clear()
        began = trio.current_time()
        await rest(client)
        assert trio.current_time() - began == 60.0
        with pytest.raises(GaveUp, match="no connection for 60 s: cannot connect to ws://a"):
            await client.send("say")
        assert isinstance(client.state, Disconnected)
        assert client.state.wait is None


async def test_what_it_has_lived_before_does_not_count_when_it_gives_up(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lives_for_long(peer: Peer) -> None:
        await trio.sleep(100)
        await peer.socket.aclose(1001)

    async with (
        street(monkeypatch, a=lives_for_long),
        connect("ws://a", give_up=60.0, ping_interval=1000) as client,
    ):
        found = await states(client, 7)
    assert found[2::2] == [BACK] * 3


async def test_the_first_connection_gets_one_try_at_each_url(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with street(monkeypatch, c=nothing) as town:
        async with connect("ws://a", "ws://b", "ws://c") as client:
            assert client.state == HERE
        assert [host for _, host in town.calls] == ["a", "b", "c"]
        with pytest.raises(ConnectError, match="cannot connect to ws://b: nobody lives there"):
            async with connect("ws://a", "ws://b"):
                raise AssertionError


async def test_a_first_server_that_refuses_is_final(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.put(event="wss.error", data={"code": "full", "message": "No room."})
        await peer.socket.aclose(4403, "refused")

    async with street(monkeypatch, a=House(refuse, greet=False), b=nothing) as town:
        with pytest.raises(ConnectError, match="ws://a refused: full: No room") as caught:
            async with connect("ws://a", "ws://b"):
                raise AssertionError
        assert caught.value.code == 4403
        assert len(town.calls) == 1


async def test_a_server_that_could_not_begin_the_session_is_left_for_the_next(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code of its Close says that it is no refusal."""

    async def away(peer: Peer) -> None:
        await peer.put(event="wss.error", data={"code": "unavailable", "message": "Redis is away"})
        await peer.socket.aclose(1013, "the session could not begin")

    async with street(monkeypatch, a=House(away, greet=False), b=nothing) as town:
        async with connect("ws://a", "ws://b") as client:
            assert client.state == HERE
        with pytest.raises(
            ConnectError, match="ws://a refused: unavailable: Redis is away"
        ) as told:
            async with connect("ws://a"):
                raise AssertionError
        assert told.value.code == 1013
        assert [host for _, host in town.calls] == ["a", "b", "a"]


async def test_a_server_that_closes_before_the_welcome_is_tried_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis is away there."""

    async def away(peer: Peer) -> None:
        if peer.number == 0:
            await peer.put(**welcome())
            await peer.socket.aclose(1012)
        await peer.take()
        if peer.number > 3:
            await peer.put(**welcome(resumed=True))
            await peer.until_closed()
        await peer.socket.aclose(1013, "Redis is away")

    async with (
        street(monkeypatch, a=House(away, greet=False)) as town,
        connect("ws://a") as client,
    ):
        found = await states(client, 6)
        assert [one.code for one in found if isinstance(one, Disconnected)] == [1012, *[1013] * 3]
        assert "Redis is away" in str(found[-2])
        assert found[-1] == BACK
        assert len(town.calls) == 5


async def test_a_server_that_does_not_answer_costs_its_timeout(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silence(peer: Peer) -> None:
        await peer.until_closed()

    async with (
        street(monkeypatch, a=leaves(1012), b=House(silence, greet=False), c=nothing) as town,
        connect("ws://a", "ws://b", "ws://c", timeout=3.0, back_off=(0.001, 0.001)) as client,
    ):
        assert (await states(client, 4))[-1] == BACK
        assert town.calls[2][0] - town.calls[1][0] == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize("how", ["close", "abandon", "cancel"])
async def test_leaving_while_it_is_away_ends_all_at_once(
    how: str, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with street(monkeypatch, a=leaves(1012)) as town:
        with trio.CancelScope() as scope:
            async with connect("ws://a") as client:
                town.houses.clear()
                while True:
                    state = await client.receive()
                    if isinstance(state, Disconnected) and "nobody" in state.reason:
                        break
                now = trio.current_time()
                if how == "cancel":
                    scope.cancel()
                    await trio.sleep_forever()
                elif how == "close":
                    await client.close()
                else:
                    await client.abandon()
                assert [e async for e in client.events()] == []
        assert trio.current_time() == now
