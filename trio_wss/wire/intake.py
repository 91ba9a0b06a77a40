"""The frames of one connection that wait for their turn. While the reader waits for Redis, a task
listens in its place, so that the client's `wss.ping` is still answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import trio
from attrs import define, field

from trio_wss.wire import codec
from trio_wss.wire.socket import Closed, WebSocket

AHEAD: Final = 64  # frames kept while the reader waits: as many as a client may have unanswered
PING_LENGTH: Final = 100  # characters; a longer frame is not looked at before its turn


@define(eq=False)
class Listening:
    """A task that listens while the reader waits."""

    scope: trio.CancelScope = field(factory=trio.CancelScope)
    over: trio.Event = field(factory=trio.Event)


class Intake:
    """Take frames from a socket. `arrived` is when the frame that was popped last had come."""

    def __init__(self, socket: WebSocket, answer_ping: Callable[[], bool]) -> None:
        """`answer_ping` answers a `wss.ping`; if it returns False, the ping waits for its turn."""
        self.arrived = 0.0
        self._socket = socket
        self._answer_ping = answer_ping
        self._frames: deque[tuple[float, str | bytes]] = deque()  # each with its time of arrival
        self._listening: Listening | None = None
        self._end: Closed | None = None  # how the socket ended, if the task saw it

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def size(self) -> int:
        """The size of the kept frames, in characters (text) and bytes (binary)."""
        return sum(len(frame) for _, frame in self._frames)

    def pop(self) -> str | bytes | None:
        """Return the next frame, or None."""
        if not self._frames:
            return None
        self.arrived, frame = self._frames.popleft()
        return frame

    def push_back(self, frame: str | bytes) -> None:
        """Put a frame back, so that it is the next one again."""
        self._frames.appendleft((self.arrived, frame))

    async def receive(self) -> None:
        """Wait for more frames. Raises Closed."""
        if (listening := self._listening) is not None:
            listening.scope.cancel()
            await listening.over.wait()
        elif self._end is not None:
            raise self._end
        else:
            await self._read()

    async def _read(self) -> None:
        batch = await self._socket.receive()
        now = trio.current_time()
        self._frames.extend((now, frame) for frame in batch)

    def listen(self, nursery: trio.Nursery) -> None:
        """Start a task that listens while the reader waits."""
        if self._listening is None and self._end is None:
            self._listening = Listening()
            nursery.start_soon(self._listen, self._listening)

    async def _listen(self, listening: Listening) -> None:
        """Listen until the reader takes over, the socket ends, or enough frames are kept."""
        outbox = self._socket.outbox
        try:
            with listening.scope:
                while True:
                    self._answer_pings()
                    if len(self) >= AHEAD or self.size + outbox.size >= outbox.limit:
                        await trio.sleep_forever()
                    await self._read()
        except Closed as closed:
            self._end = closed
        finally:
            self._listening = None
            listening.over.set()

    def _answer_pings(self) -> None:
        """Answer the kept pings, and take them out."""
        kept = [one for one in self._frames if not (_is_ping(one[1]) and self._answer_ping())]
        if len(kept) < len(self._frames):
            self._frames.clear()
            self._frames.extend(kept)


def _is_ping(frame: str | bytes) -> bool:
    if not isinstance(frame, str) or len(frame) > PING_LENGTH or codec.PING_EVENT not in frame:
        return False
    try:
        return codec.parse_message(frame).event == codec.PING_EVENT
    except codec.Malformed:
        return False
