"""trio_wss/node/topics/memberships.py: the topics of one connection, and what it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.support.fakes import Box, FakeCatchUp, FakeHub, pushed
from trio_wss.node.topics.catchup import CatchUp
from trio_wss.node.topics.memberships import ELSEWHERE, Memberships
from trio_wss.store.history import Cursor
from trio_wss.store.outcome import Joined, Left


class Stage:
    """The memberships of one connection, with a hub that follows what they follow."""

    def __init__(self) -> None:
        self.hub = FakeHub()
        self.catch_up = FakeCatchUp(self.hub)
        self.box = Box()
        self.told: list[tuple[str, bool]] = []
        self.memberships = Memberships(
            self.hub, cast(CatchUp, self.catch_up), self.box.outbox, self._tell
        )

    def _tell(self, topic: str, recovered: bool) -> None:
        self.told.append((topic, recovered))

    def join(self, topic: str, cursor: Cursor, *, now: bool = True) -> None:
        self.memberships.change([Joined(topic, cursor)], now=now)

    def leave(self, topic: str) -> None:
        self.memberships.change([Left(topic)], now=True)

    def topics(self) -> dict[str, tuple[int, int]]:
        """The topics that are followed: their members and their holds."""
        return {topic.name: (len(topic.members), topic.holds) for topic in self.hub.topics()}


@asynccontextmanager
async def opened() -> AsyncIterator[Stage]:
    stage = Stage()
    async with trio.open_nursery() as nursery:
        stage.memberships.open(nursery)
        yield stage
        nursery.cancel_scope.cancel()
    assert not any(holds for _, holds in stage.topics().values())


def at(offset: int, epoch: str = "e") -> Cursor:
    return Cursor(epoch, offset)


def joined(topic: str, cursor: Cursor, *, recovered: bool = True) -> dict[str, Any]:
    """What a client is told of a topic that it is in."""
    place = {"epoch": cursor.epoch, "offset": cursor.offset}
    return {"event": "wss.joined", "data": {"topic": topic, **place, "recovered": recovered}}


def left(topic: str) -> dict[str, Any]:
    return {"event": "wss.left", "data": {"topic": topic}}


# --- what commits did


async def test_a_join_is_told_and_what_comes_next_is_given() -> None:
    async with opened() as stage:
        stage.join("room", at(5))
        stage.hub.said("room", pushed(at(6), 6))
        assert stage.box.said == [joined("room", at(5)), {"event": "said", "n": 6}]
        assert stage.topics() == {"room": (1, 0)}
        assert stage.told == []  # a gap is another thing
        assert repr(stage.memberships) == "topics=['room']"


async def test_a_second_join_changes_nothing() -> None:
    async with opened() as stage:
        stage.join("room", at(5))
        stage.join("room", at(7))
        assert len(stage.box.said) == 1
        assert stage.topics() == {"room": (1, 0)}


async def test_a_leave_is_told_and_nothing_more_is_given() -> None:
    async with opened() as stage:
        stage.join("room", at(5))
        stage.box.take_said()
        stage.leave("room")
        stage.hub.said("room", pushed(at(6), 6))
        assert (stage.box.said, stage.topics()) == ([left("room")], {})


async def test_a_leave_of_a_topic_that_it_is_not_in_is_told_too() -> None:
    async with opened() as stage:
        stage.leave("room")
        assert stage.box.said == [left("room")]


async def test_changes_are_done_in_their_order() -> None:
    async with opened() as stage:
        stage.memberships.change([Joined("a", at(1)), Left("a"), Joined("b", at(2))], now=True)
        assert stage.box.said == [joined("a", at(1)), left("a"), joined("b", at(2))]
        assert stage.topics() == {"b": (1, 0)}


@pytest.mark.parametrize("now", [True, False])
async def test_a_join_of_a_topic_that_is_elsewhere_catches_up_beside_the_reader(now: bool) -> None:
    """As of an earlier copy of the commit: the topic may have gone on since."""
    async with opened() as stage:
        if now:
            stage.hub.at("room", at(8))
        stage.join("room", at(5), now=now)
        await wait_all_tasks_blocked()
        assert stage.box.said == [joined("room", at(5))]
        assert stage.catch_up.asked == [("room", at(5), False)]
        assert stage.topics() == {"room": (0, 2 if now else 1)}
        topic = stage.hub.hold("room")
        topic.cursor = at(8)
        stage.catch_up.go.set()
        await wait_all_tasks_blocked()
        assert [*topic.members] == [stage.box.outbox]
        assert topic.holds == (2 if now else 1)
        for _ in range(topic.holds):
            stage.hub.release(topic)


async def test_one_that_leaves_while_it_catches_up_is_not_wanted_any_more() -> None:
    async with opened() as stage:
        stage.join("room", at(5), now=False)
        await wait_all_tasks_blocked()
        stage.leave("room")
        stage.join("room", at(6), now=False)
        await wait_all_tasks_blocked()
        assert [wanted() for wanted in stage.catch_up.wanted] == [False, True]
        stage.hub.hold("room").cursor = at(6)
        stage.catch_up.go.set()
        await wait_all_tasks_blocked()
        assert stage.topics() == {"room": (1, 1)}
        [topic] = stage.hub.topics()
        stage.hub.release(topic)


# --- a resume


@pytest.mark.parametrize(
    ("cursor", "told", "recovered"),
    [
        (at(5), True, True),  # nothing was missed
        (None, True, False),  # the client does not know where it was
        (at(3), False, True),  # what it missed comes first
        (at(5, "f"), False, True),
    ],
)
async def test_a_resumed_topic_goes_on_where_the_client_was(
    cursor: Cursor | None, told: bool, recovered: bool
) -> None:
    async with opened() as stage:
        stage.hub.at("room", at(5))
        stage.memberships.restore("room", cursor, at(5), followed=True)
        await wait_all_tasks_blocked()
        if told:
            assert stage.box.said == [joined("room", at(5), recovered=recovered)]
            assert stage.told == [("room", recovered)]
            assert (stage.topics(), stage.catch_up.asked) == ({"room": (1, 1)}, [])
        else:
            assert (stage.box.said, stage.told) == ([], [])
            assert stage.catch_up.asked == [("room", cursor, True)]
        [topic] = stage.hub.topics()
        stage.hub.release(topic)


async def test_a_resumed_topic_that_was_not_followed_before_may_have_gone_on() -> None:
    async with opened() as stage:
        stage.memberships.restore("room", at(5), at(5), followed=False)
        await wait_all_tasks_blocked()
        assert stage.told == [("room", True)]
        assert stage.catch_up.asked == [("room", at(5), False)]


# --- a failover, a gap, the end


async def test_after_a_failover_it_is_in_the_topics_that_redis_says() -> None:
    async with opened() as stage:
        for topic in ("kept", "lost", "all", "session:s", "user:u"):
            stage.join(topic, at(5))
        stage.box.take_said()
        stage.memberships.correct({"kept", "back"})
        await wait_all_tasks_blocked()
        assert stage.box.said == [left("lost")]
        assert stage.catch_up.asked == [("back", ELSEWHERE, False)]
        assert set(stage.topics()) == {"kept", "back", "all", "session:s", "user:u"}


async def test_a_slow_member_goes_on_alone_and_comes_back() -> None:
    async with opened() as stage:
        stage.join("room", at(5))
        stage.box.size = stage.box.limit
        [topic] = stage.hub.topics()
        stage.hub.hold("room")
        stage.hub.part_from_slow(topic)
        await wait_all_tasks_blocked()
        assert stage.catch_up.asked == [("room", at(5), False)]
        assert stage.topics() == {"room": (0, 2)}
        stage.catch_up.go.set()
        await wait_all_tasks_blocked()
        assert stage.topics() == {"room": (1, 1)}
        stage.hub.release(topic)


async def test_where_a_topic_goes_on_is_told_to_the_client_and_to_the_session() -> None:
    async with opened() as stage:
        stage.memberships.tell_joined("room", at(2), recovered=False)
        assert stage.box.said == [joined("room", at(2), recovered=False)]
        assert stage.told == [("room", False)]


async def test_at_its_end_it_is_in_no_topic_and_enters_none() -> None:
    async with opened() as stage:
        stage.join("room", at(5))
        stage.join("late", at(5), now=False)
        await wait_all_tasks_blocked()
        [room, late] = stage.hub.topics()
        stage.memberships.close()
        assert stage.topics() == {"late": (0, 1)}  # until its task is over
        assert not stage.catch_up.wanted[0]()
        stage.box.take_said()
        stage.join("other", at(5))
        stage.memberships.restore("other", at(5), at(5), followed=True)
        stage.memberships.correct({"other"})
        stage.memberships.catch_up_alone(room, at(5))
        stage.memberships.catch_up_alone(late, at(5))
        await wait_all_tasks_blocked()
        assert (stage.box.said, stage.topics()) == ([], {"late": (0, 1)})
        assert len(stage.catch_up.asked) == 1
