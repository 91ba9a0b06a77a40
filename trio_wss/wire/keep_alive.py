"""Our own pings: a peer that is silent is asked once, then taken for gone.

One task looks after all connections of a node. A peer is not asked while nobody reads its socket,
since then no pong could be seen.
"""

from itertools import takewhile
from typing import Final, NoReturn, final

import trio

from trio_wss.wire.frames import ping_frame
from trio_wss.wire.lane import Lane
from trio_wss.wire.limits import WireLimits

_PING: Final = ping_frame()
_SLICES: Final = 20  # looks at some connections in the time after which each is looked at again
_AT_ONCE: Final = 100  # pings between two checkpoints


@final
class KeepAlive:
    """The connections of a node, each with the time (trio's clock) of the next look at it."""

    def __init__(self, limits: WireLimits) -> None:
        self._limits = limits
        # In the order of their times, since in each of them all wait equally long.
        self._heard: dict[Lane, float] = {}
        self._asked: dict[Lane, float] = {}

    def add(self, lane: Lane) -> None:
        """Look after a connection, until `discard`."""
        self._heard[lane] = trio.current_time() + self._limits.ping_seconds

    def discard(self, lane: Lane) -> None:
        """Forget a connection, if it is known."""
        self._heard.pop(lane, None)
        self._asked.pop(lane, None)

    async def run(self) -> NoReturn:
        """Look after them for ever."""
        limits = self._limits
        pause = min(limits.ping_seconds, limits.pong_seconds) / _SLICES
        while True:
            await trio.sleep(pause)
            now = trio.current_time()
            for number, lane in enumerate(_due(self._asked, now) + _due(self._heard, now), 1):
                self._look(lane)
                if number % _AT_ONCE == 0:
                    await trio.lowlevel.checkpoint()

    def _look(self, lane: Lane) -> None:
        """Ping the peer, or give it up, where that is due."""
        asked = self._asked.pop(lane, None) is not None
        known = self._heard.pop(lane, None) is not None or asked
        if not known or lane.outbox.sealed:
            return
        heard, lane.heard = lane.heard, False
        if heard or not lane.reading:
            self.add(lane)
        elif asked:
            lane.outbox.fail()
        else:
            lane.outbox.push(_PING)
            lane.outbox.flush()
            self._asked[lane] = trio.current_time() + self._limits.pong_seconds


def _due(lanes: dict[Lane, float], now: float) -> list[Lane]:
    return [lane for lane, _ in takewhile(lambda item: item[1] <= now, lanes.items())]
