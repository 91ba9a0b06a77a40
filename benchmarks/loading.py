"""What every shape needs inside the load's process: the crowd, the time to run, and the meter of
what the servers and Redis use meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from attrs import field, frozen

from benchmarks.crowd import Crowd, Failed, M, Member, Numbers
from benchmarks.dialects import DIALECTS, Plain
from benchmarks.figures import Figures
from benchmarks.processes import cpu_seconds, memory_bytes, values

TEXT = "hello, everybody here!"


@frozen(kw_only=True)
class Load:
    """One run of one shape against one peer's servers, which are up."""

    dialect_name: str
    ports: Sequence[int]
    pids: Sequence[int]
    redis: int
    """The pid of the Redis."""
    redis_port: int
    count: str
    """The key that holds how many events a room had, but for the room's name."""
    seconds: float
    """How long to measure."""
    warm: float
    """How long to run before that."""
    thorough: bool = False
    """Whether every client checks every number; else one on each node does."""
    crowd: Crowd = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "crowd", Crowd(self.dialect, self.ports))

    @property
    def dialect(self) -> Plain:
        return DIALECTS[self.dialect_name]

    def server_cpu(self) -> float:
        return sum(cpu_seconds(pid) for pid in self.pids)

    def server_memory(self) -> int:
        return sum(memory_bytes(pid) for pid in self.pids)

    async def dial(self, rooms: Sequence[str], kind: Callable[[Crowd, str], M]) -> list[M]:
        """Let clients in, one for each of `rooms`; those who check numbers are told to."""
        members = await self.crowd.dial(rooms, kind)
        checked = members if self.thorough else members[: len(self.ports)]
        for member in checked:
            member.numbers = Numbers()
        gc.collect()
        gc.freeze()
        gc.disable()
        return members

    async def measure(self) -> Meter:
        """Warm up, then measure for as long as the run takes."""
        await asyncio.sleep(self.warm)
        self.crowd.check()
        meter = Meter(self)
        await asyncio.sleep(self.seconds)
        meter.stop()
        self.crowd.check()
        return meter

    async def finish(self) -> Figures:
        """After the last event was sent: wait until all has arrived, and check that all has."""
        crowd = self.crowd
        sent: dict[str, int] = {}
        for member in crowd.members:
            sent[member.room] = sent.get(member.room, 0) + member.sent
        await crowd.until(lambda: crowd.answered >= crowd.sent, "an answer to every event")
        expected = sum(sent[member.room] for member in crowd.members)
        await crowd.until(lambda: crowd.heard >= expected, "every broadcast at every member")
        for member in crowd.members:
            if (member.answered, member.heard) != (member.sent, sent[member.room]):
                raise Failed(
                    f"{member.answered} answers to {member.sent} events,"
                    f" {member.heard} broadcasts of {sent[member.room]}"
                )
        self._check_counts(sent)
        return {"disorder": self._check_numbers(sent, crowd.members)}

    def _check_counts(self, sent: Mapping[str, int]) -> None:
        """Redis has counted as many events of each room as were sent."""
        counts = values(self.redis_port, [self.count.format(room=room) for room in sent])
        for (room, events), value in zip(sent.items(), counts, strict=True):
            if int(value or 0) != events:
                raise Failed(f"Redis has counted {value!r} of {events} events in {room}")

    @staticmethod
    def _check_numbers(sent: dict[str, int], members: Iterable[Member]) -> int:
        disorder = 0
        for member in members:
            if member.numbers is None:
                continue
            if member.numbers.last != sent[member.room]:
                raise Failed(f"numbers end at {member.numbers.last}, not {sent[member.room]}")
            disorder += member.numbers.disorder
        return disorder


class Meter:
    """What was done and used between two moments."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.answered, self.heard = load.crowd.answered, load.crowd.heard
        self.cpu, self.redis = load.server_cpu(), cpu_seconds(load.redis)
        self.load_cpu = time.process_time()
        self.seconds = time.perf_counter()

    def stop(self) -> None:
        crowd = self.load.crowd
        self.answered, self.heard = crowd.answered - self.answered, crowd.heard - self.heard
        self.cpu = self.load.server_cpu() - self.cpu
        self.redis = cpu_seconds(self.load.redis) - self.redis
        self.load_cpu = time.process_time() - self.load_cpu
        self.seconds = time.perf_counter() - self.seconds

    def per(self, units: int) -> Figures:
        """CPU of servers and Redis for one unit, units per second, and how busy who was."""
        if units == 0:
            raise Failed("nothing was done in the time to measure")
        return {
            "cpu_us": self.cpu / units * 1e6,
            "per_s": units / self.seconds,
            "redis_us": self.redis / units * 1e6,
            "server_busy": self.cpu / self.seconds,
            "load_busy": self.load_cpu / self.seconds,
        }
