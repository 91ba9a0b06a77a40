"""The node's own pings: a silent peer is pinged once, then given up.

One task looks after all connections of a node. A flag tells it whether a peer was heard, so that a
message costs nothing here. A peer is not pinged while nobody reads its socket, because its pong
could not be seen.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Final, NoReturn, final

import trio

from trio_wss.wire.frames import ping_frame
from trio_wss.wire.lane import Lane
from trio_wss.wire.limits import WireLimits

_PING: Final = ping_frame()
_SLICES: Final = 7  # slices of the connections: each beat looks at the next one
_SILENT: Final = 6  # looks in a row without a word from a peer, after which it is pinged
# Beats in `ping_seconds`. At the last look that heard a peer, it may have been silent since the
# look before. One more beat is for the deadline of a ping, which may be one beat late.
_BEATS: Final = (_SILENT + 1) * _SLICES + 1
_AT_ONCE: Final = 100  # pings between two checkpoints


@final
class KeepAlive:
    """Ping the connections of a node.

    A peer whose socket is read is pinged after a silence of 82 to 98 % of `ping_seconds`; a peer
    that only answers pings, every 98 %. If nothing comes, it is given up `pong_seconds` after the
    ping, or up to 2 % of `ping_seconds` later: in all, no later than `ping_seconds + pong_seconds`
    after it was last heard. Time in which the node itself stands still does not count as silence.
    """

    def __init__(self, limits: WireLimits) -> None:
        self._pause = limits.ping_seconds / _BEATS
        self._patience = int(limits.pong_seconds / self._pause) + 1  # beats
        self._beat = 0
        # Each lane with the number of looks since it was heard.
        self._slices: list[dict[Lane, int]] = [{} for _ in range(_SLICES)]
        self._asked: dict[Lane, int] = {}  # lane to the beat at which it is given up, in order

    def __repr__(self) -> str:
        known = sum(len(some) for some in self._slices)
        return f"<KeepAlive {known} connections, {len(self._asked)} asked>"

    def add(self, lane: Lane) -> None:
        """Look after a connection, until `discard`."""
        self._slice[lane] = 0

    def discard(self, lane: Lane) -> None:
        """Forget a connection, if it is known."""
        for some in self._slices:
            some.pop(lane, None)
        self._asked.pop(lane, None)

    @property
    def _slice(self) -> dict[Lane, int]:
        """Return the slice whose turn is now: the one that was looked at longest ago."""
        return self._slices[self._beat % _SLICES]

    async def run(self) -> NoReturn:
        """Look after the connections for ever."""
        wake = trio.current_time()
        while True:
            wake = max(wake + self._pause, trio.current_time())
            await trio.sleep_until(wake)
            self._beat += 1
            for number, lane in enumerate(self._silent() + self._overdue(), 1):
                self._act(lane)
                if number % _AT_ONCE == 0:
                    await trio.lowlevel.checkpoint()

    def _silent(self) -> list[Lane]:
        """Look at the slice whose turn it is; return the lanes to ping."""
        found, some = [], self._slice
        for lane, silent in some.items():
            if lane.heard or not lane.reading:
                lane.heard = False
                some[lane] = 0
                self._asked.pop(lane, None)
            else:
                some[lane] = silent + 1
                if silent + 1 >= _SILENT and lane not in self._asked:
                    found.append(lane)
        return found

    def _overdue(self) -> list[Lane]:
        """Return the lanes that were pinged so long ago that an answer should be here."""
        return [
            lane for lane, _ in takewhile(lambda item: item[1] <= self._beat, self._asked.items())
        ]

    def _act(self, lane: Lane) -> None:
        """Ping the peer, or give it up if it was pinged; do nothing if it is gone or closing."""
        if self._asked.pop(lane, None) is not None:
            if not lane.heard and not lane.outbox.sealed:
                lane.outbox.fail()
        elif lane in self._slice and not lane.outbox.sealed:
            lane.outbox.push_now(_PING)
            self._asked[lane] = self._beat + self._patience
