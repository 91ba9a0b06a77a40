"""One run: rounds of faults under load; after each, all is made whole and must come to rest.
Everything is recorded; nothing is judged here.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson
import redis
import trio
from attrs import asdict, field, frozen

from harness.faults.checks import GRACE, REDIS_PATIENCE
from harness.faults.crew import Crew, Hands, all_topics
from harness.faults.fleet import NodeProcess, fleet
from harness.faults.harm import FAULTS, LEASE, mischief
from harness.faults.record import Recorder
from harness.faults.stage import Stage
from harness.faults.stores import stores
from harness.faults.view import Sent
from harness.faults.world import Timeline

NODES: Final = 3
SETTINGS: Final[Mapping[str, Any]] = {
    "lease": LEASE,
    "grace": GRACE,
    "janitor_round": 0.3,
    "drain": 3.0,
    "link_deadline": 1.0,
    "redis_patience": REDIS_PATIENCE,
    "redis_away": 4.0,
    "event_deadline": 3.0,
    "ping_interval": 1.5,
    "ping_timeout": 1.5,
    "handshake_timeout": 3.0,
    "outbox": 65536,
    "catchup_page": 8,  # so that to catch up takes several
}
STILL: Final = 2 * LEASE  # seconds for a node to find that its record was lost with Redis
ALONE: Final = (
    "link-swallow", "links-apart", "link-late", "lagging-failover", "slow-flush", "link-swallow",
    "late-delivery",
)  # fmt: skip
LOOK: Final = 4.0  # seconds between two looks into the ledger
CALM: Final = 5.0  # seconds of work in which nothing is wrong
QUIET: Final = 20.0  # seconds until everything is answered and everybody is back
START: Final = 5.0  # seconds until there are faults, about
REST: Final = 10.0  # seconds of a round's rest, about
LEAST: Final = 5.0  # seconds of faults for which another round is worth its rest
DEAF: Final = 0.3  # seconds that a node is cut off from Redis at last
HEARD: Final = 10.0  # seconds until everybody has heard the last word
ORPHANED: Final = LEASE + GRACE + 5.0  # seconds until those of a dead node are gone, all of them
BURIED: Final = LEASE + GRACE + 15.0  # seconds until no ghost is left: a janitor may have died


@frozen
class Plan:
    """What a run shall be. `seconds` is how long it lasts, in rounds of `round` and a rest each;
    longer, if it takes longer for each fault to come once."""

    seed: int
    engine: str
    seconds: float
    faults: tuple[str, ...]
    round: float = 15.0
    gap: float = 1.0
    hands: Hands = field(factory=lambda: Hands(grace=GRACE))

    @property
    def most(self) -> float:
        """Seconds for each fault to come once, one every second or three at a time, and a rest."""
        return START + len(self.faults) * max(self.gap, 1.0) + REST


def prepare(plan: Plan, folder: Path) -> None:
    """An empty folder, but for the plan."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    (folder / "plan.json").write_bytes(orjson.dumps(asdict(plan), option=orjson.OPT_INDENT_2))


async def run(
    plan: Plan,
    folder: Path,
    binary: Path,
    say: Callable[[str], None],
    stop: trio.Event | None = None,
    spoilt: Callable[[], bool] | None = None,
) -> None:
    """Play a run and write it down: history.jsonl, the ledgers, the nodes' logs. When it shall
    `stop` it comes to rest once more. `spoilt` is asked at each rest, and ends it, too;
    then it raises Violation, without a rest, where the ledger cannot be.
    """
    prepare(plan, folder)
    recorder = Recorder(folder / "history.jsonl")
    try:
        async with (
            stores(recorder, folder, binary) as both,
            fleet(NODES, recorder, folder, SETTINGS) as nodes,
        ):
            for node in nodes:
                both.add_link(node.link)
            async with trio.open_nursery() as starting:
                for node in nodes:
                    starting.start_soon(node.start)
            await _play(
                plan,
                Stage(both, nodes, recorder, say),
                trio.Event() if stop is None else stop,
                spoilt,
            )
    finally:
        recorder.close()


async def _play(
    plan: Plan, stage: Stage, stop: trio.Event, spoilt: Callable[[], bool] | None
) -> None:
    chance = random.Random(plan.seed)
    faults = [FAULTS[name] for name in plan.faults]
    deck = chance.sample(faults, len(faults))
    async with trio.open_nursery() as nursery:
        for node in stage.nodes:
            nursery.start_soon(node.watch)
        urls = [node.url for node in stage.nodes]
        if spoilt:
            nursery.start_soon(_watch, stage)
        crew = Crew(urls, stage.recorder, plan.seed, nursery)
        crew.man(plan.hands)
        stage.depart = crew.depart
        rounds = 0
        while True:
            left = plan.seconds - stage.recorder.now() - REST
            seconds = min(plan.round, left)
            last = left - seconds < LEAST + REST
            hush = crew.gate.shut
            await _do_one_alone(plan, stage, crew, chance, rounds, stop)
            rounds += 1
            await mischief(stage, chance, deck, faults, seconds, plan.gap, hush, stop, last)
            await come_to_rest(stage, crew)
            await _keep_books(stage, crew)
            if stop.is_set() or last or (spoilt and await trio.to_thread.run_sync(spoilt)):
                break
            await stage.stores.empty_ledger()
            crew.gate.open()
        nursery.cancel_scope.cancel()


async def _do_one_alone(
    plan: Plan, stage: Stage, crew: Crew, chance: random.Random, rounds: int, stop: trio.Event
) -> None:
    """One fault, and a calm in which nothing makes good for what it did. Then everybody is in the
    topics that it was told to be in, also of those where it is alone."""
    await trio.sleep(1)
    name = ALONE[(rounds + plan.seed) % len(ALONE)]
    if name in plan.faults:
        await FAULTS[name].harm(stage, random.Random(chance.getrandbits(64)))
    with trio.move_on_after(CALM):
        await stop.wait()
    for topic in crew.nooks():
        await count_members(stage.recorder, crew, topic, CALM)


async def _watch(stage: Stage) -> None:
    """Look at the ledger while it grows. Raises Violation where it cannot be."""
    while True:
        await trio.sleep(LOOK)
        with suppress(redis.RedisError):
            lines = await stage.stores.look_into_ledger()
            bare = frozenset(name for node in stage.nodes for name in node.bare())
            await trio.to_thread.run_sync(partial(Timeline, lines, bare=bare))


async def _keep_books(stage: Stage, crew: Crew) -> None:
    """Write all down that a judge needs: whatever happens next, so far the run can be judged."""
    for node in stage.nodes:
        node.note_log()
    live = [actor.session for actor in crew.there.values()]
    held = await stage.stores.measure()
    stage.recorder.note("held", living=len(stage.nodes), **held)
    stage.recorder.note("end", live=live)
    await stage.stores.keep_books()
    stage.recorder.flush()


async def come_to_rest(stage: Stage, crew: Crew) -> None:
    """Everything is answered, everybody is there and hears, and nobody is there who has gone. What
    does not come about in time is for the checks to find."""
    stage.say("quiet")
    for slow in crew.slow:
        slow.rate = float("inf")
    with trio.move_on_after(QUIET):
        await until_still(crew)
    # Now, since a link that was lost makes good for what was missed before.
    await find_levels(stage.recorder, crew)
    words = [word for node in stage.nodes for word in await _speak_behind_its_back(node, crew)]
    with trio.move_on_after(QUIET):
        for word in words:
            await crew.steward.finish(word)
        await until(lambda: crew.idle)
    stage.recorder.note("quiet", idle=crew.idle)
    await find_levels(stage.recorder, crew)
    for topic in all_topics():
        await last_word(stage.recorder, crew, topic)
    for topic in all_topics()[:-1]:
        await count_members(stage.recorder, crew, topic, BURIED)
    await count_members(stage.recorder, crew, "room:crowd", ORPHANED)
    for topic in crew.nooks():
        await count_members(stage.recorder, crew, topic, CALM)
    stage.say("at rest")


async def _speak_behind_its_back(node: NodeProcess, crew: Crew) -> list[Sent]:
    """A word in every topic while a node is cut off from Redis: it must find out by itself."""
    async with node.link.busy:
        begun = crew.recorder.now()
        node.link.refuses = True
        node.link.cut()
        words = [await crew.steward.begin("say", topic=topic) for topic in all_topics()]
        await trio.sleep(DEAF)
        node.link.heal()
        crew.recorder.note("deaf", node=node.name, begun=begun)
    return words


async def find_levels(recorder: Recorder, crew: Crew) -> None:
    """All members of each topic have heard as many words as were said in it, before another word
    is said, so that nobody waits for that. The most are in topics where nobody else is.
    """
    topics = sorted({topic for actor in crew.there.values() for topic in actor.topics})
    end = trio.current_time() + HEARD
    for some in (topics[at : at + 50] for at in range(0, len(topics), 50)):
        asked = [(topic, await crew.steward.begin("count", topic=topic)) for topic in some]
        for topic, sent in asked:
            with trio.move_on_at(end):
                how, n = await crew.steward.finish(sent)
                if how == "ok":
                    await find_level(recorder, crew, topic, n, end)


async def find_level(
    recorder: Recorder, crew: Crew, topic: str, number: int | None, end: float
) -> None:
    """Wait for all members of one topic to have heard so many words, or to be at one place."""

    def places() -> dict[str, list[Any]]:
        return {a.name: a.topics[topic] for a in crew.there.values() if topic in a.topics}

    def level() -> bool:
        there = {tuple(at) for at in places().values()}
        return len(there) < 2 and all(number in (None, at[1]) for at in there)

    with trio.move_on_at(end):
        await until(level)
    recorder.note("level", topic=topic, n=number, at=places())


async def last_word(recorder: Recorder, crew: Crew, topic: str) -> None:
    """One more broadcast, which everybody who is there must hear."""
    sent = await crew.steward.begin("say", topic=topic)
    there = [actor for actor in crew.there.values() if topic in actor.topics or topic == "all"]
    with trio.move_on_after(HEARD):
        how, n = await crew.steward.finish(sent)
        if how == "ok":
            await until(lambda: all(actor.topics.get(topic, ["", 0])[1] >= n for actor in there))
    clients = [actor.name for actor in there]
    recorder.note("marker", topic=topic, op=sent.op, clients=clients)
    sent = await crew.steward.begin("hum", topic=topic)
    with trio.move_on_after(HEARD):
        if (await crew.steward.finish(sent))[0] == "ok":
            await until(lambda: all(actor.hums.get(topic) == sent.op for actor in there))
    recorder.note("marker", topic=topic, op=sent.op, clients=clients)


async def count_members(recorder: Recorder, crew: Crew, topic: str, patience: float) -> None:
    """Who is in a topic, once that is who is there; or after so many seconds."""
    seen: list[str] = []
    there: list[str] = []
    with trio.move_on_after(patience):
        while True:
            _, seen = await crew.steward.do("who", topic=topic)
            there = sorted(str(a.session) for a in crew.there.values() if topic in a.topics)
            if seen == there:
                break
            await trio.sleep(0.2)
    recorder.note("members", topic=topic, seen=seen, there=there)


async def until_still(crew: Crew) -> None:
    """Everybody is there and waits, and nobody is sent away any more."""
    since = trio.current_time()
    while trio.current_time() - since < STILL:
        await trio.sleep(0.02)
        if not crew.idle:
            since = trio.current_time()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that nobody tells of."""
    while not condition():  # noqa: ASYNC110 - there is no event to wait for
        await trio.sleep(0.02)
