"""Slow consumers: a room of 30 gets 200 events of 8 KB a second; first all of them read, then
three more come who never do. What do those who read feel, and what do the servers keep?
"""

from __future__ import annotations

import asyncio
import select
from typing import Final

from benchmarks.callers import Caller, Switchboard
from benchmarks.figures import Figures, latencies
from benchmarks.loading import Load, Meter
from benchmarks.shapes.paced import Listener, pace

SHARE: Final = 0.25  # of the time to measure, without the slow ones
QUIET: Final = 1.0  # seconds with nothing from a server, after which it has not closed


async def run(load: Load, *, members: int, slow: int, rate: float, size: int) -> Figures:
    began: list[float] = []
    listeners = await load.dial(["bench"] * members, Listener)
    for listener in listeners:
        listener.began = began
    pacing = asyncio.create_task(pace(listeners, began, rate, size))
    await asyncio.sleep(load.warm)
    heard = [len(one.hearings) for one in listeners]
    await asyncio.sleep(load.seconds * SHARE)
    alone = [w for one, n in zip(listeners, heard, strict=True) for w in one.hearings[n:]]

    memory = load.server_memory()
    sleepers = [Caller(load.dialect, load.ports[n % len(load.ports)], "bench") for n in range(slow)]
    await asyncio.to_thread(_fall_asleep, sleepers)
    heard = [len(one.hearings) for one in listeners]
    meter = Meter(load)
    await asyncio.sleep(load.seconds * (1 - SHARE))
    meter.stop()
    memory = load.server_memory() - memory
    felt = [w for one, n in zip(listeners, heard, strict=True) for w in one.hearings[n:]]

    load.crowd.running = False
    await pacing
    done = await load.finish()
    closed = await asyncio.to_thread(lambda: sum(_is_closed(one) for one in sleepers))
    return {
        **meter.per(meter.answered),
        **latencies(felt),
        **latencies(alone, "alone_"),
        "memory_mb": memory / 1e6,
        "closed": closed / slow,
        **done,
    }


def _fall_asleep(callers: list[Caller]) -> None:
    """Get into the room, and read nothing from then on."""
    Switchboard().connect(callers, len(callers))


def _is_closed(caller: Caller) -> bool:
    """Whether the server has ended a connection, when all that waited in it was read."""
    assert caller.socket is not None
    while select.select([caller.socket], [], [], QUIET)[0]:
        try:
            if not caller.socket.recv(1 << 20):
                return True
        except ConnectionError:
            return True
    return False
