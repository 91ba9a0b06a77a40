"""trio_wss/node/topics/topic.py: a topic's cursor, its members and what they were given of late."""

from __future__ import annotations

import pytest

from tests.support.fakes import FakeMember, frame, pushed
from trio_wss.node.topics.topic import Topic
from trio_wss.store.history import NOWHERE, Cursor
from trio_wss.wire import text_frame


def topic(cursor: Cursor | None = None, members: int = 0) -> tuple[Topic, list[FakeMember]]:
    """A topic that is there, with so many members."""
    made = Topic("room", b"c")
    if cursor is not None:
        made.cursor = cursor
    found = [FakeMember() for _ in range(members)]
    made.members.update((member.outbox, member) for member in found)
    return made, found


def at(offset: int, epoch: str = "e") -> Cursor:
    return Cursor(epoch, offset)


@pytest.mark.parametrize(
    ("here", "text", "follows"),
    [
        (at(5), pushed(at(6), 1), True),
        (at(9), pushed(at(10), 1), True),
        (at(5), pushed(at(5), 1), False),
        (at(5), pushed(at(7), 1), False),
        (at(5), pushed(at(60), 1), False),
        (at(5), pushed(at(6, "f"), 1), False),
        (at(5), pushed(at(6), 1, before="d"), False),
        (at(5), pushed(None, 1), False),
        (NOWHERE, pushed(at(1), 1, before=""), False),
        (NOWHERE, b" 1\n" + frame(1), False),
        (None, pushed(at(0), 1), False),
        (None, pushed(None, 1), False),
    ],
)
def test_the_usual_push_is_the_next_one_of_the_same_epoch(
    here: Cursor | None, text: bytes, follows: bool
) -> None:
    found, [member] = topic(here, 1)
    assert found.follow(text) == follows
    assert member.box.frames == ([text_frame(frame(1))] if follows else [])
    assert found.cursor == (at(here.offset + 1) if here and follows else here)


def test_pushes_follow_each_other_and_none_does_during_a_gap() -> None:
    found, [member] = topic(at(8), 1)
    assert all(found.follow(pushed(at(number), number)) for number in (9, 10, 11))
    found.interrupt()
    assert not found.follow(pushed(at(12), 12))
    assert [said["n"] for said in member.box.said] == [9, 10, 11]
    found.go_live()
    assert found.follow(pushed(at(12), 12))


def test_one_frame_is_made_for_all_members() -> None:
    found, members = topic(at(0), 3)
    given = found.give(frame(1))
    assert given == text_frame(frame(1))
    assert all(member.box.frames[0] is given for member in members)


def test_a_first_push_is_taken_and_brings_its_cursor() -> None:
    found, [member] = topic(members=1)
    found.take(at(7, "f"), at(6), frame(7))
    assert found.cursor == at(7, "f")
    assert member.box.said[0]["n"] == 7
    assert found.follow(pushed(at(8, "f"), 8))


def test_while_somebody_joins_what_follows_is_remembered() -> None:
    found, _ = topic(at(1))
    assert found.follow(pushed(at(2), 2))
    assert found.since(at(2)) == []
    assert found.since(at(1)) is None
    found.holds = 1
    assert found.follow(pushed(at(3), 3))
    found.take(at(4, "f"), at(3), frame(4))
    frames = [text_frame(frame(3)), text_frame(frame(4))]
    assert found.since(at(2)) == frames
    assert found.since(at(3)) == frames[1:]
    assert found.since(at(4, "f")) == []
    for elsewhere in (at(1), at(4), at(3, "f"), NOWHERE):
        assert found.since(elsewhere) is None


@pytest.mark.parametrize("forget", ["forget", "interrupt", "go_on_at"])
def test_what_does_not_lead_here_any_more_is_forgotten(forget: str) -> None:
    found, _ = topic(at(1))
    found.holds = 1
    assert found.follow(pushed(at(2), 2))
    match forget:
        case "forget":
            found.forget()
        case "interrupt":
            found.interrupt()
        case "go_on_at":
            found.go_on_at(at(2), recovered=True)
    assert found.since(at(1)) is None
    assert found.since(at(2)) == []


@pytest.mark.parametrize("recovered", [True, False])
def test_where_it_goes_on_is_told_to_every_member(recovered: bool) -> None:
    found, members = topic(at(5), 2)
    found.go_on_at(at(2, "f"), recovered=recovered)
    assert found.cursor == at(2, "f")
    assert [member.joined for member in members] == [[("room", at(2, "f"), recovered)]] * 2


def test_who_waits_for_a_gap_to_be_filled_is_told_once() -> None:
    found, _ = topic(at(1))
    found.interrupt()
    first = found.went_live
    assert found.went_live is first
    assert (found.live, first.is_set()) == (False, False)
    found.go_live()
    assert (found.live, first.is_set()) == (True, True)
    found.interrupt()
    assert not found.went_live.is_set()


def test_its_repr_says_where_it_is() -> None:
    found, _ = topic(at(5), 2)
    assert repr(found) == f"<Topic room at {at(5)} members=2>"
    found.interrupt()
    assert repr(found).endswith("members=2 gap>")
