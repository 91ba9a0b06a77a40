"""A worker: one client's mind. It does something, rests, and stops at the gate."""

from __future__ import annotations

import random
from collections import deque
from typing import Any, Final, Protocol, final

import trio
from attrs import define, field

from harness.faults.app import ACCOUNTS
from harness.faults.proxy import Gate
from harness.faults.view import Sent

ROOMS: Final = ("tea", "milk", "salt")
COUNTERS: Final = ("x", "y")
REGISTERS: Final = ("p", "q")
SHELVES: Final = ("u", "v")
NAMES: Final = ("f", "g", "h", "i")
PACE: Final = 0.05  # seconds between two operations of a client, on average
NOOKS: Final = 6  # topics of its own that a client is in at a time
MANY: Final = 62  # unanswered at once: a few less than a session keeps answers
LARGE: Final = 20_000  # bytes: more than a topic remembers while somebody joins
STASH: Final = 250_000
MIX: Final = {
    "add": 20, "swap": 16, "get": 4, "move": 16, "look": 6, "say": 16, "who": 5, "join": 4,
    "leave": 3, "census": 6, "refuse": 2, "nook": 6, "word": 8, "hum": 3, "put": 3, "drop": 2,
    "turn": 2, "mark": 3, "wipe": 2, "push": 3, "tag": 3, "erase": 0.5, "shelf": 4, "brief": 2,
    "glance": 3,
    "stash": 0.3, "fetch": 0.5, "recall": 4, "flip": 4,
}  # fmt: skip
"""What a worker does, and how often."""

ITEMS: Final = frozenset(("put", "drop", "turn", "mark", "wipe", "push", "tag", "erase", "shelf"))


class Actor(Protocol):
    """What the crew needs of a client, be it Bare or Own."""

    name: str
    session: str | None
    topics: dict[str, list[Any]]
    hums: dict[str, str]
    connected: bool

    async def begin(self, name: str, **data: Any) -> Sent: ...
    async def finish(self, sent: Sent) -> tuple[str, Any]: ...
    async def do(self, name: str, **data: Any) -> tuple[str, Any]: ...
    async def post(self, name: str, **data: Any) -> None: ...
    async def repeat(self, sent: Sent) -> None: ...
    async def recall(self) -> None: ...
    async def drop(self, away: float | None = None) -> None: ...
    async def leave(self) -> None: ...
    async def vanish(self) -> None: ...
    async def run(self) -> None: ...


@define
class Places:
    """Topics in which there is one client, and nobody else to hide what it misses."""

    there: dict[str, Actor]
    nooks: deque[str] = field(factory=lambda: deque(maxlen=24))

    def one(self, chance: random.Random) -> str:
        """A nook, or a topic that somebody is in by itself."""
        luck = chance.random()
        if luck < 0.7 and self.nooks:
            return chance.choice(self.nooks)
        actors = [one for one in self.there.values() if not one.name.startswith(("doz", "joi"))]
        away = [actor for actor in actors if not actor.connected]  # about to come back, perhaps
        actor = chance.choice(away or actors)
        if luck < 0.85 or actor.session is None:
            return f"user:{actor.name}"
        return f"session:{actor.session}"


@final
class Worker:
    """One actor's mind."""

    def __init__(
        self, name: str, actor: Actor, chance: random.Random, gate: Gate, places: Places
    ) -> None:
        self.actor = actor
        self._name = name
        self.idle = False
        self._chance = chance
        self._gate = gate
        self._places = places
        self._seen: dict[str, str | None] = {}  # registers, as they were last read
        self._nooks: deque[str] = deque()
        self._number = 0

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
            elif luck < 0.12:
                kind = self._chance.choice(["add", "flip"])
                await self.actor.post(kind, **self._data(kind))
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
        mix = ["add", "say", "swap", "move", "push", "mark", "turn", "word", "join", "census"]
        most = MANY if self._chance.random() < 0.05 else 12
        kinds = self._chance.choices(mix, k=self._chance.randint(2, most))
        begun = [await self._begin(kind) for kind in kinds]
        for sent in begun:
            await self.actor.finish(sent)

    async def _begin(self, kind: str) -> Sent:
        event = "say" if kind == "word" else kind
        return await self.actor.begin(event, **self._data(kind))

    async def _one(self) -> None:
        [kind] = self._chance.choices([*MIX], [*MIX.values()])
        if kind == "nook":
            await self._move_in()
        elif kind == "recall":
            await self.actor.recall()
        else:
            sent = await self._begin(kind)
            how, answer = await self.actor.finish(sent)
            self._learn(sent, how, answer)
            if self._chance.random() < 0.06:
                await self.actor.repeat(sent)

    async def _move_in(self) -> None:
        """Enter a topic where nobody else is. Others may speak there, from just before that on."""
        chance = self._chance
        self._number += 1
        nook = f"nook:{self._name}:{self._number}"
        self._places.nooks.append(nook)
        self._nooks.append(nook)
        how = chance.random()
        if how < 0.6:
            await self.actor.do("join", topic=nook)
        else:
            words = 17 if how < 0.8 else 1
            await self.actor.do("enter", topic=nook, words=words, pad=0 if words > 1 else LARGE)
        if len(self._nooks) > NOOKS:
            await self.actor.do("leave", topic=self._nooks.popleft())

    def _data(self, kind: str) -> dict[str, Any]:
        chance = self._chance
        if kind in ITEMS:
            return {"key": chance.choice(SHELVES), "part": chance.choice(NAMES)}
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
            case "say" | "hum":
                topics = [*(f"room:{room}" for room in ROOMS), "all"]
                return {"topic": chance.choices(topics, (10, 5, 5, 1))[0]}
            case "word":
                return {"topic": self._places.one(chance)}
            case "who" | "census" | "join" | "leave":
                return {"topic": f"room:{chance.choice(ROOMS[1:] if kind == 'leave' else ROOMS)}"}
            case "refuse":
                return {"fail": chance.random() < 0.3}
            case "brief" | "glance" | "fetch" | "flip":
                return {"key": chance.choice(SHELVES)}
            case "stash":
                return {"key": chance.choice(SHELVES), "size": STASH}
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
