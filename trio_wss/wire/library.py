"""The stream that trio-websocket reads: the bytes that the lane gives it.

These are control frames; for a slow peer they are all bytes, one frame at a time, because
trio-websocket fails on a ping that comes in one piece with the frame that makes it close. Its
connection is made only when it is needed. Its handshake is with this stream alone: the client has
already had our answer.
"""

from __future__ import annotations

from typing import Final, Protocol, final

import trio
from trio_websocket import WebSocketConnection, wrap_server_stream

from trio_wss.wire.close_codes import CloseCode
from trio_wss.wire.frames import CLOSE, Walker
from trio_wss.wire.head import ANY_UPGRADE
from trio_wss.wire.limits import WireLimits
from trio_wss.wire.outbox import Outbox
from trio_wss.wire.states import LIBRARY, PEER, LibraryState, PeerState

_CLOSE: Final = bytes((CLOSE,))


class Beside(Protocol):
    """The part of the lane that this stream uses."""

    outbox: Outbox
    peer: PeerState
    walker: Walker | None
    """Finds the ends of a slow peer's frames."""

    @property
    def closed(self) -> bool:
        """True if the socket is closed."""

    def calm_down(self) -> None:
        """Wake the tasks that wait for trio-websocket: something has changed."""

    def used_up(self) -> None:
        """Note that trio-websocket asks for bytes and there are none."""

    def ends(self) -> None:
        """Note that trio-websocket knows that the peer is gone."""

    async def aclose(self) -> None:
        """Do the closing handshake and close the socket."""


@final
class Library(trio.abc.Stream):
    """The stream under trio-websocket. Closing it closes the connection."""

    __slots__ = ("_at", "_feed", "_head", "_lane", "_limits", "_wake", "state", "websocket")

    def __init__(self, lane: Beside, limits: WireLimits, feed: bytes) -> None:
        self._lane = lane
        self._limits = limits
        self._head = ANY_UPGRADE
        self._feed = feed  # from `_at` on
        self._at = 0
        self._wake: trio.Event | None = None  # set when it has bytes to read
        self.state = LibraryState.MAKING
        self.websocket: WebSocketConnection | None = None
        """trio-websocket's connection, once it is made."""

    async def make(self, nursery: trio.Nursery) -> None:
        """Make trio-websocket's connection, which runs in `nursery`."""
        request = await wrap_server_stream(
            nursery,
            self,
            message_queue_size=0,  # so that it asks for more only when every message was taken
            max_message_size=self._limits.message_bytes,
            receive_buffer_size=None,
        )
        self.websocket = await request.accept()
        self.state = LIBRARY[self.state]["made"]
        self._lane.calm_down()
        self.wake_up()

    def give(self, feed: bytes) -> None:
        """Give it these bytes. It must have used up the bytes before."""
        self._feed = feed
        self._at = 0
        self.state = LIBRARY[self.state]["given"]
        if self.websocket is not None:
            self.wake_up()

    def take_back(self) -> bytes:
        """Return and remove the bytes that it has not asked for yet."""
        rest = self._feed[self._at :]
        self._feed = b""
        self._at = 0
        return rest

    def wake_up(self) -> None:
        """Wake it: there are bytes, or the socket is closed."""
        if self._wake is not None:
            self._wake.set()
            self._wake = None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the next of the bytes that it was given; none at the end."""
        await trio.lowlevel.checkpoint()
        if self._head:
            head, self._head = self._head, b""
            return head
        lane = self._lane
        while not lane.closed:
            if self._feed and self.websocket is not None:
                return self._next_piece()
            if not self._feed:
                if lane.peer is PeerState.GONE:
                    lane.ends()
                    break
                self.state = LIBRARY[self.state]["asks"]
                lane.used_up()
            self._wake = trio.Event()
            await self._wake.wait()
        return b""

    def _next_piece(self) -> bytes:
        feed, start, lane = self._feed, self._at, self._lane
        end = len(feed)
        if (walker := lane.walker) is not None:
            end = walker.step(feed, start)
            if walker.closed:
                lane.peer = PEER[lane.peer]["close"]
            if walker.fragments > self._limits.fragments:  # empty ones have no other bound
                lane.outbox.seal(CloseCode.TOO_BIG, "too many fragments")
        self._at = end
        if end == len(feed):
            self._feed = b""
        return feed[start:end]

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Queue `data`, whole frames, and wait until it is written."""
        if self.websocket is None:
            await trio.lowlevel.checkpoint()
            return  # drop its answer to the handshake: the client already has ours
        frames, lane = bytes(data), self._lane
        if frames[:1] == _CLOSE:
            if lane.peer is PeerState.CLOSED:  # this answers it
                lane.peer = PEER[lane.peer]["clean"]
            lane.outbox.seal_with(frames)
        else:
            lane.outbox.push_now(frames)
        await lane.outbox.sent()

    async def wait_send_all_might_not_block(self) -> None:
        """Do nothing; the interface has it, and trio-websocket does not use it."""
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._lane.aclose()
