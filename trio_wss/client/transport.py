"""A connection whose welcome has come, as it is handed from who dialled it to who lives it; and the
ears that hear whether its server is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import trio
from attrs import define, field, frozen
from trio_websocket import WebSocketConnection

from trio_wss.client.frames import Welcome


def _nothing() -> None:
    """At the end of a stream that nobody waits for."""


@final
@define(eq=False)
class Ears(trio.abc.ReceiveStream):
    """What trio-websocket reads. It would wait on for its handshake when the peer has gone, and
    has no word for the bytes of a message that is still on its way.
    """

    stream: trio.abc.ReceiveStream
    at_end: Callable[[], None] = field(default=_nothing)
    heard: float = field(factory=trio.current_time)
    """When the last bytes came."""
    _news: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)

    async def hear(self) -> None:
        """Wait for the next bytes."""
        await self._news.park()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Read the stream, and tell when it has ended."""
        try:
            received = await self.stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.at_end()
            raise
        if received:
            self.heard = trio.current_time()
            self._news.unpark_all()
        else:
            self.at_end()
        return received

    async def aclose(self) -> None:
        """Close the stream."""
        await self.stream.aclose()


@frozen(eq=False)
class Line:
    """One connection."""

    socket: WebSocketConnection
    ears: Ears
    welcome: Welcome
    max_message: int
    """The longest message that we take, in bytes."""
