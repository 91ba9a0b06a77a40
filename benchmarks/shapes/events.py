"""Events: ten members of one room on two nodes, each event counted in Redis, broadcast with its
number and answered; a client sends its next event when one of its own is answered.
"""

from __future__ import annotations

import time

from benchmarks.crowd import Member
from benchmarks.figures import Figures, latencies
from benchmarks.loading import TEXT, Load


class Sender(Member):
    """Sends the next event when one is answered, and notes how long that took."""

    waits: list[float]

    def on_answer(self, text: bytes) -> None:
        self.waits.append(time.perf_counter() - self.times.popleft())
        if self.crowd.running:
            self.say(TEXT)


async def run(load: Load, *, members: int, in_flight: int) -> Figures:
    waits: list[float] = []
    for member in await load.dial(["bench"] * members, Sender):
        member.waits = waits
    for number in range(in_flight):
        load.crowd.members[number % members].say(TEXT)
    meter = await load.measure()
    load.crowd.running = False
    figures = meter.per(meter.answered) | latencies(waits[-meter.answered :])
    return figures | await load.finish()
