"""Many rooms: a thousand rooms of five, each on both nodes; the next event goes to the next room
when one is answered.
"""

from __future__ import annotations

import time
from itertools import cycle

from benchmarks.crowd import Member
from benchmarks.figures import Figures, latencies
from benchmarks.loading import TEXT, Load


class Speaker(Member):
    """When its event is answered, the next one in the round speaks."""

    round: Round

    def on_answer(self, text: bytes) -> None:
        self.round.waits.append(time.perf_counter() - self.times.popleft())
        if self.crowd.running:
            self.round.next()


class Round:
    """Gives the word to one member of each room in turn, on all nodes."""

    def __init__(self, speakers: list[Speaker]) -> None:
        self.speakers = cycle(speakers)
        self.waits: list[float] = []
        for speaker in speakers:
            speaker.round = self

    def next(self) -> None:
        next(self.speakers).say(TEXT)


async def run(load: Load, *, rooms: int, members: int, in_flight: int) -> Figures:
    everyone = await load.dial([f"r{n // members}" for n in range(rooms * members)], Speaker)
    # An odd number of members, so that the first ones of the rooms are on all nodes.
    turns = Round(everyone[::members])
    for _ in range(in_flight):
        turns.next()
    meter = await load.measure()
    load.crowd.running = False
    figures = meter.per(meter.answered) | latencies(turns.waits[-meter.answered :])
    return figures | await load.finish()
