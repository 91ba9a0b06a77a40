"""What a client has received and nobody has taken yet: bounded. While it is full, whoever brings
more waits, so the socket is not read.
"""

from __future__ import annotations

from copy import copy
from math import inf
from typing import final

import trio

from trio_wss.client.errors import ConnectionLost, FellBehind
from trio_wss.client.frames import Event
from trio_wss.client.states import State


@final
class Inbox:
    """Events and changes of state, in order."""

    def __init__(self, most: int, *, waits: bool) -> None:
        """`most` may be 0, then nothing is kept. `waits`: else a full inbox is FellBehind."""
        self.full = False
        """Somebody waits to bring more."""
        self.freed = -inf
        """When nobody had to wait any more."""
        self._most = most
        self._waits = waits
        self._end: ConnectionLost | None = None
        self._to_keep, self._to_take = trio.open_memory_channel[Event | State](most)

    async def keep(self, item: Event | State) -> bool:
        """Keep it until it is taken. False: nobody will. Raises FellBehind."""
        if not self._most:
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
            raise FellBehind(1008, f"{self._most} events waited and nobody took them")
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
