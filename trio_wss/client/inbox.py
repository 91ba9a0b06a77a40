"""The items that a client gives to its app, in order: each event once, by the cursors of its
topics, and the changes of its connection. The inbox is bounded: while it is full, the socket is not
read.
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
    """A node has accepted the client. `resumed`: the session goes on; otherwise it is a new one,
    and the app's knowledge of its topics is out of date.
    """

    resumed: bool
    session: str
    node: str


@frozen
class Disconnected:
    """The connection is over, or a try to make another has failed.

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
        """Return the place in each topic."""
        return dict(self._places)

    def clear(self) -> None:
        """Forget all topics: a new session is in none yet."""
        self._places.clear()

    def is_new(self, event: Event) -> bool:
        """Return True if the event was not seen before. Raises BadFrame if it leaves a gap."""
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
        """Move the topic's cursor to this event, which must be new."""
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
        """A `size` of 0 keeps nothing. If `waits`, `keep` waits while the inbox is full; else it
        raises FellBehind."""
        self.full = False
        """True while a task waits to add an item."""
        self.freed = -inf
        """When such a wait ended last, on Trio's clock."""
        self._size = size
        self._waits = waits
        self._end: ConnectionLost | None = None
        self._to_keep, self._to_take = trio.open_memory_channel[Event | State](size)

    async def keep(self, item: Event | State) -> bool:
        """Keep an item until it is taken; return False if nobody will. Raises FellBehind."""
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
        """Return the next item. After the last one, raises the error of `close`."""
        try:
            return await self._to_take.receive()
        except trio.EndOfChannel:
            assert self._end is not None
            raise copy(self._end) from None

    def close(self, loss: ConnectionLost) -> None:
        """End the inbox: nothing more will come."""
        self._end = loss
        self._to_keep.close()
