"""The frames of one connection that wait for their turn. While the reader waits for Redis, a task
listens in its stead, so that the client's signs of life are answered all the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import trio
from attrs import define, field

from trio_wss.wire import codec
from trio_wss.wire.socket import Closed, WebSocket

AHEAD: Final = 64  # frames that are kept while the reader waits; a client has so many unanswered
PING_LENGTH: Final = 100  # characters: a longer frame is not looked at before its turn


@define(eq=False)
class Listening:
    """A task that listens while the reader waits."""

    scope: trio.CancelScope = field(factory=trio.CancelScope)
    over: trio.Event = field(factory=trio.Event)


class Intake:
    """Takes frames from a socket. `arrived` is when the one came that was popped last."""

    def __init__(self, socket: WebSocket, answer_ping: Callable[[], bool]) -> None:
        """`answer_ping` answers a sign of life, unless it may not: then it waits for its turn."""
        self.arrived = 0.0
        self._socket = socket
        self._answer_ping = answer_ping
        self._frames: deque[tuple[float, str | bytes]] = deque()  # each with when it came
        self._listening: Listening | None = None
        self._end: Closed | None = None  # of the socket, if the task found it out

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def size(self) -> int:
        """Characters and bytes of the frames that are kept."""
        return sum(len(frame) for _, frame in self._frames)

    def pop(self) -> str | bytes | None:
        """The next frame, if there is one."""
        if not self._frames:
            return None
        self.arrived, frame = self._frames.popleft()
        return frame

    def push_back(self, frame: str | bytes) -> None:
        """Let a frame be the next one again."""
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
        """Hear the client, beside the reader."""
        if self._listening is None and self._end is None:
            self._listening = Listening()
            nursery.start_soon(self._listen, self._listening)

    async def _listen(self, listening: Listening) -> None:
        """Until the reader takes over or the socket ends; with enough frames kept, hear no more."""
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
        """Answer those that are kept, and take them out."""
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
