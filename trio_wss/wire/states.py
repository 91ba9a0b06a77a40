"""The states of one connection, and every way from one to another: what the peer has said, what
trio-websocket has to do, how far the lane is, and whether the outbox takes frames.

A table names the next state by the state and what happens. What stands in no table cannot happen:
then the look-up fails, as it should.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, Literal


class PeerState(Enum):
    """What the peer has said so far, with its last word."""

    PLAIN = auto()
    """Nothing but plain frames: its messages go past trio-websocket."""
    SLOW = auto()
    """Something that is not plain: from there every byte goes through trio-websocket."""
    CLOSED = auto()
    """A Close: nothing counts that comes behind it."""
    CLEAN = auto()
    """A Close that was well-formed."""
    GONE = auto()
    """Its bytes have ended, and there was no Close."""


PeerEvent = Literal["odd", "close", "clean", "end"]
"""A frame that is not plain; a Close; that a Close was well-formed; the end of the bytes."""

PEER: Final[dict[PeerState, dict[PeerEvent, PeerState]]] = {
    PeerState.PLAIN: {
        "odd": PeerState.SLOW,
        "close": PeerState.CLOSED,
        "clean": PeerState.CLEAN,
        "end": PeerState.GONE,
    },
    PeerState.SLOW: {
        "close": PeerState.CLOSED,
        "clean": PeerState.CLEAN,
        "end": PeerState.GONE,
    },
    PeerState.CLOSED: {
        "close": PeerState.CLOSED,
        "clean": PeerState.CLEAN,
        "end": PeerState.CLOSED,
    },
    PeerState.CLEAN: {
        "close": PeerState.CLEAN,
        "clean": PeerState.CLEAN,
        "end": PeerState.CLEAN,
    },
    PeerState.GONE: {  # a Close may be found in what had come before the end
        "close": PeerState.CLOSED,
        "clean": PeerState.CLEAN,
        "end": PeerState.GONE,
    },
}


class LibraryState(Enum):
    """What trio-websocket has to do on a connection where there was something for it."""

    MAKING = auto()
    """Its connection is being made."""
    FED = auto()
    """It has not used up what it was given."""
    HUNGRY = auto()
    """It waits for more bytes."""


LibraryEvent = Literal["given", "made", "asks"]
"""There are bytes for it; its connection is made; it asks for bytes and there are none."""

LIBRARY: Final[dict[LibraryState, dict[LibraryEvent, LibraryState]]] = {
    LibraryState.MAKING: {
        "made": LibraryState.FED,
        "asks": LibraryState.MAKING,
    },
    LibraryState.FED: {"given": LibraryState.FED, "asks": LibraryState.HUNGRY},
    LibraryState.HUNGRY: {"given": LibraryState.FED, "asks": LibraryState.HUNGRY},
}


class LaneState(Enum):
    """How far the connection is."""

    OPEN = auto()
    ENDING = auto()
    """trio-websocket, or our side, has begun to close; or the peer left, and all who have to know
    have been told."""
    SHUT = auto()
    """The socket is closed."""


LaneEvent = Literal["end", "shut"]

LANE: Final[dict[LaneState, dict[LaneEvent, LaneState]]] = {
    LaneState.OPEN: {"end": LaneState.ENDING},
    LaneState.ENDING: {"end": LaneState.ENDING, "shut": LaneState.SHUT},
    LaneState.SHUT: {"end": LaneState.SHUT},
}


class OutboxState(Enum):
    """Whether an outbox takes frames, and writes them."""

    OPEN = auto()
    SEALED = auto()
    """A Close is queued or out: nothing follows."""
    FAILED = auto()
    """The socket is of no more use: nothing is written."""
    DETACHED = auto()
    """The socket is closed, or about to be in the same step."""


OutboxEvent = Literal["seal", "fail", "detach"]

OUTBOX: Final[dict[OutboxState, dict[OutboxEvent, OutboxState]]] = {
    OutboxState.OPEN: {
        "seal": OutboxState.SEALED,
        "fail": OutboxState.FAILED,
        "detach": OutboxState.DETACHED,
    },
    OutboxState.SEALED: {"fail": OutboxState.FAILED, "detach": OutboxState.DETACHED},
    OutboxState.FAILED: {"fail": OutboxState.FAILED, "detach": OutboxState.DETACHED},
    OutboxState.DETACHED: {"fail": OutboxState.DETACHED, "detach": OutboxState.DETACHED},
}
