"""The clients of a run and what they do: workers that stay, movers that change nodes every second,
returners that are away for about their grace, visitors that come and go, one that reads slowly,
listeners that never say a word. And a steward, who asks how things stand.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, final

import trio
from attrs import frozen

from tests.faults.app import ACCOUNTS
from tests.faults.bare import Bare, Sent
from tests.faults.own import Own
from tests.faults.proxy import Gate
from tests.faults.record import Recorder

ROOMS: Final = ("tea", "milk", "salt")
COUNTERS: Final = ("x", "y")
REGISTERS: Final = ("p", "q")
PACE: Final = 0.05  # seconds between two operations of a client, on average
SLOW: Final = 3000.0  # bytes a second
BULK: Final = 6000  # bytes of a broadcast in the slow client's room


class Actor(Protocol):
    """What the crew needs of a client, be it Bare or Own."""

    name: str
    session: str | None
    topics: dict[str, list[Any]]
    connected: bool

    async def begin(self, name: str, **data: Any) -> Sent: ...
    async def finish(self, sent: Sent) -> tuple[str, Any]: ...
    async def do(self, name: str, **data: Any) -> tuple[str, Any]: ...
    async def post(self, name: str, **data: Any) -> None: ...
    async def repeat(self, sent: Sent) -> None: ...
    async def drop(self, away: float = 0) -> None: ...
    async def leave(self) -> None: ...
    async def vanish(self) -> None: ...
    async def run(self) -> None: ...


@final
class Worker:
    """One actor's mind: it does something, rests, and stops at the gate."""

    def __init__(self, actor: Actor, chance: random.Random, gate: Gate) -> None:
        self.actor = actor
        self.idle = False
        self._chance = chance
        self._gate = gate
        self._seen: dict[str, str | None] = {}  # registers, as they were last read

    async def run(self) -> None:
        """Work, for ever."""
        while True:
            await self.work(1)

    async def work(self, times: int) -> None:
        """So many operations, or bursts of them."""
        for _ in range(times):
            await self.rest(self._chance.expovariate(1 / PACE))
            luck = self._chance.random()
            if luck < 0.05:
                await self._burst()
            elif luck < 0.08:
                await self.actor.post("add", **self._data("add"))
            else:
                await self._one()

    async def rest(self, seconds: float) -> None:
        """Do nothing, and less than that while the gate is shut."""
        self.idle = True
        await trio.sleep(seconds)
        await self._gate.passed()
        self.idle = False

    async def _burst(self) -> None:
        """Several under way at once: they must be applied in this order."""
        kinds = self._chance.choices(["add", "say", "swap", "move"], k=self._chance.randint(2, 12))
        begun = [await self.actor.begin(kind, **self._data(kind)) for kind in kinds]
        for sent in begun:
            await self.actor.finish(sent)

    async def _one(self) -> None:
        kinds = ("add", "swap", "get", "move", "look", "say", "who", "join", "leave", "refuse")
        kind = self._chance.choices(kinds, (25, 20, 5, 20, 8, 20, 6, 2, 1, 2))[0]
        sent = await self.actor.begin(kind, **self._data(kind))
        how, answer = await self.actor.finish(sent)
        self._learn(sent, how, answer)
        if self._chance.random() < 0.04:
            await self.actor.repeat(sent)

    def _data(self, kind: str) -> dict[str, Any]:
        chance = self._chance
        match kind:
            case "add":
                return {"key": chance.choice(COUNTERS)}
            case "get":
                return {"key": chance.choice(REGISTERS)}
            case "swap":
                key = chance.choice(REGISTERS)
                new = f"{self.actor.name}:{chance.getrandbits(40):x}"
                return {"key": key, "old": self._seen.get(key), "new": new}
            case "move":
                source, target = chance.sample(ACCOUNTS, 2)
                return {"source": source, "target": target, "amount": chance.randint(1, 40)}
            case "say":
                topics = [*(f"room:{room}" for room in ROOMS), "all"]
                return {"topic": chance.choices(topics, (10, 5, 5, 1))[0]}
            case "who" | "join" | "leave":
                return {"topic": f"room:{chance.choice(ROOMS[1:] if kind == 'leave' else ROOMS)}"}
            case "refuse":
                return {"fail": chance.random() < 0.3}
        return {}

    def _learn(self, sent: Sent, how: str, answer: Any) -> None:
        """The next swap begins with what is there now."""
        key = sent.data.get("key", "")
        match sent.event, how:
            case "get", "ok":
                self._seen[key] = answer
            case "swap", "ok":
                self._seen[key] = sent.data["new"]
            case "swap", "differs":
                self._seen[key] = answer or None


@frozen
class Hands:
    """How many there are of each kind."""

    workers: int = 8
    movers: int = 2
    returners: int = 2
    visitors: int = 3
    slow: int = 1
    listeners: int = 2
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
        self.urls: Final = list(urls)
        self._recorder = recorder
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
        for n in range(hands.movers):
            actor = self._enter(kinds[n % number], f"mover-{n + 1}", ROOMS[:2])
            self._nursery.start_soon(self._move_about, self._mind(actor))
        for n in range(hands.visitors):
            self._nursery.start_soon(self._visit, f"visitor-{n + 1}", kinds[n % number])
        for n in range(hands.slow):
            self._nursery.start_soon(self._read_slowly, f"slow-{n + 1}")

    def chance(self, name: str) -> random.Random:
        """A source of chance for one client, from the seed of the run."""
        return random.Random(f"{self._seed} {name}")

    @property
    def idle(self) -> bool:
        """Whether everybody is connected and waits at the gate."""
        return all(worker.idle for worker in self.workers) and all(
            actor.connected for actor in self.there.values()
        )

    def _enter(self, kind: Callable[..., Actor], name: str, rooms: Sequence[str]) -> Actor:
        actor = kind(name, self.urls, self._recorder, self.chance(f"{name} way"), ",".join(rooms))
        self.there[name] = actor
        self._nursery.start_soon(actor.run)
        return actor

    def _mind(self, actor: Actor) -> Worker:
        worker = Worker(actor, self.chance(actor.name), self.gate)
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
            goodbye = chance.random() < 0.5 and not visit.cancelled_caught
            await (actor.leave() if goodbye else actor.vanish())
            await trio.sleep(chance.uniform(0, 1))
            await self.gate.passed()

    async def _read_slowly(self, name: str) -> None:
        """A room full of long broadcasts, and a member that cannot keep up with them."""
        actor = Bare(name, self.urls, self._recorder, self.chance(f"{name} way"), rooms="bulk")
        self.there[name] = actor
        self.slow.append(actor)
        self._nursery.start_soon(actor.run)
        worker = self._mind(self._enter(Own, f"{name}-speaker", ()))
        while True:
            actor.rate = SLOW
            for _ in range(120):
                await worker.rest(0.05)
                await worker.actor.do("say", topic="room:bulk", pad=BULK)
            actor.rate = math.inf
            await worker.rest(5)


def all_topics() -> list[str]:
    """What the steward looks after."""
    return [*(f"room:{room}" for room in (*ROOMS, "bulk")), "all"]
