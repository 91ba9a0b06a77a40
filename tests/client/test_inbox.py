"""trio_wss/client/inbox.py: what is new, what was seen, what leaves a gap; and what nobody has
taken yet, which is bounded and in order."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_wss.client import Connected, ConnectionLost, Disconnected, Event, FellBehind
from trio_wss.client.frames import BadFrame
from trio_wss.client.inbox import Cursors, Inbox

ONE, TWO, THREE = Event("one"), Event("two"), Event("three")


async def test_what_is_kept_is_taken_in_order_and_then_comes_the_end() -> None:
    inbox = Inbox(2, waits=True)
    assert await inbox.keep(ONE)
    assert await inbox.keep(TWO)
    inbox.close(ConnectionLost(1012, "gone"))
    assert [await inbox.take(), await inbox.take()] == [ONE, TWO]
    for _ in range(2):
        with pytest.raises(ConnectionLost, match="1012: gone"):
            await inbox.take()
    assert not await inbox.keep(THREE)


async def test_who_brings_more_waits(autojump_clock: MockClock) -> None:
    inbox = Inbox(1, waits=True)
    assert inbox.freed < 0
    await trio.sleep(5)
    await inbox.keep(ONE)
    full = [inbox.full]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.keep, TWO)
        await wait_all_tasks_blocked()
        full.append(inbox.full)
        await trio.sleep(5)
        assert await inbox.take() == ONE
    assert inbox.freed == 10
    assert [*full, inbox.full] == [False, True, False]
    assert await inbox.take() == TWO


async def test_who_waits_learns_that_it_is_closed() -> None:
    inbox = Inbox(1, waits=True)
    await inbox.keep(ONE)
    kept: list[bool] = []

    async def bring() -> None:
        kept.append(await inbox.keep(TWO))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(bring)
        await wait_all_tasks_blocked()
        inbox.close(ConnectionLost(1000))
    assert kept == [False]
    assert await inbox.take() == ONE
    with pytest.raises(ConnectionLost):
        await inbox.take()


async def test_cancelling_who_waits_leaves_it_usable() -> None:
    inbox = Inbox(1, waits=True)
    await inbox.keep(ONE)
    with trio.move_on_after(0):
        await inbox.keep(TWO)
    assert not inbox.full
    assert await inbox.take() == ONE
    await inbox.keep(THREE)
    assert await inbox.take() == THREE


async def test_where_nobody_may_wait_it_says_so() -> None:
    inbox = Inbox(1, waits=False)
    await inbox.keep(ONE)
    with pytest.raises(FellBehind, match="1 events waited"):
        await inbox.keep(TWO)


async def test_none_is_kept_where_none_is_wanted() -> None:
    inbox = Inbox(0, waits=True)
    for _ in range(1000):
        assert await inbox.keep(ONE)
    with trio.move_on_after(0) as scope:
        await inbox.take()
    assert scope.cancelled_caught


def said(offset: int | None, epoch: str | None = "x", topic: str = "a") -> Event:
    return Event("said", None, topic, epoch, offset)


def joined(offset: int, epoch: str = "x", *, recovered: bool = True) -> Event:
    data = {"topic": "a", "epoch": epoch, "offset": offset, "recovered": recovered}
    return Event("wss.joined", data)


def at(offset: int, epoch: str = "x") -> Cursors:
    return Cursors({"a": (epoch, offset)})


@pytest.mark.parametrize(
    ("start", "event", "new", "place"),
    [
        (None, said(7), True, ("x", 7)),  # it knows nothing of this topic yet
        (None, joined(41), True, ("x", 41)),
        (at(41), said(42), True, ("x", 42)),
        (at(41), said(42, "y"), True, ("y", 42)),  # offsets go on over a new epoch
        (at(0, ""), said(1), True, ("x", 1)),
        (at(41), said(41), False, ("x", 41)),
        (at(41), said(1), False, ("x", 41)),
        (at(41), said(None, None), True, ("x", 41)),  # volatile
        (at(41), Event("ok", 5), True, ("x", 41)),
        (at(41), joined(97, "y", recovered=False), True, ("y", 97)),
        (at(41), joined(3, recovered=False), True, ("x", 3)),  # Redis came back empty
        (at(41), Event("wss.left", {"topic": "a"}), True, None),
    ],
)
def test_one_event(start: Cursors | None, event: Event, new: bool, place: Any) -> None:
    cursors = start or Cursors({})
    assert cursors.is_new(event) is new
    if new:
        cursors.follow(event)
    assert cursors.copy().get("a") == place


@pytest.mark.parametrize(
    "event",
    [
        said(43),
        said(43, "y"),
        said(41, "y"),  # not one that was seen
        said(7, "y"),
        Event("wss.joined", {"topic": "a"}),
        Event("wss.joined"),
        Event("wss.left", {}),
    ],
)
def test_a_gap_and_a_senseless_frame_are_faults(event: Event) -> None:
    cursors = at(41)
    with pytest.raises(BadFrame):
        cursors.is_new(event)
    assert cursors.copy() == {"a": ("x", 41)}


def test_topics_are_apart_and_a_new_session_is_in_none() -> None:
    cursors = at(41)
    assert cursors.is_new(said(1, topic="b"))
    cursors.follow(said(1, topic="b"))
    assert cursors.copy() == {"a": ("x", 41), "b": ("x", 1)}
    cursors.clear()
    assert cursors.copy() == {}


def test_states_are_told_apart_by_a_match() -> None:
    match Connected(True, "s1", "n1"):
        case Connected(resumed, session, node):
            assert (resumed, session, node) == (True, "s1", "n1")
    match Disconnected(1006, "", None):
        case Disconnected(code, reason, wait):
            assert (code, reason, wait) == (1006, "", None)
