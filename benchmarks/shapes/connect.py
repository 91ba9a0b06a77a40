"""Connect: 5,000 clients get into their rooms, 64 at a time; and 5,000 clients that all lost their
connection come back at once. Where the server has sessions they resume, on the other node, and get
what was said meanwhile.
"""

from __future__ import annotations

from typing import Final

from benchmarks.callers import Caller, Switchboard
from benchmarks.crowd import Failed
from benchmarks.figures import Figures, latencies
from benchmarks.loading import TEXT, Load, Meter

AT_ONCE: Final = 64
WARM: Final = 500  # handshakes before those that count


async def run(load: Load, *, clients: int, rooms: int, again: bool) -> Figures:
    board = Switchboard()
    callers = [
        Caller(load.dialect, load.ports[number % len(load.ports)], f"r{number % rooms}")
        for number in range(clients + rooms)
    ]
    speakers, callers = callers[:rooms], callers[rooms:]
    warm = [Caller(load.dialect, load.ports[n % len(load.ports)], "warm") for n in range(WARM)]
    board.connect([*warm, *speakers], AT_ONCE)
    if not again:
        meter = Meter(load)
        waits = board.connect(callers, AT_ONCE)
        meter.stop()
        return meter.per(clients) | latencies(waits)
    board.connect(callers, AT_ONCE)
    board.hang_up(callers)
    for speaker in speakers:
        speaker.send(load.dialect.say(1, speaker.room, TEXT))
    board.attend(1.0)
    for number, caller in enumerate(callers):
        caller.port = load.ports[(number + 1) % len(load.ports)]
    meter = Meter(load)
    waits = board.connect(callers, clients)
    board.attend(0.1)
    meter.stop()
    return {**meter.per(clients), **latencies(waits), "all_s": max(waits), **_heard(load, callers)}


def _heard(load: Load, callers: list[Caller]) -> Figures:
    """Whether those who came back got what they missed."""
    got = sum(caller.heard for caller in callers)
    if load.dialect.resumes and got != len(callers):
        raise Failed(f"{got} clients of {len(callers)} got what was said while they were away")
    return {"caught_up": got / len(callers)}
