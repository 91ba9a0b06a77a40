"""trio_wss/node/topics/hub.py: which topics are followed, who is in them, and what a push does."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.support.fakes import Box, FakeHub, FakeMember, frame, pushed
from trio_wss.node.topics import hub as hub_module
from trio_wss.node.topics.hub import HOLD_BACK
from trio_wss.node.topics.topic import Topic
from trio_wss.store.history import NOWHERE, Cursor
from trio_wss.store.link.resp import Foreign


def at(offset: int, epoch: str = "e") -> Cursor:
    return Cursor(epoch, offset)


def numbers(member: FakeMember) -> list[int]:
    """The broadcasts that a member was given."""
    return [said["n"] for said in member.box.said]


class Room:
    """A topic with one member, at (e, 5)."""

    def __init__(self) -> None:
        self.hub = FakeHub()
        self.topic = self.hub.at("room", at(5))
        self.member = FakeMember()
        assert self.hub.enter(self.topic, self.member, at(5))
        self.hub.release(self.topic)

    def hear(self, text: bytes) -> None:
        self.hub.said("room", text)


# --- membership


def test_a_topic_is_followed_while_somebody_holds_it_or_is_in_it() -> None:
    hub, member = FakeHub(), FakeMember()
    topic = hub.hold("room")
    assert hub.hold("room") is topic
    assert (hub.link.channels, hub.size, [*hub.topics()]) == ({topic.channel}, 1, [topic])
    assert hub.enter(topic, member, at(1))
    hub.release(topic)
    hub.release(topic)
    assert hub.size == 1
    hub.leave(topic, member)
    assert (hub.link.channels, hub.size) == (set(), 0)
    hub.leave(topic, member)  # once more does no harm
    assert hub.hold("room") is not topic


def test_a_topic_that_was_forgotten_does_not_end_its_successor() -> None:
    hub, member = FakeHub(), FakeMember()
    old = hub.hold("room")
    hub.release(old)
    new = hub.hold("room")
    hub.leave(old, member)
    assert [*hub.topics()] == [new]


@pytest.mark.parametrize(
    ("here", "cursor", "now", "enters"),
    [
        (None, at(5), True, True),  # Redis has just said so
        (None, at(5), False, False),
        (at(5), at(5), True, True),
        (at(5), at(5), False, True),
        (at(5), at(4), True, False),
        (at(5), at(6), True, False),
        (at(5), at(5, "f"), True, False),
    ],
)
def test_a_member_is_let_in_where_its_cursor_is_the_topics(
    here: Cursor | None, cursor: Cursor, now: bool, enters: bool
) -> None:
    hub, member = FakeHub(), FakeMember()
    topic = hub.hold("room") if here is None else hub.at("room", here)
    assert hub.enter(topic, member, cursor, now=now) == enters
    assert (member.outbox in topic.members) == enters
    assert topic.cursor == (cursor if enters else here)


def test_a_member_is_given_what_came_since_its_commit() -> None:
    """Redis 7 pushes what a commit broadcasts before it answers."""
    hub, member = FakeHub(), FakeMember()
    topic = hub.at("room", at(5))
    for number in (6, 7):
        hub.said("room", pushed(at(number), number))
    assert hub.enter(topic, member, at(5))
    hub.said("room", pushed(at(8), 8))
    assert numbers(member) == [6, 7, 8]


@pytest.mark.parametrize(("size", "enters"), [(400, True), (490, False)])
def test_what_came_since_must_fit_into_half_of_the_outbox(size: int, enters: bool) -> None:
    hub = FakeHub()
    topic = hub.at("room", at(5))
    hub.said("room", pushed(at(6), 6))
    assert hub.enter(topic, FakeMember(Box(size=size, limit=1000)), at(5)) == enters
    assert hub.enter(topic, FakeMember(Box(size=size, limit=1000)), at(6))


@pytest.mark.parametrize("by", ["an answer", "bytes"])
def test_only_what_came_of_late_is_remembered(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if by == "bytes":
        monkeypatch.setattr(hub_module, "RECENT", 100)
    hub = FakeHub()
    room, other = hub.at("room", at(5)), hub.at("other", at(5))
    hub.said("room", pushed(at(6), 6))
    hub.said("other", pushed(at(6), 6))
    assert room.since(at(5)) is not None
    if by == "an answer":
        hub.link.answered += 1
    for number in (7, 8):
        hub.said("other", pushed(at(number), number))
    assert room.since(at(5)) is None
    assert other.since(at(5)) is None
    assert other.since(at(7)) is not None


def test_a_topic_that_nobody_joins_remembers_nothing() -> None:
    room = Room()
    room.hear(pushed(at(6), 6))
    assert room.topic.since(at(5)) is None
    topic = room.hub.hold("room")
    room.hear(pushed(at(7), 7))
    room.hub.release(topic)
    assert topic.since(at(6)) is None


# --- what Redis pushes


@pytest.mark.parametrize(
    ("text", "given", "cursor"),
    [
        (pushed(at(6), 1), [1], at(6)),
        (pushed(at(6, "f"), 1, before="e"), [1], at(6, "f")),  # a failover, and nothing is lost
        (pushed(None, 1), [1], at(5)),
        (pushed(at(5), 1), [], at(5)),  # it came with a page, and is on its way once more
        (pushed(at(2), 1), [], at(5)),
    ],
)
def test_a_push_is_given_where_it_follows_and_left_out_where_it_is_old(
    text: bytes, given: list[int], cursor: Cursor
) -> None:
    room = Room()
    room.hear(text)
    assert numbers(room.member) == given
    assert (room.topic.cursor, room.topic.live, room.hub.counters.gaps) == (cursor, True, 0)


@pytest.mark.parametrize(
    "text",
    [
        pushed(at(7), 1),
        pushed(at(7, "f"), 1, before="e"),
        pushed(at(6, "f"), 1, before="d"),
        pushed(at(3, "f"), 1),
    ],
)
def test_a_push_that_does_not_follow_opens_one_gap(text: bytes) -> None:
    room = Room()
    room.hear(text)
    room.hear(pushed(at(6), 2))
    room.hear(pushed(None, 3))  # what is volatile has no place, so it misses none
    assert numbers(room.member) == [3]
    assert (room.topic.cursor, room.topic.live, room.hub.counters.gaps) == (at(5), False, 1)


def test_a_topic_that_expired_in_silence_goes_on_without_a_gap() -> None:
    room = Room()
    room.hear(pushed(at(1, "f"), 1, before=""))
    assert room.member.joined == [("room", NOWHERE, True)]
    assert numbers(room.member) == [1]
    assert (room.topic.cursor, room.hub.counters.gaps) == (at(1, "f"), 0)


def test_the_first_push_of_a_topic_says_where_it_is() -> None:
    hub = FakeHub()
    topic = hub.hold("room")
    hub.said("room", pushed(at(9), 9))
    assert (topic.cursor, topic.since(at(8)) is not None) == (at(9), True)


def test_pushes_are_counted_for_topics_that_are_followed() -> None:
    room = Room()
    for text in (pushed(at(6), 6), pushed(None, 0), pushed(at(9), 9)):
        room.hear(text)
    room.hub.said("elsewhere", pushed(at(1), 1))
    assert room.hub.heard == {room.topic: 3}


def test_what_no_commit_has_published_is_refused() -> None:
    room = Room()
    with pytest.raises(Foreign):
        room.hear(b"hello")
    assert (numbers(room.member), room.hub.counters.gaps) == ([], 0)


# --- what was missed


def test_after_a_lost_link_commits_wait_until_all_topics_are_compared() -> None:
    hub = FakeHub()
    here, there = hub.at("here", at(5)), hub.at("there", at(7))
    unseen = hub.hold("unseen")
    hub.reset()
    assert [topic.live for topic in (here, there, unseen)] == [False, False, True]
    assert hub.link.held == [HOLD_BACK]
    hub.compare(here, at(5))
    assert (here.live, hub.link.held, hub.counters.gaps) == (True, [HOLD_BACK], 0)
    hub.compare(there, at(7))
    assert (there.live, hub.link.held, hub.counters.gaps) == (True, [], 0)


@pytest.mark.parametrize("cursor", [at(8), at(7, "f"), NOWHERE, None])
def test_a_topic_that_is_elsewhere_in_redis_has_a_gap(cursor: Cursor | None) -> None:
    hub = FakeHub()
    topic = hub.at("room", at(7))
    hub.reset()
    hub.compare(topic, cursor)
    assert (topic.live, hub.link.held, hub.counters.gaps) == (False, [HOLD_BACK], 1)


def test_a_node_that_follows_nothing_yet_holds_nothing_back() -> None:
    hub = FakeHub()
    hub.hold("room")
    hub.reset()
    assert hub.link.held == []


async def test_the_subscriber_task_surveys_doubts_and_fills_gaps() -> None:
    hub = FakeHub()
    room, other = hub.at("room", at(5)), hub.at("other", at(5))
    surveyed: list[list[Topic]] = []
    filled: list[Topic] = []

    async def survey(topics: list[Topic]) -> None:
        surveyed.append(topics)
        hub.compare(room, at(5))
        hub.compare(other, at(6))

    async def fill_gap(topic: Topic) -> None:
        assert not topic.live
        filled.append(topic)
        topic.go_live()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.run, survey, fill_gap)
        await wait_all_tasks_blocked()
        hub.open_gap(room)
        await wait_all_tasks_blocked()
        assert (surveyed, filled) == ([], [room])
        hub.reset()
        await wait_all_tasks_blocked()
        assert (surveyed, filled) == ([[room, other]], [room, other])
        assert hub.link.held == []
        hub.reset()
        await wait_all_tasks_blocked()
        assert len(surveyed) == 2
        nursery.cancel_scope.cancel()


async def test_a_topic_whose_gap_is_being_filled_is_not_doubted_too() -> None:
    """It is read on to its end anyway, and commits wait for that."""
    hub = FakeHub()
    topic = hub.at("room", at(5))
    go = trio.Event()

    async def survey(_: list[Topic]) -> None:
        raise AssertionError("it was doubted")

    async def fill_gap(_: Topic) -> None:
        await go.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.run, survey, fill_gap)
        hub.open_gap(topic)
        await wait_all_tasks_blocked()
        hub.reset()
        await wait_all_tasks_blocked()
        assert hub.link.held == [HOLD_BACK]
        go.set()
        await wait_all_tasks_blocked()
        assert hub.link.held == []
        nursery.cancel_scope.cancel()


def test_while_a_gap_is_filled_members_without_room_go_on_alone() -> None:
    hub = FakeHub()
    topic = hub.at("room", at(5))
    members = [FakeMember(Box(size=size, limit=1000)) for size in (499, 500, 0, 999)]
    for member in members:
        assert hub.enter(topic, member, at(5))
    hub.part_from_slow(topic)
    assert [member.alone for member in members] == [[], [("room", at(5))], [], [("room", at(5))]]
    assert [*topic.members.values()] == [members[0], members[2]]
    topic.give(frame(1))
    assert [len(member.box.frames) for member in members] == [1, 0, 1, 0]
