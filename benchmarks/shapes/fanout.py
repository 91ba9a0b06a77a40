"""Fan-out: one large room; the next event is sent when the members together have heard as much as
one event makes, so that nobody falls behind however slow the server is.
"""

from __future__ import annotations

import time

from benchmarks.crowd import Crowd, Member
from benchmarks.figures import Figures, latencies
from benchmarks.loading import TEXT, Load


class Pump:
    """Keeps so many events on their way to a crowd. One member on each node sends."""

    def __init__(self, crowd: Crowd, senders: list[Member], text: str) -> None:
        self.crowd, self.senders, self.text = crowd, senders, text
        self.began: list[float] = []
        self.waits: list[float] = []

    def start(self, in_flight: int) -> None:
        self.crowd.mark = len(self.crowd.members)
        self.crowd.on_mark = self._next
        for _ in range(in_flight):
            self._send()

    def _next(self) -> None:
        """As much was heard as one more event makes."""
        self.crowd.mark += len(self.crowd.members)
        self.waits.append(time.perf_counter() - self.began[len(self.waits)])
        if self.crowd.running:
            self._send()

    def _send(self) -> None:
        self.began.append(time.perf_counter())
        self.senders[len(self.began) % len(self.senders)].say(self.text)


async def run(load: Load, *, members: int, in_flight: int, size: int = len(TEXT)) -> Figures:
    everyone = await load.dial(["bench"] * members, Member)
    pump = Pump(load.crowd, everyone[: len(load.ports)], TEXT.ljust(size, "."))
    pump.start(in_flight)
    meter = await load.measure()
    load.crowd.running = False
    figures = meter.per(meter.heard) | latencies(pump.waits[-max(1, meter.heard // members) :])
    return figures | await load.finish()
