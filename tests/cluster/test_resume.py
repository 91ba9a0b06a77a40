"""Resume: a session goes on over another connection, on any node, with its topics and what it
missed; and its old connection changes nothing any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import trio

from tests.support.members import Member, event, eventually, member
from tests.support.resuming import (
    DEADLINE,
    ROOM,
    SETTINGS,
    app,
    ask_back,
    joins,
    places,
    returning,
    token,
    welcome,
)
from trio_wss.node import janitor
from trio_wss.store.executor import Executor
from trio_wss.store.sessions import Sessions, Taken
from trio_wss.testing import Cluster, cluster


@pytest.fixture
async def nodes(redis_url: str) -> AsyncIterator[Cluster]:
    async with cluster(app, 3, redis=redis_url, settings=SETTINGS) as started:
        yield started


async def _who(client: Member, number: int, data: dict[str, str]) -> Any:
    await client.send("who", data, number)
    return (await client.answer(number))["data"]


# --- going on


async def test_a_session_goes_on_elsewhere_with_its_topics_and_what_it_missed(
    nodes: Cluster,
) -> None:
    one, two, three = (node.url for node in nodes.nodes)
    with trio.fail_after(DEADLINE):
        async with member(three) as other, member(one, {"user": "ann", "x": "1"}) as client:
            await client.good("join", {"topic": "second"})
            await client.good("say", {"topic": ROOM})
            await client.received(ROOM, 1)
            left, session = places(client), client.session
            await client.vanish()
            for topic in (ROOM, "second", ROOM, "user:ann", "all", f"session:{session}"):
                if topic in (ROOM, "second"):
                    await other.good("say", {"topic": topic})
            async with returning(
                two, ask_back(token(client), left), query={"user": "ann", "x": "2"}
            ) as back:
                assert welcome(back) == {
                    **welcome(client), "node": nodes.nodes[1].id, "resumed": True, "last": 2,
                }  # fmt: skip
                assert await joins(back, 5) == dict.fromkeys(
                    ["all", f"session:{session}", "user:ann", ROOM, "second"], True
                )
                assert [one["data"] for one in await back.received(ROOM, 2)] == [2, 3]
                assert [one["data"] for one in await back.received("second", 1)] == [1]
                await other.good("say", {"topic": ROOM})
                said = await back.received(ROOM, 3)
                assert [one["offset"] for one in said] == [2, 3, 4]
                # The client is who it was: what it said at its first handshake counts.
                await back.send("me", None, 3)
                assert (await back.answer(3))["data"] == [session, "ann", {"x": "1"}]
                entries = await other.good("log")
    assert entries.count(f"came {session}") == 1
    assert f"went {session}" not in entries


async def test_only_what_was_missed_is_read_and_what_comes_meanwhile_is_not_lost(
    nodes: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between Redis' word that nothing was missed and the entry, a topic may go on."""
    one, two, three = (node.url for node in nodes.nodes)
    second, third = {"topic": "second"}, {"topic": "third"}
    pages: list[str] = []
    page, take = Executor.page, Sessions.take

    def noted(self: Executor, topic: str, *arguments: Any) -> None:
        pages.append(topic)
        page(self, topic, *arguments)

    with trio.fail_after(DEADLINE):
        async with member(three) as other, member(one) as client:
            for topic in (second, third):
                await client.good("join", topic)
                await other.good("say", topic)
                await client.received(topic["topic"], 1)
            left = places(client)
            await client.vanish()
            await other.good("say", {"topic": ROOM})

            async def slowly(self: Sessions, *arguments: Any) -> Taken | None:
                taken = await take(self, *arguments)
                for expected in (2, 3):
                    await other.good("say", second)
                    topic = next(one for one in nodes.nodes[1].hub.topics() if one.name == "second")
                    await eventually(lambda: topic.cursor and topic.cursor.offset == expected)  # noqa: B023
                return taken

            monkeypatch.setattr(Executor, "page", noted)
            monkeypatch.setattr(Sessions, "take", slowly)
            async with returning(two, ask_back(token(client), left)) as back:
                assert await joins(back, 5) == dict.fromkeys(
                    ["all", f"session:{client.session}", ROOM, "second", "third"], True
                )
                await other.good("say", second)
                await other.good("say", third)
                assert [one["data"] for one in await back.received("second", 3)] == [2, 3, 4]
                assert [one["data"] for one in await back.received("third", 1)] == [2]
                assert [one["data"] for one in await back.received(ROOM, 1)] == [1]
    assert pages == [ROOM]


async def test_a_join_sent_again_after_a_resume_does_not_undo_a_later_leave(
    nodes: Cluster,
) -> None:
    """Its answer was recorded on a node that is gone; what holds now, only Redis knows."""
    one, two, three = (node.url for node in nodes.nodes)
    second = {"topic": "second"}
    with trio.fail_after(DEADLINE):
        async with member(three) as other, member(one) as client:
            await client.good("join", second)
            await client.good("leave", second)
            await client.vanish()
            async with returning(two, ask_back(token(client))) as back:
                await back.send("join", second, 1)
                assert (await back.answer(1))["event"] == "wss.ok"
                await other.good("say", second)
                assert not await _who(back, 3, second)
                await other.good("say", {"topic": ROOM})
                await back.received(ROOM, 1)
                assert back.of("second") == []
                assert "second" not in await joins(back, 3)


async def test_topics_that_the_client_does_not_name_go_on_from_now(nodes: Cluster) -> None:
    one, two, three = (node.url for node in nodes.nodes)
    with trio.fail_after(DEADLINE):
        async with member(three) as other, member(one) as client:
            await client.good("join", {"topic": "second"})
            left = places(client)
            await client.vanish()
            for topic in (ROOM, "second"):
                await other.good("say", {"topic": topic})
            named = {ROOM: left[ROOM], "never joined": ["x", 1]}
            async with returning(two, ask_back(token(client), named)) as back:
                assert await joins(back, 4) == {
                    "all": False, f"session:{client.session}": False, ROOM: True, "second": False,
                }  # fmt: skip
                assert (await back.joined("second"))["data"]["offset"] == 1
                await other.good("say", {"topic": "second"})
                assert [one["offset"] for one in await back.received("second", 1)] == [2]
                assert len(await back.received(ROOM, 1)) == 1


async def test_topics_that_were_left_stay_left(nodes: Cluster) -> None:
    with trio.fail_after(DEADLINE):
        async with member(nodes.nodes[0].url) as client:
            left = places(client)
            await client.good("leave", {"topic": ROOM})
            await client.vanish()
            async with returning(nodes.nodes[1].url, ask_back(token(client), left)) as back:
                await back.left(ROOM)  # it may not have heard of that
                await joins(back, 2)
                await back.send("say", {"topic": ROOM}, 2)
                assert (await back.answer(2))["data"] == 1
                assert back.of(ROOM) == []


@pytest.mark.parametrize(
    "topics",
    [
        5,
        "x",
        [],
        {ROOM: None},
        {ROOM: []},
        {ROOM: ["x"]},
        {ROOM: ["x", 1, 2]},
        {ROOM: ["x", -1]},
        {ROOM: ["x", 1.0]},
        {ROOM: ["x", True]},
        {ROOM: ["x", "1"]},
        {ROOM: [1, 1]},
        {ROOM: ["x y", 1]},
        {ROOM: ["ü", 1]},
        {ROOM: ["x" * 65, 1]},
        {ROOM: ["x", 2**53]},
        {ROOM: ["x", 2**53 - 1]},  # well-formed, and of nothing that ever was
        {ROOM: ["", 7]},
    ],
    ids=str,
)
async def test_cursors_that_are_none_are_as_if_they_were_not_named(
    nodes: Cluster, topics: Any
) -> None:
    with trio.fail_after(DEADLINE):
        async with member(nodes.nodes[0].url) as client:
            await client.good("say", {"topic": ROOM})
            await client.vanish()
            async with returning(nodes.nodes[1].url, ask_back(token(client), topics)) as back:
                assert welcome(back)["resumed"]
                recovered = await joins(back, 3)
                assert recovered[ROOM] is False
                assert (await back.joined(ROOM))["data"]["offset"] == 1


async def test_what_history_does_not_have_any_more_is_told(nodes: Cluster) -> None:
    with trio.fail_after(DEADLINE):
        async with (
            member(nodes.nodes[2].url) as other,
            member(nodes.nodes[0].url, {"in": "short"}) as client,
        ):
            left = places(client)
            await client.vanish()
            for _ in range(5):
                await other.good("say", {"topic": "short"})
            async with returning(nodes.nodes[1].url, ask_back(token(client), left)) as back:
                assert (await joins(back, 3))["short"] is False
                assert (await back.joined("short"))["data"]["offset"] == 5


# --- two connections of one session


async def test_the_old_connection_changes_nothing_any_more(nodes: Cluster) -> None:
    """It is told so at its next event: 4409, from which a client does not come back."""
    with trio.fail_after(DEADLINE):
        async with member(nodes.nodes[0].url) as zombie:
            await zombie.good("say", {"topic": "x"})
            async with returning(nodes.nodes[1].url, ask_back(token(zombie))) as back:
                assert welcome(back)["last"] == 1
                await zombie.raw(*(event("say", {"topic": "x"}, n) for n in range(2, 20)))
                assert await zombie.closed() == 4409
                assert zombie.reason == "replaced"
                assert set(zombie.answers) == {1}
                await back.send("say", {"topic": "x"}, 2)
                assert (await back.answer(2))["data"] == 2


@pytest.mark.parametrize("other", [0, 1], ids=["same node", "other node"])
async def test_a_client_that_resumes_while_its_old_connection_still_sends(
    nodes: Cluster, other: int
) -> None:
    """Each event is applied once, by whichever connection; the new one has all answers."""
    numbers = range(1, 61)
    say = {"topic": ROOM}
    with trio.fail_after(DEADLINE):
        async with member(nodes.nodes[0].url) as old:
            left = places(old)
            await old.raw(*(event("say", say, n) for n in numbers))
            await old.answer(1)
            async with returning(
                nodes.nodes[other].url,
                ask_back(token(old), left),
                *(event("say", say, n) for n in numbers),
            ) as new:
                answers = [(await new.answer(n))["data"] for n in numbers]
                said = await new.received(ROOM, len(numbers))
                with suppress(trio.BrokenResourceError):  # it may have been told before
                    await old.send("say", say, 61)
                assert await old.closed() == 4409
    assert sorted(answers) == list(numbers)
    assert answers == sorted(answers)  # in the order sent
    assert [one["data"] for one in said] == list(numbers)
    assert [one["offset"] for one in said] == list(numbers)


async def test_an_attempt_that_was_overtaken_is_sent_away_and_may_come_again(
    nodes: Cluster,
) -> None:
    with trio.fail_after(DEADLINE):
        async with member(nodes.nodes[0].url) as first:
            await first.vanish()
            url = nodes.nodes[1].url
            async with returning(url, ask_back(token(first), attempt=5)) as back:
                for attempt in (0, 4, 5):
                    asked = ask_back(token(first), attempt=attempt)
                    async with returning(nodes.nodes[2].url, asked, event("say")) as late:
                        assert await late.closed() == 1013
                        assert late.reason == "a later attempt came first"
                        assert late.frames == []
                assert await back.good("say", {"topic": "x"}) == 1
                async with returning(url, ask_back(token(first), attempt=6)) as again:
                    assert welcome(again)["resumed"]


@pytest.mark.parametrize("attempt", [-1, True, 1.0, "1", 2**53, [], {}], ids=str)
async def test_an_attempt_that_is_no_number_is_as_if_it_were_not_there(
    nodes: Cluster, attempt: Any
) -> None:
    with trio.fail_after(DEADLINE):
        async with member(nodes.nodes[0].url) as client:
            await client.vanish()
            for _ in range(2):
                asked = ask_back(token(client), attempt=attempt)
                async with returning(nodes.nodes[1].url, asked) as back:
                    assert welcome(back)["resumed"]


async def test_of_many_who_resume_at_once_one_has_the_session(nodes: Cluster) -> None:
    """As many as come, the last one to take it has it, and all others are told."""
    with trio.fail_after(DEADLINE):
        async with member(nodes.nodes[0].url) as client, trio.open_nursery() as nursery:
            clients: list[Member] = []

            async def come(number: int) -> None:
                url = nodes.nodes[number % 3].url
                async with returning(url, ask_back(token(client))) as back:
                    clients.append(back)
                    await back.closed()

            for number in range(9):
                nursery.start_soon(come, number)
            await eventually(lambda: len(clients) == 9)
            resumed = [one for one in clients if welcome(one)["resumed"]]
            assert resumed
            for number, one in enumerate(resumed, 1):
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await one.send("say", {"topic": "x"}, number)  # it may have been told before
            await eventually(lambda: sum(one.code is None for one in resumed) == 1)
            [winner] = [one for one in resumed if one.code is None]
            assert (await winner.answer(resumed.index(winner) + 1))["data"] == 1
            assert {one.code for one in resumed if one is not winner} <= {4409}
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("other", [0, 1], ids=["same node", "other node"])
async def test_a_listener_learns_at_the_roll_call_that_it_was_replaced(
    nodes: Cluster, other: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that sends nothing has no next event to be told at."""
    monkeypatch.setattr(janitor, "ROLL_CALL", 1)
    with trio.fail_after(DEADLINE):
        async with (
            member(nodes.nodes[0].url) as old,
            returning(nodes.nodes[other].url, ask_back(token(old))) as new,
        ):
            assert await old.closed() == 4409
            assert await new.good("say", {"topic": "x"}) == 1
