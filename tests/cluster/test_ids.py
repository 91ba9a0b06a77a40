"""An event that is sent again under its id is answered as before and has no second effect."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
import trio
from attrs import frozen

from tests.support.histories import check_gap_free
from tests.support.members import event, member, text
from trio_wss import (
    App,
    Broadcast,
    Client,
    Close,
    Effects,
    Increment,
    Join,
    Leave,
    Read,
    Refused,
    Reply,
)
from trio_wss.settings import Settings
from trio_wss.testing import cluster

ROOM = "room:a"
RING = 64  # answers that a session remembers
SETTINGS = Settings(drain=1.0, event_deadline=0.1)
app = App(history=1000)


@frozen
class Text:
    text: str


@app.on_connect
def enter(client: Client) -> Effects:
    return Join(ROOM)


@app.on("count")
def count() -> Effects:
    n = Increment("count")
    return [n, Broadcast(ROOM, "counted", n.result), Reply("counted", n.result)]


@app.on("only_once")
def only_once(n: Annotated[int | None, Read("count")]) -> Effects:
    """What it says depends on when it runs."""
    if n is not None:
        raise Refused("too_late", f"{n} were here before.")
    return [Increment("count"), Reply("first")]


@app.on("not_yet")
def not_yet(n: Annotated[int | None, Read("count")]) -> Effects:
    if n is None:
        raise Refused("too_early", "Nobody was here.")
    return Reply("now", n)


@app.on("fail")
def fail() -> Effects:
    raise ZeroDivisionError


@app.on("text")
def say_text(event: Text) -> Effects:
    return Reply("text", event.text)


@app.on("join")
def join(event: Text) -> Effects:
    return [Join(event.text), Broadcast(event.text, "hello")]


@app.on("leave")
def leave(event: Text) -> Effects:
    return Leave(event.text)


@app.on("close_later")
def close_later(n: Annotated[int | None, Read("later")]) -> Effects:
    return [Increment("later"), Reply("later", n), *([Close(4002, "later")] if n else [])]


@app.on("tell")
def tell(event: Text) -> Effects:
    return Broadcast(event.text, "told")


async def test_an_event_sent_again_gets_the_recorded_answer_and_no_second_effect(
    redis_url: str,
) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 2, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as client,
            member(nodes.nodes[1].url) as watcher,
        ):
            answer = await client.ask("count")
            for name in ("count", "not_yet", "fail", "no such event"):
                assert await client.again(name, None, 1) == answer
            assert await client.good("count") == 2
            seen = await watcher.received(ROOM, 2)
            check_gap_free(seen, first=1)
            assert [one["data"] for one in seen] == [1, 2]


async def test_an_event_sent_twice_at_once_has_one_effect_and_two_equal_answers(
    redis_url: str,
) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            await client.raw(*(event("count", None, n) for n in (1, 1, 2, 1, 2)), event("count"))
            await client.received(ROOM, 3)
            await client.until(lambda: len(client.answers_to(2)) == 2)
            assert [one["data"] for one in client.answers_to(1)] == [1, 1, 1]
            assert [one["data"] for one in client.answers_to(2)] == [2, 2]


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("not_yet", None, "too_early"),
        ("fail", None, "internal"),
        ("text", {"text": 1}, "invalid"),
        ("no such event", None, "unknown_event"),
    ],
)
async def test_a_refusal_is_recorded_too(redis_url: str, name: str, data: Any, code: str) -> None:
    """Else its second copy could apply what the client was told to be refused."""
    with trio.fail_after(30):
        async with (
            cluster(app, 1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            refusal = await client.ask(name, data)
            assert refusal["data"]["code"] == code
            assert await client.good("count") == 1
            assert await client.again(name, data, 1) == refusal
            assert await client.again("count", None, 1) == refusal
            assert await client.good("count") == 2


async def test_what_was_applied_is_not_refused_when_it_is_sent_again(redis_url: str) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            first = await client.ask("only_once")
            assert first["event"] == "first"
            assert (await client.ask("only_once"))["data"]["code"] == "too_late"
            assert await client.again("only_once", None, 1) == first


async def test_a_session_remembers_its_last_64_answers_and_calls_older_ids_stale(
    redis_url: str,
) -> None:
    last = 200
    with trio.fail_after(30):
        async with (
            cluster(app, 1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            for n in range(1, last + 1):
                await client.send("count", None, n)
            await client.answer(last)
            for n in (1, last - 2 * RING, last - RING):
                assert (await client.again("count", None, n))["data"]["code"] == "stale"
            for n in (last - RING + 1, last - 1, last):
                assert (await client.again("count", None, n))["data"] == n
            await client.send("count", None, last + 1)
            assert (await client.answer(last + 1))["data"] == last + 1
            check_gap_free(await client.received(ROOM, last + 1), first=1)


async def test_ids_may_be_left_out_and_skipped_as_long_as_they_grow(redis_url: str) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            for place, n in enumerate((3, 900, 2**40, 2**53 - 1), 1):
                await client.send("count", None, n)
                assert (await client.answer(n))["data"] == place
            assert (await client.again("count", None, 3))["data"] == 1


@pytest.mark.parametrize("number", ["0", "-1", "1.5", '"1"', "true", "[]", str(2**53), str(2**70)])
async def test_an_id_that_is_no_positive_whole_number_is_invalid(
    redis_url: str, number: str
) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            await client.raw(text(f'{{"event":"count","id":{number}}}'))
            [error] = await client.heard("wss.error")
            assert error["data"]["code"] == "invalid"
            assert "re" not in error
            assert await client.good("count") == 1


async def test_a_join_sent_again_after_leaving_does_not_join(redis_url: str) -> None:
    room = {"text": "room:b"}
    with trio.fail_after(30):
        async with (
            cluster(app, 1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            await client.good("join", room)
            await client.good("leave", room)
            await client.again("join", room, 1)
            await client.good("tell", room)
            await client.good("tell", {"text": ROOM})
            await client.received(ROOM, 1)
            assert [one["event"] for one in client.of("room:b")] == ["hello"]


async def test_a_leave_sent_again_after_joining_does_not_leave(redis_url: str) -> None:
    room = {"text": "room:b"}
    with trio.fail_after(30):
        async with (
            cluster(app, 1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            await client.good("join", room)
            await client.good("leave", room)
            await client.good("join", room)
            await client.again("leave", room, 2)
            await client.good("tell", room)
            seen = await client.received("room:b", 3)
            assert [one["event"] for one in seen] == ["hello", "hello", "told"]


async def test_an_event_that_did_not_close_does_not_when_it_is_sent_again(redis_url: str) -> None:
    with trio.fail_after(30):
        async with (
            cluster(app, 1, redis=redis_url, settings=SETTINGS) as nodes,
            member(nodes.nodes[0].url) as client,
        ):
            first = await client.ask("close_later")
            assert await client.again("close_later", None, 1) == first
            assert await client.good("count") == 1
            assert client.code is None
