"""Idle: ten thousand connections in a thousand rooms that do nothing: the memory of each, and the
processor time of all. The time holds a ping of each connection (all servers ping every 20 s).
"""

from __future__ import annotations

from benchmarks.callers import Caller, Switchboard
from benchmarks.figures import Figures
from benchmarks.loading import Load, Meter


async def run(load: Load, *, clients: int, rooms: int, settle: float) -> Figures:
    board = Switchboard()
    before = load.server_memory()
    callers = [
        Caller(load.dialect, load.ports[number % len(load.ports)], f"r{number % rooms}")
        for number in range(clients)
    ]
    board.connect(callers, 64)
    board.attend(settle)
    memory = load.server_memory() - before
    meter = Meter(load)
    board.attend(load.seconds)
    meter.stop()
    return {
        "memory_kb": memory / clients / 1024,
        "busy_percent": meter.cpu / meter.seconds * 100,
        "cpu_us": meter.cpu / meter.seconds / clients * 1e6,
    }
