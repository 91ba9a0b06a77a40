"""Large messages: a room of ten, events of 64 KB and of 1 MB, each broadcast to all."""

from __future__ import annotations

from benchmarks.figures import Figures
from benchmarks.loading import Load
from benchmarks.shapes import fanout


async def run(load: Load, *, members: int, in_flight: int, size: int) -> Figures:
    return await fanout.run(load, members=members, in_flight=in_flight, size=size)
