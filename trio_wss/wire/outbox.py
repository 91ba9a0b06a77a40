"""The only writer of one socket: a bounded queue of whole frames, written by flush().

Frames that flush() cannot write at once are left to a task that lives only while it is needed. A
Close seals the outbox: nothing follows, and the socket has `close_seconds` left. A client whose
outbox grows over its bound falls behind: all but the begun frame is dropped, and Close 1013 is
sent. `states.py` has the outbox's states and transitions.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from math import inf
from typing import Final, Protocol, final

import trio

from trio_wss.wire.close_codes import CloseCode
from trio_wss.wire.frames import close_frame, first_joined, frame_end
from trio_wss.wire.limits import WireLimits
from trio_wss.wire.states import OUTBOX, OutboxEvent, OutboxState

BEHIND: Final = "this client reads too slowly"
"""The reason in the Close 1013 of a client that fell behind."""

_CHUNK: Final = 256 * 1024
"""Bytes joined for one write; more would copy a long queue again and again."""

_OPEN: Final = OutboxState.OPEN


class Owner(Protocol):
    """The owner of the socket."""

    def start_writer(self) -> None:
        """Start a task that calls `run`, and then closes the socket if it has failed."""


@final
class Outbox:
    """The frames that wait to be written to one client."""

    __slots__ = (
        "_begun",
        "_bound",
        "_close_at",
        "_flying",
        "_life",
        "_limits",
        "_on_dirty",
        "_out",
        "_progress",
        "_queue",
        "_stream",
        "code",
        "dirty",
        "fd",
        "limit",
        "owner",
        "reason",
        "size",
        "state",
    )

    def __init__(
        self,
        stream: trio.abc.SendStream,
        limits: WireLimits,
        on_dirty: Callable[[Outbox], None],
    ) -> None:
        self._stream = stream
        self.fd = stream.socket.fileno() if isinstance(stream, trio.SocketStream) else -1
        """The socket's file descriptor until it is closed; -1: there is none. Nothing else keeps
        a copy."""
        self._limits = limits
        self._on_dirty = on_dirty
        self.owner: Owner | None = None
        """Set before anything is pushed."""
        # A list, not a deque: an empty deque keeps 700 bytes, and there is one per connection.
        self._queue: list[bytes] = []
        # The first item is the rest of a frame that is partly written. This flag is not a state:
        # it changes in every state in which something is written.
        self._begun = False
        self._flying = 0  # bytes inside send_all, no longer in the queue
        self._out = 0  # bytes written or dropped, ever
        self._bound = self.limit = limits.outbox_bytes  # -1 once it is not open
        self._progress: trio.Event | None = None
        self._life: trio.CancelScope | None = None  # of the writer task, while there is one
        self._close_at = inf  # once sealed: the latest time to close the socket
        self.state = _OPEN
        self.size = 0
        """Bytes that wait."""
        self.dirty = False
        """True if frames were pushed since the last flush(). Not a state: it changes with each."""
        self.code: int | None = None
        """The code of the Close that our side decided to send."""
        self.reason = ""

    @property
    def sealed(self) -> bool:
        """True once a Close was queued: nothing follows it, even if the socket has failed."""
        return self._close_at < inf

    @property
    def failed(self) -> bool:
        """True if the socket is unusable."""
        return self.state is OutboxState.FAILED or self.detached

    @property
    def detached(self) -> bool:
        """True if the socket is closed or about to be: nothing is written any more."""
        return self.state is OutboxState.DETACHED

    def _enter(self, event: OutboxEvent) -> None:
        """Go to the next state. None of them is OPEN again, so no frame is accepted from now on."""
        self.state = OUTBOX[self.state][event]
        self._bound = -1

    def push(self, frames: bytes) -> None:
        """Queue whole frames; never waits, never writes. Dropped once sealed."""
        self._queue.append(frames)
        self.size = size = self.size + len(frames)
        if size > self._bound:
            self._over(frames)
        elif not self.dirty:
            self.dirty = True
            self._on_dirty(self)

    def push_now(self, frames: bytes) -> None:
        """Push and flush: for frames that must not wait for others."""
        self.dirty = True  # so that push() does not ask for a flush
        self.push(frames)
        self.flush()

    def flush(self) -> None:
        """Try one write that does not wait; leave the remainder to the writer task."""
        self.dirty = False
        if not self._queue or self._life is not None:
            return
        if self.fd >= 0:
            self._write()
        if self._queue:
            self._have_writer()

    def seal(self, code: int, reason: str = "") -> None:
        """Queue a Close behind all waiting frames; the first Close wins, later ones do nothing.

        From here the socket has `close_seconds` left, whatever the peer does.
        """
        if self.state is _OPEN:
            self.code, self.reason = code, reason
            self.seal_with(close_frame(code, reason))

    def seal_with(self, frame: bytes) -> None:
        """Queue `frame`, a Close made elsewhere, as the last one."""
        if self.state is not _OPEN:
            return
        self._enter("seal")
        self._queue.append(frame)
        self.size += len(frame)
        self._close_at = trio.current_time() + self._limits.close_seconds
        if self._life is not None:
            self._life.deadline = self._close_at
        self.flush()
        self._have_writer()

    def fail(self) -> None:
        """Mark the socket as unusable: the writer task ends and the lane closes it."""
        self._give_up("fail")

    def detach(self) -> None:
        """Forget the socket, in the same step as its close: its fd may soon be reused."""
        self.fd = -1
        self._give_up("detach")

    def _give_up(self, event: OutboxEvent) -> None:
        self._enter(event)
        self._clear()
        if self._life is not None:
            self._life.cancel()
        self._have_writer()

    async def sent(self) -> None:
        """Wait until all frames queued now are written, or dropped because the client is behind.

        Raises trio.BrokenResourceError if the socket failed or was closed first.
        """
        mark = self._out + self.size
        await trio.lowlevel.checkpoint()
        while self._out < mark and not self.failed:
            await self._next_progress()
        if self.failed:
            raise trio.BrokenResourceError("the connection is gone")

    async def room(self) -> None:
        """Wait until less than half of the bound is used, or the outbox takes no more."""
        await trio.lowlevel.checkpoint()
        while self.size * 2 >= self.limit and self.state is _OPEN:
            await self._next_progress()

    async def run(self) -> None:
        """The writer task: send the bytes that flush() left; after a Close wait for the end.

        `failed` is set if a write failed, the client took nothing for `stall_seconds`, or
        `close_seconds` have passed since a Close was queued: the socket should be closed now.
        """
        life = self._life
        assert life is not None
        with life:
            while self._queue:
                with trio.move_on_after(self._limits.stall_seconds) as stalled:
                    await self._write_more()
                if stalled.cancelled_caught:
                    self.fail()
            if self.state is OutboxState.SEALED:
                await trio.sleep_forever()
        if life.cancelled_caught:
            self.fail()
        self._life = None

    def _have_writer(self) -> None:
        if self._life is None and not self.detached:
            self._life = trio.CancelScope(deadline=self._close_at)
            assert self.owner is not None
            self.owner.start_writer()

    async def _write_more(self) -> None:
        try:
            if self.fd >= 0:
                await trio.lowlevel.wait_writable(self.fd)
                self._write()
            else:
                chunk, count = self._front()
                del self._queue[:count]
                self._flying = len(chunk)
                try:
                    await self._stream.send_all(chunk)
                finally:
                    self._flying = 0
                    self._count_out(len(chunk))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.fail()

    def _front(self) -> tuple[bytes, int]:
        """Return the next bytes to write, and the number of queue items in them."""
        queue = self._queue
        if len(queue) == 1:
            return queue[0], 1
        if self.size <= _CHUNK:
            return b"".join(queue), len(queue)
        return first_joined(queue, _CHUNK)

    def _write(self) -> None:
        """Write once to the socket, without waiting."""
        chunk, count = self._front()
        try:
            written = os.write(self.fd, chunk)
        except BlockingIOError:
            return
        except OSError:  # reset, broken pipe: the peer is gone
            self.fail()
            return
        if written == len(chunk):
            del self._queue[:count]
            self._begun = False
        else:
            self._drop_written(written)
        self._count_out(written)

    def _drop_written(self, written: int) -> None:
        """Take `written` bytes off the queue's front, and keep the rest of a begun frame."""
        queue = self._queue
        gone = 0
        while written >= len(queue[gone]):
            written -= len(queue[gone])
            gone += 1
        first = queue[gone]
        begun = self._begun and not gone  # the rest of a begun frame has no header to read
        end = len(first) if begun else frame_end(first, written)
        self._begun = begun or end > written
        queue[: gone + 1] = [piece for piece in (first[written:end], first[end:]) if piece]

    def _count_out(self, count: int) -> None:
        self.size -= count
        self._out += count
        if self._progress is not None:
            self._progress.set()
            self._progress = None

    async def _next_progress(self) -> None:
        if self._progress is None:
            self._progress = trio.Event()
        await self._progress.wait()

    def _over(self, frames: bytes) -> None:
        """Handle a push that went over the bound."""
        if self.state is not _OPEN:
            self._queue.pop()
            self.size -= len(frames)
        elif self.size == len(frames):
            # Everything else is written, so this client is not behind, however long the item is.
            self.dirty = True
            self._on_dirty(self)
        else:
            self._fall_behind()

    def _fall_behind(self) -> None:
        kept = self._queue[:1] if self._begun else []
        self._clear()
        self._queue += kept
        for frame in kept:
            self.size += len(frame)
            self._out -= len(frame)
        self._begun = bool(kept)
        self.seal(CloseCode.AGAIN_LATER, BEHIND)

    def _clear(self) -> None:
        self._queue.clear()
        self._begun = False
        self._count_out(self.size - self._flying)
