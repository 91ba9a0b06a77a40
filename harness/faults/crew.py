"""The clients of a run: workers that stay, movers that change nodes every second, returners that
are away for about their grace, visitors that come and go, one that reads slowly, one that asks for
more than is good, listeners that never say a word. And a steward, who asks how things stand.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Final, final

import trio
from attrs import frozen

from harness.faults.bare import Bare
from harness.faults.dozing import Dozers
from harness.faults.own import Own
from harness.faults.proxy import Gate
from harness.faults.record import Recorder
from harness.faults.worker import ROOMS, Actor, Places, Worker

SLOW: Final = 3000.0  # bytes a second
BULK: Final = 6000  # bytes of a broadcast in the slow client's room
NOOKS: Final = 20  # of each client, whose members are counted
FAT: Final = 550_000  # bytes of an answer: a whole ring of them is over the output limit of Redis


@frozen
class Hands:
    """How many there are of each kind."""

    workers: int = 8
    movers: int = 2
    returners: int = 2
    visitors: int = 3
    slow: int = 1
    listeners: int = 2
    gluttons: int = 1
    posters: int = 4
    dozers: int = 6
    grace: float = 2.0  # seconds


@final
class Crew:
    """All clients. `there` are the actors that have begun and not said goodbye."""

    def __init__(
        self, urls: Sequence[str], recorder: Recorder, seed: int, nursery: trio.Nursery
    ) -> None:
        self.there: Final[dict[str, Actor]] = {}
        self.workers: Final[list[Worker]] = []
        self.slow: Final[list[Bare]] = []
        self._visits: set[trio.CancelScope] = set()
        self.gate: Final = Gate()
        self.places: Final = Places(self.there)
        self.dozers: Final = Dozers()
        self.urls: Final = list(urls)
        self.recorder: Final = recorder
        self._seed = seed
        self._nursery = nursery
        self.steward: Final[Actor] = self._enter(Bare, "steward", ROOMS)

    def man(self, hands: Hands, kinds: Sequence[Callable[..., Actor]] = (Bare, Own)) -> None:
        """Send them out. Of each kind half are bare and half are made of the client, or all are
        of the one kind given."""
        number = len(kinds)
        for n in range(hands.listeners):
            self._enter(kinds[n % number], f"listener-{n + 1}", ROOMS)
        for n in range(hands.returners):
            actor = self._enter(kinds[n % number], f"returner-{n + 1}", ROOMS[:1])
            self._nursery.start_soon(self._come_back, self._mind(actor), hands.grace)
        for n in range(hands.workers):
            actor = self._enter(kinds[n % number], f"worker-{n + 1}", ROOMS)
            self._nursery.start_soon(self._mind(actor).run)
            if n % 4 < number:  # of two minds: one goes on while the other waits for an answer
                self._nursery.start_soon(self._mind(actor, f"{actor.name}-too").run)
        for n in range(hands.movers):
            actor = self._enter(kinds[n % number], f"mover-{n + 1}", ROOMS[:2])
            self._nursery.start_soon(self._move_about, self._mind(actor))
        for n in range(hands.visitors):
            self._nursery.start_soon(self._visit, f"visitor-{n + 1}", kinds[n % number])
        for n in range(hands.slow):
            self._nursery.start_soon(self._read_slowly, f"slow-{n + 1}")
        for n in range(hands.posters):
            actor = self._enter(kinds[n % number], f"poster-{n + 1}", ())
            self._nursery.start_soon(self._post, self._mind(actor))
        for n in range(hands.dozers):
            actor = self._enter(kinds[n % number], f"dozer-{n + 1}", ())
            mind = self._mind(actor)
            self._nursery.start_soon(self.dozers.doze, mind, self.chance(f"{actor.name} doze"))
        for n in range(hands.dozers // 2):
            actor = self._enter(kinds[n % number], f"joiner-{n + 1}", ())
            self._nursery.start_soon(self.dozers.join, self._mind(actor))
        for n in range(min(2, hands.dozers)):
            actor = self._enter(Bare, f"caller-{n + 1}", ())
            mind = self._mind(actor)
            self._nursery.start_soon(self.dozers.call, mind, self.chance(f"{actor.name} call"))
        for n in range(hands.gluttons):
            self._nursery.start_soon(self._gorge, f"glutton-{n + 1}")

    def chance(self, name: str) -> random.Random:
        """A source of chance for one client, from the seed of the run."""
        return random.Random(f"{self._seed} {name}")

    @property
    def idle(self) -> bool:
        """Whether everybody is connected and waits at the gate."""
        return all(worker.idle for worker in self.workers) and all(
            actor.connected for actor in self.there.values()
        )

    def nooks(self) -> list[str]:
        """The latest topics in which somebody is alone, some of each client."""
        return [
            topic
            for actor in self.there.values()
            for topic in [one for one in actor.topics if one.startswith("nook:")][-NOOKS:]
        ]

    def _enter(self, kind: Callable[..., Actor], name: str, rooms: Sequence[str]) -> Actor:
        actor = kind(name, self.urls, self.recorder, self.chance(f"{name} way"), ",".join(rooms))
        self.there[name] = actor
        self._nursery.start_soon(actor.run)
        return actor

    def _mind(self, actor: Actor, name: str = "") -> Worker:
        name = name or actor.name
        worker = Worker(name, actor, self.chance(name), self.gate, self.places)
        self.workers.append(worker)
        return worker

    async def _move_about(self, worker: Worker) -> None:
        """Another node every second, in the middle of its work."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.run)
            while True:
                await trio.sleep(1)
                await self.gate.passed()
                await worker.actor.drop()

    async def _come_back(self, worker: Worker, grace: float) -> None:
        """Be away for about as long as a session may be: just in time, or just too late."""
        chance = self.chance(f"{worker.actor.name} away")
        while True:
            await worker.work(10)
            await worker.rest(0)
            await worker.actor.drop(grace * chance.uniform(0.8, 1.4))

    def depart(self) -> None:
        """All visitors that are here go now, with no word."""
        for visit in self._visits:
            visit.cancel()

    async def _visit(self, who: str, kind: Callable[..., Actor]) -> None:
        """Come, do a little, go: with a goodbye or without."""
        chance, number = self.chance(who), 0
        while True:
            number += 1
            actor = self._enter(kind, f"{who}-{number}", chance.sample(ROOMS, 2))
            worker = self._mind(actor)
            with trio.CancelScope() as visit:
                self._visits.add(visit)
                await worker.work(chance.randint(1, 30))
                await worker.rest(0)
            self._visits.remove(visit)
            self.workers.remove(worker)
            del self.there[actor.name]
            how = 1.0 if visit.cancelled_caught else chance.random()
            if how < 0.4:
                with trio.move_on_after(1):
                    await actor.do("bye")
            await (actor.leave() if how < 0.6 else actor.vanish())
            await trio.sleep(chance.uniform(0, 1))
            await self.gate.passed()

    async def _read_slowly(self, name: str) -> None:
        """A room full of long broadcasts, and a member that cannot keep up with them."""
        actor = Bare(name, self.urls, self.recorder, self.chance(f"{name} way"), rooms="bulk")
        self.there[name] = actor
        self.slow.append(actor)
        self._nursery.start_soon(actor.run)
        worker = self._mind(self._enter(Own, f"{name}-speaker", ()))
        while True:
            actor.rate = SLOW
            self.recorder.note("slow", c=name)
            for _ in range(120):
                await worker.rest(0.05)
                await worker.actor.do("say", topic="room:bulk", pad=BULK)
            actor.rate = math.inf
            self.recorder.note("fast", c=name)
            await worker.rest(5)

    async def _post(self, worker: Worker) -> None:
        """Send what is not answered: nothing holds that up, so that much of it is under way."""
        while True:
            await worker.rest(0.1)  # one that reads nothing does not wait for those before it
            await worker.actor.post("add", key="post")
            await worker.actor.post("flip", key="post")

    async def _gorge(self, name: str) -> None:
        """Fill a ring with large answers, and ask for the session again: that must cost the node,
        and everybody else, nothing."""
        worker = self._mind(self._enter(Bare, name, ()))
        self.recorder.note("slow", c=name)  # what comes behind a large answer may be too much
        while True:
            for _ in range(66):
                await worker.rest(0.01)
                await worker.actor.do("gulp", key=name, size=FAT)
            await worker.rest(0)
            await worker.actor.drop()
            await worker.rest(5)


def all_topics() -> list[str]:
    """What the steward looks after."""
    return [*(f"room:{room}" for room in (*ROOMS, "bulk")), "all"]
