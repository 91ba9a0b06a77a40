"""The stream between one socket and trio-websocket: messages that are plain go past it.

Pings and Closes go through trio-websocket, which answers them, and is not made before the first of
them. The first data that is not plain makes the connection slow for good: from there every byte
goes through trio-websocket. The socket is read only when somebody asks, a chunk at a time; `aclose`
is the only place that closes it. How it goes from one state to another stands in `states.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final, final

import trio
from trio_websocket import WebSocketConnection, wrap_server_stream

from trio_wss.wire.close_codes import CloseCode
from trio_wss.wire.frames import CLOSE, Parser, Walker
from trio_wss.wire.head import ANY_UPGRADE
from trio_wss.wire.limits import WireLimits
from trio_wss.wire.outbox import Outbox
from trio_wss.wire.states import LANE, LIBRARY, PEER, LaneState, LibraryState, PeerState

_CHUNK: Final = 64 * 1024
_CLOSE: Final = bytes((CLOSE,))
# To look a member up in its enum costs more than the comparison.
_PLAIN: Final = PeerState.PLAIN
_SLOW: Final = PeerState.SLOW
_OPEN: Final = LaneState.OPEN
_SHUT: Final = LaneState.SHUT
_ABSENT: Final = LibraryState.ABSENT
_MAKING: Final = LibraryState.MAKING
_FED: Final = LibraryState.FED


def _nothing() -> None:
    """The hooks that nobody has set."""


@final
class Lane(trio.abc.Stream):
    """A trio stream for trio-websocket; `read` gives the plain messages to the connection."""

    __slots__ = (
        "_at",
        "_calm",
        "_early",
        "_feed",
        "_free",
        "_head",
        "_library",
        "_limits",
        "_nursery",
        "_parser",
        "_stream",
        "_wake",
        "_walker",
        "before_close",
        "heard",
        "outbox",
        "peer",
        "reading",
        "state",
        "websocket",
        "when_hungry",
    )

    def __init__(
        self,
        stream: trio.abc.Stream,
        nursery: trio.Nursery,
        outbox: Outbox,
        limits: WireLimits,
        early: bytes,
    ) -> None:
        """`early` came with the request head and is frames; trio-websocket runs in `nursery`."""
        self._stream = stream
        self._nursery = nursery
        self.outbox = outbox
        outbox.owner = self
        self._limits = limits
        self._parser = Parser(limits.message_bytes)
        self._walker: Walker | None = None  # once slow or sealed: where a frame ends
        self._head = b""  # for trio-websocket, which is being made
        self._feed = b""  # for trio-websocket, from `_at` on
        self._at = 0
        self._early = early
        self._library = _ABSENT
        self._wake: trio.Event | None = None  # something for trio-websocket
        self._calm: trio.Event | None = None
        self._free: trio.Event | None = None
        self.before_close: Callable[[], None] = _nothing
        """Called in the same step as the close, before it."""
        self.when_hungry: Callable[[], None] = _nothing
        """Called when trio-websocket asks for bytes and there are none."""
        self.websocket: WebSocketConnection | None = None
        """Set once there was something for it to do."""
        self.peer = _PLAIN
        self.state = _OPEN
        # Two facts that are no states: they change with every read, whatever else is the case.
        self.reading = False
        """A task waits for bytes from the peer."""
        self.heard = False
        """A wait for bytes has ended since somebody last set this to False."""

    @property
    def hungry(self) -> bool:
        """trio-websocket has used up what it was given, and may be given more."""
        library = self._library
        return library is not _FED and library is not _MAKING and self.state is not _SHUT

    @property
    def clean(self) -> bool:
        """The peer said Close, and it was well-formed."""
        return self.peer is PeerState.CLEAN

    @property
    def closed(self) -> bool:
        """The socket is closed."""
        return self.state is _SHUT

    def start_writer(self) -> None:
        """For the outbox."""
        self._nursery.start_soon(self._write)

    async def _write(self) -> None:
        await self.outbox.run()
        if self.outbox.failed and not self.closed:
            await trio.aclose_forcefully(self)

    async def settled(self) -> None:
        """Wait until trio-websocket has done all it can with what it was given."""
        while (self._library is _FED or self._library is _MAKING) and self.state is _OPEN:
            await self._until_calm()

    async def made(self) -> WebSocketConnection | None:
        """trio-websocket's connection, once there is one; None if it came to an end first."""
        while self.state is _OPEN and self._library is _MAKING:
            await self._until_calm()
        return self.websocket

    async def read(self) -> list[str | bytes]:
        """Read the socket once; the plain messages that came, in order, maybe none.

        Call it when `settled`, so that no more than a chunk ever waits for trio-websocket.
        """
        while self.reading:  # one at a time
            if self._free is None:
                self._free = trio.Event()
            await self._free.wait()
        self.reading = True
        try:
            if self._early:
                await trio.lowlevel.checkpoint()
                chunk, self._early = self._early, b""
            elif self.outbox.fd >= 0:
                await trio.lowlevel.wait_readable(self.outbox.fd)
                chunk = os.read(
                    self.outbox.fd, _CHUNK
                )  # the same, or -1 if it was closed meanwhile
            else:
                chunk = bytes(await self._stream.receive_some(_CHUNK))
        except BlockingIOError:
            return []
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            chunk = b""
        finally:
            self.reading = False
            self.heard = True
            if self._free is not None:
                self._free.set()
                self._free = None
        return self._sort(chunk)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """For trio-websocket: control frames; once slow, at most one frame at a time: it fails on
        a ping that comes in one piece with what made it say Close."""
        await trio.lowlevel.checkpoint()
        if self._head:
            head, self._head = self._head, b""
            return head
        while not self.closed:
            if self._feed and self.websocket is not None:
                return self._next_piece()
            if not self._feed:
                if self.peer is PeerState.GONE:
                    self.state = LANE[self.state]["end"]
                    self._calm_down()
                    break
                self._library = LIBRARY[self._library]["asks"]
                self._calm_down()
                self.when_hungry()
            self._wake = trio.Event()
            await self._wake.wait()
        return b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """For trio-websocket: queue `data`, whole frames, and wait until it is out."""
        if self.websocket is None:
            await trio.lowlevel.checkpoint()
            return  # its answer to the handshake: the client has had ours
        frames = bytes(data)
        if frames[:1] == _CLOSE:
            if self.peer is PeerState.CLOSED:  # this answers it
                self.peer = PEER[self.peer]["clean"]
            self.outbox.seal_with(frames)
        else:
            self.outbox.push_now(frames)
        await self.outbox.sent()

    async def wait_send_all_might_not_block(self) -> None:
        """For the interface; trio-websocket does not use it."""
        await trio.lowlevel.checkpoint()

    async def farewell(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Say Close if nobody has, and wait for the peer's. The outbox's writer sees to the
        deadline. Cancelled, it leaves the socket open: that is for `aclose`."""
        self.state = LANE[self.state]["end"]
        self._calm_down()
        fault = None if self.websocket is None else self.websocket.closed
        if self.peer is PeerState.GONE and (fault is None or fault.code == CloseCode.ABNORMAL):
            return  # nobody to say it to
        if fault is not None:  # trio-websocket sends no Close for a broken protocol
            code, reason = fault.code, fault.reason or ""
        self.outbox.seal(code, reason)
        with suppress(trio.BrokenResourceError):
            await self.outbox.sent()
            self._skip(b"")  # the peer's Close may be here already
            while self.peer in (_PLAIN, _SLOW) and not self.closed:
                await self.read()

    async def aclose(self) -> None:
        """Say farewell and close; cancelled, close at once."""
        try:
            await self.farewell()
        finally:
            await self._shut()

    async def _shut(self) -> None:
        if self.closed:
            await trio.lowlevel.checkpoint()
            return
        self.state = LANE[self.state]["shut"]
        self.before_close()
        self.outbox.detach()
        self._wake_up()
        with trio.move_on_after(self._limits.close_seconds):
            await self._stream.aclose()

    def _sort(self, chunk: bytes) -> list[str | bytes]:
        """Part what came into messages, returned, and what trio-websocket must see."""
        if not chunk:
            self._end()
        elif self.outbox.sealed:
            self._skip(chunk)
        elif self.peer is _PLAIN:
            messages, given = self._parser.feed(chunk)
            if self._parser.closed:
                self.peer = PEER[self.peer]["close"]
            elif self._parser.slow:
                self.peer = PEER[self.peer]["odd"]
                given += self._unsorted()
            if given:
                self._give(given)
            return messages
        elif self.peer is _SLOW:
            self._give(chunk)
        return []

    def _unsorted(self) -> bytes:
        """What the parser has left, for trio-websocket to see a frame at a time."""
        rest = bytes(self._parser.rest)
        self._parser.rest.clear()
        if self._walker is None:
            self._walker = Walker()
        return rest

    def _end(self) -> None:
        """The peer's bytes have ended; trio-websocket is told, with the frame that is not whole."""
        self.peer = PEER[self.peer]["end"]
        if self.websocket is None and not self._parser.rest:  # nobody to tell
            self.state = LANE[self.state]["end"]
        elif self.outbox.sealed:
            self._skip(b"")
        else:
            self._give(self._unsorted())

    def _skip(self, chunk: bytes) -> None:
        """Behind our Close: all is dropped, only the peer's Close is looked for."""
        if self.peer is PeerState.CLOSED or self.clean:
            return
        pending = self._feed[self._at :]  # Pings, or all of a slow peer's: then nothing is unsorted
        self._feed = b""
        self._at = 0
        walker = self._walker = self._walker or Walker()
        walker.skip(pending + self._unsorted() + chunk)
        if walker.closed:
            self.peer = PEER[self.peer]["clean"]

    def _give(self, feed: bytes) -> None:
        self._feed = feed
        self._at = 0
        absent = self._library is _ABSENT
        self._library = LIBRARY[self._library]["given"]
        if absent:
            self._nursery.start_soon(self._make)
        else:
            self._wake_up()

    async def _make(self) -> None:
        """Make trio-websocket's connection: it shakes hands with nobody, and goes on from there."""
        self._head = ANY_UPGRADE
        request = await wrap_server_stream(
            self._nursery,
            self,
            message_queue_size=0,  # so that it asks for more only when every message was taken
            max_message_size=self._limits.message_bytes,
            receive_buffer_size=None,
        )
        self.websocket = await request.accept()
        self._library = LIBRARY[self._library]["made"]
        self._calm_down()
        self._wake_up()

    def is_too_long(self, message: str | bytes) -> bool:
        """Whether a message of trio-websocket's, which counts characters, has too many bytes."""
        limit = self._limits.message_bytes
        if isinstance(message, bytes) or len(message) * 4 <= limit or message.isascii():
            return False
        return len(message.encode()) > limit

    def _next_piece(self) -> bytes:
        feed, start = self._feed, self._at
        end = len(feed)
        if self._walker is not None:
            end = self._walker.step(feed, start)
            if self._walker.closed:
                self.peer = PEER[self.peer]["close"]
            if self._walker.fragments > self._limits.fragments:
                self.outbox.seal(
                    CloseCode.TOO_BIG, "too many fragments"
                )  # empty ones have no other bound
        self._at = end
        if end == len(feed):
            self._feed = b""
        return feed[start:end]

    def _wake_up(self) -> None:
        if self._wake is not None:
            self._wake.set()
            self._wake = None

    async def _until_calm(self) -> None:
        if self._calm is None:
            self._calm = trio.Event()
        await self._calm.wait()

    def _calm_down(self) -> None:
        if self._calm is not None:
            self._calm.set()
            self._calm = None
