"""Clients that come back and then only listen, and others who speak to them while they are on their
way and not a moment longer: so nothing that is said later hides what they missed.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Final

import trio
from attrs import define, field

from harness.faults.worker import Worker

DOZES: Final = 4.5  # seconds, at least, of silence
BACK: Final = 5.0  # seconds until a client is called no more
MANY: Final = 40  # of who joins all the time
NOOKS: Final = 4  # topics of its own that it is in


@define
class Dozers:
    """`calls`: whom to speak to now, and in which topics."""

    calls: dict[str, list[str]] = field(factory=dict)

    async def doze(self, worker: Worker, chance: random.Random) -> None:
        """Join a topic, be gone before that is answered, and come back."""
        actor, nooks, number = worker.actor, deque[str](), 0
        while True:
            await worker.rest(DOZES + chance.uniform(0, 1))
            number += 1
            nooks.append(f"nook:{actor.name}:{number}")
            self.calls[actor.name] = [f"user:{actor.name}", nooks[-1]]
            begun = await actor.begin("join", topic=nooks[-1])
            await trio.sleep(chance.choice((0.0, 0.002, 0.01)))
            await actor.drop(chance.choice((None, 0.0)))
            with trio.move_on_after(BACK):
                while not actor.connected:  # noqa: ASYNC110 - there is no event to wait for
                    await trio.sleep(0.002)
            del self.calls[actor.name]
            await actor.finish(begun)
            if len(nooks) > NOOKS:
                await actor.do("leave", topic=nooks.popleft())

    async def join(self, worker: Worker) -> None:
        """Join one topic after the other. Where the answer takes long, much is said until then."""
        actor, nooks, number = worker.actor, deque[str](), 0
        while True:
            await worker.rest(0.3)
            number += 1
            nooks.append(f"nook:{actor.name}:{number}")
            self.calls[actor.name] = [nooks[-1]]
            await actor.do("join", topic=nooks[-1])
            del self.calls[actor.name]
            if len(nooks) > MANY:
                await actor.do("leave", topic=nooks.popleft())

    async def call(self, worker: Worker, chance: random.Random) -> None:
        """Speak to who is on the way."""
        while True:
            topics = [topic for some in self.calls.values() for topic in some]
            if topics:
                await worker.actor.do("say", topic=chance.choice(topics))
            await worker.rest(0.002 if topics else 0.01)
