"""Large messages: a room of ten, events of 64 KB and of 1 MB, each broadcast to all."""

from __future__ import annotations

from typing import Final

from benchmarks.figures import Figures
from benchmarks.loading import Load
from benchmarks.shapes import fanout
from benchmarks.shapes.case import THROUGHPUT, Case

CASES: Final = [
    Case(
        name="large-64k",
        title="Large messages: 64 KB to a room of 10, 8 in flight",
        unit="delivery",
        options={"members": 10, "in_flight": 8, "size": 65_536},
        smoke={"members": 4},
        rounds=2,
        columns=THROUGHPUT,
    ),
    Case(
        name="large-1m",
        title="Large messages: 1 MB to a room of 10, one at a time",
        unit="delivery",
        options={"members": 10, "in_flight": 1, "size": 1_000_000},
        smoke={"members": 4, "size": 500_000},
        rounds=2,
        columns=THROUGHPUT,
    ),
]


async def run(load: Load, *, members: int, in_flight: int, size: int) -> Figures:
    return await fanout.run(load, members=members, in_flight=in_flight, size=size)
