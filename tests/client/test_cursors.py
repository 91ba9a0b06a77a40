"""trio_wss/client/cursors.py: what is new, what was seen, what leaves a gap."""

from typing import Any

import pytest

from trio_wss.client import Event
from trio_wss.client.cursors import Cursors
from trio_wss.client.frames import BadFrame


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
