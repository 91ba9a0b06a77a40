"""Fan-out: one large room; the next event is sent when the members together have heard as much as
one event makes, so that nobody falls behind however slow the server is.
"""

from __future__ import annotations

import time
from typing import Final

from benchmarks.crowd import Crowd, Member
from benchmarks.figures import Figures, latencies
from benchmarks.loading import TEXT, Load
from benchmarks.shapes.case import FAST, THROUGHPUT, TOO_LONG, Case

CASES: Final = [
    Case(
        name="fanout-500",
        title="Fan-out: a room of 500, 80 events in flight",
        unit="delivery",
        options={"members": 500, "in_flight": 80},
        smoke={"members": 50},
        columns=THROUGHPUT,
    ),
    Case(
        name="fanout-5000",
        title="Fan-out: a room of 5,000, 80 events in flight",
        unit="delivery",
        options={"members": 5000, "in_flight": 80},
        smoke={"members": 100},
        rounds=2,
        columns=THROUGHPUT,
        extra=5.0,
    ),
    Case(
        name="fanout-single",
        title="Fan-out: a room of 500, one event at a time",
        rounds=2,
        peers=FAST,
        absent=TOO_LONG,
        unit="delivery",
        options={"members": 500, "in_flight": 1},
        smoke={"members": 50},
        columns=THROUGHPUT,
    ),
]


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
