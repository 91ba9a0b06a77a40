"""trio_wss/node/connection.py: the door, the rate, signs of life, and how a connection begins and
ends; over memory streams, with a Redis that answers when the test says so."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from tests.support.fakes import FakeLink, FakeNode
from tests.support.frames import client_frame, text
from tests.support.wires import Client as Wire
from tests.support.wires import wire
from trio_wss import App, Client, Effects, Read, Reply, Store
from trio_wss.errors import Unavailable, WssError
from trio_wss.node.connection import (
    RESUME_SECONDS,
    UNANSWERED,
    Connection,
    ConnectionParts,
)
from trio_wss.node.connections import LONG, Connections
from trio_wss.store.history import Cursor
from trio_wss.store.outcome import Done
from trio_wss.store.sessions import Overtaken, StoredSession, Taken
from trio_wss.wire import CloseCode, Outbox, WireLimits

ANN = Client("s1", "ann")
LARGE = 2000
app = App()


@app.on("say")
def say() -> Effects:
    return Reply("ok")


@app.on("large")
def large() -> Effects:
    return Reply("ok", "x" * LARGE)


@app.on("add")
def add(n: Annotated[int | None, Read("n")]) -> Effects:
    return Store("n", (n or 0) + 1)


class Stage:
    """A connection, and the client at its other end."""

    def __init__(self, client: Wire, **changes: Any) -> None:
        self.client = client
        self.node = FakeNode(app)
        self.executor = self.node.executor
        self.link = FakeLink()
        self.all = Connections()
        options = {"rate": 0.0, "burst": 1.0, "patience": 10.0, "drain": 6.0} | changes
        self.parts = ConnectionParts(self.node.parts, self.link, self.all, **options)

    async def say(self, event: str = "say", number: int | None = None, data: Any = None) -> None:
        message = {"event": event, "id": number, "data": data}
        await self.client.send(text(json.dumps(message)))

    async def hear(self) -> Any:
        return json.loads(await self.client.text())

    async def closed(self) -> tuple[int, str]:
        """The code and the reason of the Close that comes next."""
        first, payload = await self.client.frame()
        assert first == 0x88, payload
        return int.from_bytes(payload[:2]), payload[2:].decode()

    @property
    def numbers(self) -> list[int | None]:
        """The events that were committed, but for the beginning."""
        return [commit.number for commit in self.executor.commits if not commit.lead]

    async def settled(self) -> list[int | None]:
        await wait_all_tasks_blocked()
        return self.numbers

    def answer(self) -> None:
        self.executor.answer(Done(self.executor.waiting[0][0].answer))


@asynccontextmanager
async def talking(
    *,
    resumes: bool = False,
    outbox: int = 1 << 20,
    stuck: bool = False,
    found: StoredSession | None = None,
    taken: Taken | WssError | None = None,
    seconds: float = 0.0,
    **changes: Any,
) -> AsyncIterator[tuple[Stage, Connection]]:
    """A connection whose client has read its welcome, unless it `resumes`: then what is `found` and
    `taken` is as given, and takes `seconds`. One that is `stuck` keeps bytes until they are read.
    """
    pair = lockstep_stream_pair() if stuck else memory_stream_pair()
    limits = WireLimits(outbox_bytes=outbox)
    with trio.fail_after(200):
        async with wire(limits, pair=pair, on_dirty=Outbox.flush) as (client, socket):
            stage = Stage(client, **changes)
            stage.node.sessions.found, stage.node.sessions.taken = [found], [taken]
            stage.node.sessions.seconds = seconds
            connection = Connection(stage.parts, socket, ANN, resumes=resumes)
            socket.before_close(connection.leave_hub)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stage.all.listen)

                over = trio.Event()

                async def run() -> None:
                    await connection.run()
                    over.set()

                nursery.start_soon(run)
                if not resumes:
                    assert (await stage.hear())["event"] == "wss.welcome"
                yield stage, connection
                await client.stream.aclose()
                while stage.executor.waiting:
                    stage.answer()
                    await wait_all_tasks_blocked()
                await over.wait()
                nursery.cancel_scope.cancel()
    assert len(stage.all) == 0
    assert stage.all.waiting == {}


# --- events


async def test_an_event_is_committed_and_its_answer_is_told(autojump_clock: MockClock) -> None:
    async with talking() as (stage, connection):
        assert list(stage.all) == [connection]
        await stage.say(number=1)
        assert await stage.settled() == [1]
        stage.answer()
        assert await stage.hear() == {"event": "ok", "re": 1, "data": None}


async def test_what_is_no_event_is_answered_and_counted(autojump_clock: MockClock) -> None:
    async with talking() as (stage, _):
        await stage.client.send(text("{"))
        await wait_all_tasks_blocked()
        stage.answer()
        assert (await stage.hear())["data"]["code"] == "invalid"
        assert stage.node.statistics.events["unknown", "invalid"] == 1


async def test_an_event_that_reads_is_answered_before_the_next_is_taken(
    autojump_clock: MockClock,
) -> None:
    async with talking() as (stage, _):
        stage.executor.seconds = 1.0
        await stage.say("add", 1)
        await stage.say("say", 2)
        assert await stage.settled() == [1]
        assert await stage.hear() == {"event": "wss.ok", "re": 1}
        assert await stage.settled() == [1, 2]


# --- the door


async def test_the_door_lets_so_many_unanswered_events_in(autojump_clock: MockClock) -> None:
    async with talking() as (stage, _):
        for number in range(1, UNANSWERED + 4):
            await stage.say(number=number)
        assert await stage.settled() == [*range(1, UNANSWERED + 1)]
        stage.answer()
        assert await stage.settled() == [*range(1, UNANSWERED + 2)]


async def test_the_door_is_shut_while_too_much_is_unanswered_on_the_link(
    autojump_clock: MockClock,
) -> None:
    async with talking() as (stage, _):
        stage.link.full = stage.executor.full = True
        await stage.say(number=1)
        assert await stage.settled() == []
        stage.executor.make_room()
        assert await stage.settled() == [1]


async def test_the_door_is_shut_while_half_of_the_outbox_waits(autojump_clock: MockClock) -> None:
    async with talking(outbox=1000, stuck=True) as (stage, connection):
        connection.session.push(b"x" * 600)
        await stage.say(number=1)
        assert await stage.settled() == []
        await stage.client.frame()
        assert await stage.settled() == [1]


async def test_large_answers_are_promised_room_until_they_are_there(
    autojump_clock: MockClock,
) -> None:
    """So many as the door lets in would not fit, were they all in the outbox at once."""
    async with talking(outbox=20 * LARGE) as (stage, _):
        for number in range(1, 15):
            await stage.say("large", number)
        assert await stage.settled() == [*range(1, 11)]
        for number in (1, 2):
            stage.answer()
            assert (await stage.hear())["re"] == number
        assert len(await stage.settled()) > 10


@pytest.mark.parametrize("heard", [True, False])
async def test_an_event_that_redis_kept_waiting_too_long_is_unavailable(
    heard: bool, autojump_clock: MockClock
) -> None:
    """But not where Redis has answered meanwhile: then it waited for others."""
    async with talking() as (stage, _):
        stage.link.full = stage.executor.full = True
        await stage.say(number=1)
        await trio.sleep(11)
        if heard:
            stage.link.heard = trio.current_time()
        stage.executor.make_room()
        assert await stage.settled() == ([1] if heard else [])
        if not heard:
            told = await stage.hear()
            assert (told["re"], told["data"]["code"]) == (1, "unavailable")
            assert stage.node.statistics.events["say", "unavailable"] == 1
        else:
            assert stage.executor.commits[-1].expires == stage.link.heard + 10


# --- the rate


async def test_events_over_the_rate_are_refused_and_counted(autojump_clock: MockClock) -> None:
    async with talking(rate=1.0, burst=2.0) as (stage, _):
        for number in (1, 2, 3):
            await stage.say(number=number)
        assert await stage.settled() == [1, 2]
        told = await stage.hear()
        assert (told["re"], told["data"]["code"]) == (3, "rate_limited")
        assert stage.node.statistics.events["say", "rate_limited"] == 1
        await trio.sleep(1)
        await stage.say(number=4)
        assert await stage.settled() == [1, 2, 4]


async def test_an_event_that_may_have_been_sent_before_waits_for_its_turn(
    autojump_clock: MockClock,
) -> None:
    async with talking(rate=1.0, burst=1.0) as (stage, _):
        began = trio.current_time()
        for _ in range(3):
            await stage.say(number=1)
        await trio.sleep(1.5)
        assert stage.numbers == [1, 1]
        await trio.sleep(1)
        assert stage.numbers == [1, 1, 1]
        assert trio.current_time() == began + 2.5


async def test_names_that_clients_make_up_are_not_counted_by_name(
    autojump_clock: MockClock,
) -> None:
    async with talking(rate=1.0, burst=1.0) as (stage, _):
        await stage.say("made up", 1)
        await stage.say("made up, too", 2)
        await stage.hear()
        assert dict(stage.node.statistics.events)["unknown", "rate_limited"] == 1


# --- signs of life


async def test_a_sign_of_life_is_answered_without_a_commit(autojump_clock: MockClock) -> None:
    async with talking() as (stage, _):
        await stage.say("wss.ping")
        assert await stage.hear() == {"event": "wss.pong"}
        assert stage.numbers == []


async def test_a_sign_of_life_is_answered_while_the_reader_waits(
    autojump_clock: MockClock,
) -> None:
    async with talking() as (stage, _):
        stage.executor.error = Unavailable("away")
        began = trio.current_time()
        await stage.say("add", 1)
        await trio.sleep(3 * LONG)
        await stage.say("wss.ping")
        assert await stage.hear() == {"event": "wss.pong"}
        assert trio.current_time() < began + 4 * LONG
        assert (await stage.hear())["data"]["code"] == "unavailable"
        assert trio.current_time() == began + 10
        await stage.say(number=2)
        assert await stage.settled() == [2]


async def test_over_the_rate_a_sign_of_life_waits_for_its_turn(autojump_clock: MockClock) -> None:
    async with talking(rate=0.01) as (stage, _):
        stage.executor.error = Unavailable("away")
        began = trio.current_time()
        await stage.say("add", 1)
        await trio.sleep(3 * LONG)
        await stage.say("wss.ping")
        assert [(await stage.hear())["data"]["code"] for _ in range(2)] == [
            "unavailable",
            "rate_limited",
        ]
        assert trio.current_time() == began + 10


# --- a session that is resumed

STORED = StoredSession(ANN, "3.ab", frozenset())
TAKEN = Taken(ANN, "", 9, {"all": Cursor("e", 2)})
RESUME = text('{"event":"wss.resume","data":{"token":"s1.t","topics":{"all":["e",2]}}}')


async def test_a_session_is_resumed_and_events_behind_its_resume_are_taken(
    autojump_clock: MockClock,
) -> None:
    async with talking(resumes=True, found=STORED, taken=TAKEN, seconds=1) as (stage, connection):
        await stage.client.send(RESUME, text('{"event":"say","id":10}'))
        welcome = await stage.hear()
        assert (welcome["event"], welcome["data"]["resumed"]) == ("wss.welcome", True)
        assert (await stage.hear())["data"]["topic"] == "all"
        assert await stage.settled() == [10]
        assert stage.executor.commits[0].generation == connection.session.generation


@pytest.mark.parametrize("first", [RESUME, text('{"event":"say","id":1}'), text("{")])
async def test_nothing_is_taken_that_was_meant_for_a_session_that_is_not_there(
    first: bytes, autojump_clock: MockClock
) -> None:
    async with talking(resumes=True) as (stage, _):
        await stage.client.send(first, text('{"event":"say","id":2}'))
        assert (await stage.hear())["data"]["resumed"] is False
        for _ in range(1 if first is RESUME else 2):
            told = await stage.hear()
            assert ("re" in told, told["data"]["code"]) == (False, "not_resumed")
        await stage.say("wss.begin")
        await stage.say(number=3)
        assert await stage.settled() == [3]


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Unavailable("x"), "Redis is away"), (Overtaken("a later attempt"), "a later attempt")],
)
async def test_a_resume_that_fails_sends_the_client_away(
    error: WssError, reason: str, autojump_clock: MockClock
) -> None:
    async with talking(resumes=True, found=STORED, taken=error) as (stage, _):
        await stage.client.send(RESUME)
        assert await stage.closed() == (CloseCode.AGAIN_LATER, reason)
        assert stage.executor.commits == []


async def test_one_that_does_not_say_what_it_resumes_is_sent_away(
    autojump_clock: MockClock,
) -> None:
    async with talking(resumes=True) as (stage, _):
        began = trio.current_time()
        assert await stage.closed() == (CloseCode.AGAIN_LATER, "no wss.resume came")
        assert trio.current_time() == began + RESUME_SECONDS


async def test_a_client_that_has_gone_takes_no_session(autojump_clock: MockClock) -> None:
    """It may have it elsewhere by now."""
    async with talking(resumes=True, found=STORED, taken=TAKEN, seconds=5) as (stage, _):
        await stage.client.send(RESUME)
        await wait_all_tasks_blocked()
        assert len(stage.node.sessions.takes) == 1
    assert len(stage.node.sessions.taken) == 1  # it was given up
    assert (stage.executor.commits, list(stage.node.custody.unfinished)) == ([], ["s1"])


async def test_the_rate_knows_the_ids_of_a_resumed_session(autojump_clock: MockClock) -> None:
    async with talking(resumes=True, found=STORED, taken=TAKEN, rate=1.0) as (stage, _):
        await stage.client.send(RESUME, text('{"event":"say"}'), text('{"event":"say","id":9}'))
        await trio.sleep(1.5)
        assert stage.numbers == [None, 9]


async def test_over_the_rate_no_id_is_told_that_may_be_of_another_session(
    autojump_clock: MockClock,
) -> None:
    async with talking(resumes=True, rate=1.0) as (stage, _):
        await stage.client.send(RESUME, *[text('{"event":"say","id":2}')] * 2)
        await stage.hear()
        told = [await stage.hear() for _ in range(2)]
        assert [one["data"]["code"] for one in told] == ["not_resumed", "rate_limited"]
        assert not any("re" in one for one in told)


# --- the end


async def test_a_goodbye_ends_the_session(autojump_clock: MockClock) -> None:
    async with talking() as (stage, _):
        await stage.client.send(client_frame(0x88, (1000).to_bytes(2)))
        assert (await stage.closed())[0] == 1000
    assert (len(stage.node.endings.ended), stage.node.sessions.aways) == (1, [])


async def test_a_client_that_vanishes_has_its_grace(autojump_clock: MockClock) -> None:
    async with talking() as (stage, _):
        pass
    assert (stage.node.endings.ended, len(stage.node.sessions.aways)) == ([], 1)


async def test_a_client_that_is_sent_away_has_its_grace(autojump_clock: MockClock) -> None:
    async with talking() as (stage, connection):
        connection.close_soon(1012, "first")
        assert connection.socket.outbox.sealed
        connection.close_soon(1013, "the first one counts")
        assert await stage.closed() == (1012, "first")
        await stage.client.send(client_frame(0x88, (1012).to_bytes(2)))
        await wait_all_tasks_blocked()
    assert (stage.node.endings.ended, len(stage.node.sessions.aways)) == ([], 1)


@pytest.mark.parametrize(("up", "seconds"), [(True, 2.0), (False, 0.6)])
async def test_the_end_of_a_session_does_not_hold_a_node_that_stops(
    up: bool, seconds: float, autojump_clock: MockClock
) -> None:
    async with talking() as (stage, _):
        stage.node.endings.seconds = 100
        stage.link.up = up
        began = trio.current_time()
        await stage.client.send(client_frame(0x88, (1000).to_bytes(2)))
    assert trio.current_time() == pytest.approx(began + seconds)
    assert list(stage.node.custody.unfinished) == ["s1"]


async def test_a_client_that_reads_too_slowly_is_counted(autojump_clock: MockClock) -> None:
    async with talking(outbox=1000, stuck=True) as (stage, connection):
        for _ in range(3):
            connection.session.push(b"x" * 600)
    assert stage.node.statistics.slow_consumers == 1


@pytest.mark.parametrize("answered", [True, False])
async def test_one_that_retires_takes_no_more_and_waits_for_answers_for_a_while(
    answered: bool, autojump_clock: MockClock
) -> None:
    async with talking() as (stage, connection), trio.open_nursery() as nursery:
        await stage.say(number=1)
        await stage.settled()
        began = trio.current_time()
        nursery.start_soon(connection.retire, CloseCode.RESTART, "why", began + 5)
        await wait_all_tasks_blocked()
        await stage.say(number=2)
        assert await stage.settled() == [1]
        if answered:
            stage.answer()
            assert (await stage.hear())["re"] == 1
        assert await stage.closed() == (CloseCode.RESTART, "why")
        assert trio.current_time() == began + (0 if answered else 5)
        await stage.client.stream.aclose()


async def test_one_that_retires_waits_for_an_event_that_reads(autojump_clock: MockClock) -> None:
    async with talking() as (stage, connection), trio.open_nursery() as nursery:
        stage.executor.seconds = 1.0
        await stage.say("add", 1)
        await stage.settled()
        nursery.start_soon(connection.retire, CloseCode.RESTART, "why", trio.current_time() + 5)
        assert (await stage.hear())["re"] == 1
        assert await stage.closed() == (CloseCode.RESTART, "why")
        await stage.client.stream.aclose()
