"""Our own pings: a peer that is silent is asked once, then taken for gone.

Off while nobody reads the socket, since then no pong could be seen.
"""

from math import inf
from typing import final

import trio

from trio_wss.wire.frames import ping_frame
from trio_wss.wire.lane import Lane
from trio_wss.wire.limits import WireLimits

_PING = ping_frame()


@final
class KeepAlive:
    """Looks, at each beat, at what has happened since the one before."""

    __slots__ = ("_asked", "_lane", "_limits")

    def __init__(self, lane: Lane, limits: WireLimits) -> None:
        self._lane = lane
        self._limits = limits
        self._asked = False

    def beat(self) -> float:
        """Ping the peer, or give it up, where that is due; the time of the next beat."""
        lane = self._lane
        if lane.outbox.sealed or lane.closed:
            return inf
        heard, lane.heard = lane.heard, False
        if heard or not lane.reading:
            self._asked = False
        elif self._asked:
            lane.outbox.fail()
            return inf
        else:
            self._asked = True
            lane.outbox.push(_PING)
            lane.outbox.flush()
            return trio.current_time() + self._limits.pong_seconds
        return trio.current_time() + self._limits.ping_seconds
