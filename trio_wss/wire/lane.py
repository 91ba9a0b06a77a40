"""Read the socket of one connection: plain messages bypass trio-websocket.

Pings and Closes go through trio-websocket, which answers them. The first data that is not plain
makes the connection slow for good: from there every byte goes through trio-websocket. The socket
is read only on request, a chunk at a time; only `aclose` closes it. `states.py` has the lane's
states and transitions, `library.py` the stream that trio-websocket sees.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final, final

import trio
from trio_websocket import WebSocketConnection

from trio_wss.wire.close_codes import CloseCode
from trio_wss.wire.frames import Parser, Walker
from trio_wss.wire.library import Library
from trio_wss.wire.limits import WireLimits
from trio_wss.wire.outbox import Outbox
from trio_wss.wire.states import LANE, PEER, LaneState, LibraryState, PeerState

_CHUNK: Final = 64 * 1024
# Looking a member up in its enum costs more than the comparison.
_PLAIN: Final = PeerState.PLAIN
_SLOW: Final = PeerState.SLOW
_OPEN: Final = LaneState.OPEN
_SHUT: Final = LaneState.SHUT
_HUNGRY: Final = LibraryState.HUNGRY


def _nothing() -> None:
    """Do nothing: the default of the hooks."""


@final
class Lane(trio.abc.AsyncResource):
    """A connection's socket: `read` returns plain messages and gives trio-websocket the rest."""

    __slots__ = (
        "_calm",
        "_early",
        "_free",
        "_limits",
        "_nursery",
        "_parser",
        "_stream",
        "before_close",
        "heard",
        "library",
        "outbox",
        "peer",
        "reading",
        "state",
        "walker",
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
        """`early`: frames that came with the request head; trio-websocket runs in `nursery`."""
        self._stream = stream
        self._nursery = nursery
        self.outbox = outbox
        outbox.owner = self
        self._limits = limits
        self._parser = Parser(limits.message_bytes)
        self._early = early
        self._calm: trio.Event | None = None
        self._free: trio.Event | None = None
        self.before_close: Callable[[], None] = _nothing
        """Called right before the close, in the same step."""
        self.when_hungry: Callable[[], None] = _nothing
        """Called when trio-websocket asks for bytes and there are none."""
        self.library: Library | None = None
        """Made when trio-websocket gets its first bytes."""
        self.walker: Walker | None = None
        """Finds the ends of frames once the lane is slow or sealed."""
        self.peer = _PLAIN
        self.state = _OPEN
        # These two flags are not states: they change with every read, in every state.
        self.reading = False
        """A task waits for bytes from the peer."""
        self.heard = False
        """A wait for bytes has ended since somebody last set this to False."""

    @property
    def hungry(self) -> bool:
        """True if trio-websocket has used up its bytes and may be given more."""
        library = self.library
        return (library is None or library.state is _HUNGRY) and self.state is not _SHUT

    @property
    def websocket(self) -> WebSocketConnection | None:
        """trio-websocket's connection, once it has had something to do."""
        return None if self.library is None else self.library.websocket

    @property
    def clean(self) -> bool:
        """True if the peer has sent a well-formed Close."""
        return self.peer is PeerState.CLEAN

    @property
    def closed(self) -> bool:
        """True if the socket is closed."""
        return self.state is _SHUT

    def start_writer(self) -> None:
        """Start the outbox's writer task; the outbox calls it."""
        self._nursery.start_soon(self._write)

    async def _write(self) -> None:
        await self.outbox.run()
        if self.outbox.failed and not self.closed:
            await trio.aclose_forcefully(self)

    async def settled(self) -> None:
        """Wait until trio-websocket has used all bytes that it was given."""
        while (library := self.library) is not None:
            if library.state is _HUNGRY or self.state is not _OPEN:
                break
            await self._until_calm()

    async def made(self) -> WebSocketConnection | None:
        """Wait for trio-websocket's connection; return None if the lane ends first."""
        while (library := self.library) is not None:
            if library.websocket is not None or self.state is not _OPEN:
                return library.websocket
            await self._until_calm()
        return None

    async def read(self) -> list[str | bytes]:
        """Read the socket once; return the plain messages that came, in order, maybe none.

        Call it when `settled`, so that never more than a chunk waits for trio-websocket.
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
                # The same fd, or -1 if it was closed meanwhile.
                chunk = os.read(self.outbox.fd, _CHUNK)
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

    def used_up(self) -> None:
        """Note that trio-websocket asks for bytes and there are none."""
        self.calm_down()
        self.when_hungry()

    def ends(self) -> None:
        """Note that the connection begins to close, or trio-websocket knows the peer is gone."""
        self.state = LANE[self.state]["end"]
        self.calm_down()

    async def farewell(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Send Close if none was sent, and wait for the peer's. The outbox's writer keeps the
        deadline. If cancelled, leave the socket open: `aclose` closes it."""
        self.ends()
        fault = None if self.websocket is None else self.websocket.closed
        if self.peer is PeerState.GONE and (fault is None or fault.code == CloseCode.ABNORMAL):
            return  # there is no peer to send it to
        if fault is not None:  # trio-websocket sends no Close for a broken protocol
            code, reason = fault.code, fault.reason or ""
        self.outbox.seal(code, reason)
        with suppress(trio.BrokenResourceError):
            await self.outbox.sent()
            self._skip(b"")  # the peer's Close may be here already
            while self.peer in (_PLAIN, _SLOW) and not self.closed:
                await self.read()

    async def aclose(self) -> None:
        """Do the closing handshake and close the socket; if cancelled, close at once."""
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
        if self.library is not None:
            self.library.wake_up()
        with trio.move_on_after(self._limits.close_seconds):
            await self._stream.aclose()

    def _sort(self, chunk: bytes) -> list[str | bytes]:
        """Return the messages in `chunk`, and pass to trio-websocket the bytes it must see."""
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
        """Take the parser's rest, which trio-websocket gets a frame at a time."""
        rest = bytes(self._parser.rest)
        self._parser.rest.clear()
        if self.walker is None:
            self.walker = Walker()
        return rest

    def _end(self) -> None:
        """End the peer's bytes: give trio-websocket the incomplete frame and the end."""
        self.peer = PEER[self.peer]["end"]
        if self.websocket is None and not self._parser.rest:  # trio-websocket was not needed
            self.state = LANE[self.state]["end"]
        elif self.outbox.sealed:
            self._skip(b"")
        else:
            self._give(self._unsorted())

    def _skip(self, chunk: bytes) -> None:
        """After our Close: drop everything, and look only for the peer's Close."""
        if self.peer is PeerState.CLOSED or self.clean:
            return
        # Pings, or, of a slow peer, all its bytes: then nothing is unsorted.
        pending = b"" if self.library is None else self.library.take_back()
        walker = self.walker = self.walker or Walker()
        walker.skip(pending + self._unsorted() + chunk)
        if walker.closed:
            self.peer = PEER[self.peer]["clean"]

    def _give(self, feed: bytes) -> None:
        if self.library is None:
            self.library = Library(self, self._limits, feed)
            self._nursery.start_soon(self.library.make, self._nursery)
        else:
            self.library.give(feed)

    def is_too_long(self, message: str | bytes) -> bool:
        """Return True if a message from trio-websocket, which counts characters, has too many
        bytes."""
        limit = self._limits.message_bytes
        if isinstance(message, bytes) or len(message) * 4 <= limit or message.isascii():
            return False
        return len(message.encode()) > limit

    async def _until_calm(self) -> None:
        if self._calm is None:
            self._calm = trio.Event()
        await self._calm.wait()

    def calm_down(self) -> None:
        """Wake the tasks that wait for trio-websocket: something has changed."""
        if self._calm is not None:
            self._calm.set()
            self._calm = None
