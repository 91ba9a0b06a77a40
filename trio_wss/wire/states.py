"""The states of one connection and all transitions: of the peer, of trio-websocket, of the lane and
of the outbox.

A table gives the next state for a state and an event. A pair that is in no table cannot happen; the
look-up then fails, as it should.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, Literal


class PeerState(Enum):
    """The frames that the peer has sent so far; the last kind counts."""

    PLAIN = auto()
    """Only plain frames: its messages bypass trio-websocket."""
    SLOW = auto()
    """A frame that is not plain: from there every byte goes through trio-websocket."""
    CLOSED = auto()
    """A Close: bytes behind it are ignored."""
    CLEAN = auto()
    """A well-formed Close."""
    GONE = auto()
    """The end of its bytes, without a Close."""


PeerEvent = Literal["odd", "close", "clean", "end"]
"""A frame that is not plain; a Close; the finding that it is well-formed; the end of the bytes."""

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
    PeerState.GONE: {  # a Close may be found in the bytes from before the end
        "close": PeerState.CLOSED,
        "clean": PeerState.CLEAN,
        "end": PeerState.GONE,
    },
}


class LibraryState(Enum):
    """The state of trio-websocket on a connection that needs it."""

    MAKING = auto()
    """Its connection is being made."""
    FED = auto()
    """It has not used up its bytes."""
    HUNGRY = auto()
    """It waits for more bytes."""


LibraryEvent = Literal["given", "made", "asks"]
"""It was given bytes; its connection is made; it asks for bytes and there are none."""

LIBRARY: Final[dict[LibraryState, dict[LibraryEvent, LibraryState]]] = {
    LibraryState.MAKING: {
        "made": LibraryState.FED,
        "asks": LibraryState.MAKING,
    },
    LibraryState.FED: {"given": LibraryState.FED, "asks": LibraryState.HUNGRY},
    LibraryState.HUNGRY: {"given": LibraryState.FED, "asks": LibraryState.HUNGRY},
}


class LaneState(Enum):
    """The progress of the connection."""

    OPEN = auto()
    ENDING = auto()
    """trio-websocket or our side has begun to close; or the peer has left, and trio-websocket, if
    it is needed, knows it."""
    SHUT = auto()
    """The socket is closed."""


LaneEvent = Literal["end", "shut"]

LANE: Final[dict[LaneState, dict[LaneEvent, LaneState]]] = {
    LaneState.OPEN: {"end": LaneState.ENDING},
    LaneState.ENDING: {"end": LaneState.ENDING, "shut": LaneState.SHUT},
    LaneState.SHUT: {"end": LaneState.SHUT},
}


class OutboxState(Enum):
    """The state of an outbox: whether it accepts frames, and writes them."""

    OPEN = auto()
    SEALED = auto()
    """A Close is queued or written: nothing follows."""
    FAILED = auto()
    """The socket is unusable: nothing is written."""
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
