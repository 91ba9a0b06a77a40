"""What a client gives to its app: each event once, by the cursors of its topics, and the changes of
its connection, in order. Bounded: while it is full, bringing more waits, so the socket is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from math import inf
from typing import final

import trio
from attrs import frozen

from trio_wss.client.errors import ConnectionLost, FellBehind
from trio_wss.client.frames import BadFrame, Event, Place


@frozen
class Connected:
    """A node has taken the client. `resumed`: the session goes on; otherwise it is a new one, and
    what the app knew of its topics is out of date.
    """

    resumed: bool
    session: str
    node: str


@frozen
class Disconnected:
    """The connection is over, or a try to get another has failed.

    `code` is that of the Close (RFC 6455 §7.4), 1006 if there was none. `wait` is the time in
    seconds until the next try; None: there will be none.
    """

    code: int
    reason: str
    wait: float | None


State = Connected | Disconnected


@final
class Cursors:
    """The last broadcast of each topic, by `[epoch, offset]`."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = dict(places)

    def copy(self) -> dict[str, Place]:
        """The place in each topic."""
        return dict(self._places)

    def clear(self) -> None:
        """A new session is in no topic yet."""
        self._places.clear()

    def is_new(self, event: Event) -> bool:
        """Whether it was not seen before. Raises BadFrame for one that leaves a gap."""
        match event:
            case Event("wss.joined", {"topic": str(), "epoch": str(), "offset": int()}):
                return True
            case Event("wss.left", {"topic": str()}):
                return True
            case Event("wss.joined" | "wss.left"):
                raise BadFrame(f"a {event.event} that does not say what")
            case Event(topic=str(topic), epoch=str(epoch), offset=int(offset)):
                last = self._places.get(topic)
                if last is None or offset == last[1] + 1:
                    return True
                if epoch == last[0] and offset <= last[1]:
                    return False
                raise BadFrame(f"{topic} went from {last[1]} to {offset}: something is missing")
        return True

    def follow(self, event: Event) -> None:
        """Go on from this event, which is new."""
        match event:
            case Event("wss.joined", {"topic": topic, "epoch": epoch, "offset": offset}):
                self._places[topic] = epoch, offset
            case Event("wss.left", {"topic": topic}):
                self._places.pop(topic, None)
            case Event(topic=str(topic), epoch=str(epoch), offset=int(offset)):
                self._places[topic] = epoch, offset


@final
class Inbox:
    """Events and changes of state, in order."""

    def __init__(self, size: int, *, waits: bool) -> None:
        """`size` may be 0, then nothing is kept. `waits`: else a full inbox is FellBehind."""
        self.full = False
        """Somebody waits to bring more."""
        self.freed = -inf
        """When nobody had to wait any more."""
        self._size = size
        self._waits = waits
        self._end: ConnectionLost | None = None
        self._to_keep, self._to_take = trio.open_memory_channel[Event | State](size)

    async def keep(self, item: Event | State) -> bool:
        """Keep it until it is taken. False: nobody will. Raises FellBehind."""
        if not self._size:
            return True
        try:
            self._to_keep.send_nowait(item)
        except trio.ClosedResourceError:
            return False
        except trio.WouldBlock:
            return await self._wait_to_keep(item)
        return True

    async def _wait_to_keep(self, item: Event | State) -> bool:
        if not self._waits:
            raise FellBehind(1008, f"{self._size} events waited and nobody took them")
        self.full = True
        try:
            await self._to_keep.send(item)
        except trio.ClosedResourceError:
            return False
        finally:
            self.full = False
            self.freed = trio.current_time()
        return True

    async def take(self) -> Event | State:
        """The next one. Raises what it was closed with, after the last one."""
        try:
            return await self._to_take.receive()
        except trio.EndOfChannel:
            assert self._end is not None
            raise copy(self._end) from None

    def close(self, loss: ConnectionLost) -> None:
        """Nothing more will come."""
        self._end = loss
        self._to_keep.close()
