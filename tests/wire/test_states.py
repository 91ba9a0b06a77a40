"""The tables of states: complete, and with no way back."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, get_args

import pytest

from trio_wss.wire.states import (
    LANE,
    LIBRARY,
    OUTBOX,
    PEER,
    LaneEvent,
    LaneState,
    LibraryEvent,
    LibraryState,
    OutboxEvent,
    OutboxState,
    PeerEvent,
    PeerState,
)

Table = Mapping[Enum, Mapping[str, Enum]]

TABLES: Any = [
    pytest.param(PEER, PeerState, PeerEvent, id="peer"),
    pytest.param(LIBRARY, LibraryState, LibraryEvent, id="library"),
    pytest.param(LANE, LaneState, LaneEvent, id="lane"),
    pytest.param(OUTBOX, OutboxState, OutboxEvent, id="outbox"),
]

IMPOSSIBLE = {
    (PeerState.SLOW, "odd"): "nothing is judged any more",
    (PeerState.CLOSED, "odd"): "nothing is read behind a Close",
    (PeerState.CLEAN, "odd"): "nothing is read behind a Close",
    (PeerState.GONE, "odd"): "no bytes come",
    (LibraryState.MAKING, "given"): "nothing is read before it has used up what it is made for",
    (LibraryState.FED, "made"): "it is made once",
    (LibraryState.HUNGRY, "made"): "it is made once",
    (LaneState.OPEN, "shut"): "a farewell comes first",
    (LaneState.SHUT, "shut"): "a socket is closed once",
    (OutboxState.SEALED, "seal"): "the first Close wins",
    (OutboxState.FAILED, "seal"): "there is nobody to say it to",
    (OutboxState.DETACHED, "seal"): "there is nobody to say it to",
}


@pytest.mark.parametrize(("table", "states", "events"), TABLES)
def test_each_state_says_what_comes_of_each_event(
    table: Table, states: type[Enum], events: Any
) -> None:
    assert set(table) == set(states)
    for state in states:
        left_out = {event for event in get_args(events) if event not in table[state]}
        assert left_out == {event for other, event in IMPOSSIBLE if other is state}
        assert set(table[state]) <= set(get_args(events))


@pytest.mark.parametrize(("table", "states", "events"), TABLES)
def test_every_state_can_be_reached(table: Table, states: type[Enum], events: Any) -> None:
    first = next(iter(states))
    reached = {after for row in table.values() for after in row.values()}
    assert reached | {first} == set(states)


@pytest.mark.parametrize("table", [PEER, LANE, OUTBOX])
def test_there_is_no_way_back(table: Table) -> None:
    """In the order of the states; but a Close may be found in what came before the end."""
    order = list(type(next(iter(table))))
    for before, row in table.items():
        for event, after in row.items():
            late = before is PeerState.GONE and event in ("close", "clean")
            assert late or order.index(after) >= order.index(before)


def test_trio_websocket_is_made_once() -> None:
    for before, row in LIBRARY.items():
        assert before is LibraryState.MAKING or LibraryState.MAKING not in row.values()
