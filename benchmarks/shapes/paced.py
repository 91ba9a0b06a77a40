"""Paced: 500 events a second, whatever the server does; how long until the sender has its answer,
and until each member has the broadcast.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Final

from benchmarks.crowd import Crowd, Member
from benchmarks.figures import Figures, latencies
from benchmarks.loading import Load

EVENT: Final = re.compile(rb'"text":"(\d+)')


class Listener(Member):
    """Notes when each broadcast and each answer comes."""

    def __init__(self, crowd: Crowd, room: str) -> None:
        super().__init__(crowd, room)
        self.answers: list[float] = []
        self.hearings: list[float] = []
        self.began: list[float] = []  # when each event was sent, the crowd's; its text is the index

    def on_answer(self, text: bytes) -> None:
        self.answers.append(time.perf_counter() - self.times.popleft())

    def on_said(self, text: bytes) -> None:
        found = EVENT.search(text)
        assert found is not None
        self.hearings.append(time.perf_counter() - self.began[int(found[1])])


async def pace(senders: list[Listener], began: list[float], rate: float, size: int = 0) -> None:
    """Send at the times that the rate says; what is late is sent at once."""
    start = time.perf_counter()
    while senders[0].crowd.running:
        now = time.perf_counter()
        while len(began) < (now - start) * rate:
            began.append(time.perf_counter())
            senders[len(began) % len(senders)].say(str(len(began) - 1).ljust(size, "."))
        await asyncio.sleep(len(began) / rate - (time.perf_counter() - start))


async def run(load: Load, *, members: int, rate: float) -> Figures:
    began: list[float] = []
    listeners = await load.dial(["bench"] * members, Listener)
    for listener in listeners:
        listener.began = began
    pacing = asyncio.create_task(pace(listeners, began, rate))
    meter = await load.measure()
    load.crowd.running = False
    await pacing
    done = await load.finish()
    warm = int(rate * load.warm / members)  # of each member's events
    answers = [wait for one in listeners for wait in one.answers[warm:]]
    hearings = [wait for one in listeners for wait in one.hearings[warm * members :]]
    return meter.per(meter.answered) | latencies(hearings) | latencies(answers, "reply_") | done
