"""The model answers as the commit script does: random events on both, and every answer, every
fault, all state, its times to live, members and offsets compared."""

from itertools import count
from typing import Annotated, Any

import orjson
import trio
from attrs import frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.links import running
from trio_wss import (
    Add,
    App,
    Append,
    Broadcast,
    Client,
    Delete,
    Drop,
    Effect,
    Increment,
    Join,
    Leave,
    Member,
    Members,
    PlanError,
    Put,
    Read,
    Remove,
    Reply,
    Store,
)
from trio_wss.commit.plan import EMPTY_PLAN, plan
from trio_wss.data.json import encode
from trio_wss.reads import ReadRequest
from trio_wss.store.entries import WrongType
from trio_wss.store.executor import NEW, Commit, Executor
from trio_wss.store.history import parse_text
from trio_wss.store.keys import Keys
from trio_wss.store.link.address import parse_address
from trio_wss.store.link.link import Link, Listener
from trio_wss.store.link.resp import pack
from trio_wss.store.outcome import CommitOutcome, Done, Failed, Joined
from trio_wss.store.scripts import link_to
from trio_wss.store.sessions import Sessions
from trio_wss.testing import List, Map, Set, World
from trio_wss.wire import codec

MOST_TOPICS = 2
KEYS = ("a", "b", "c")
TOPICS = ("t", "u", "v")
CLIENTS = (Client("s1"), Client("s2", "bo"))

returned: list[Effect] = []  # what the handler below returns next
app = App()
app.topic("v", history=0, ttl=1)


@app.on("do")
def do() -> list[Effect]:
    return returned


@app.on("look")
def look(
    value: Annotated[Any, Read("a")],
    field: Annotated[Any, Read("b", field="f")],
    there: Annotated[list[Member], Members("t")],
) -> Reply:
    return Reply("seen", [value, field, sorted(there, key=lambda member: member.session)])


# --- random events: effects that the plan mostly takes, so that the script has work

VALUES = st.sampled_from(
    [0, 1, -1, 2**53 - 1, 2**53, -(2**60), "x", "é", None, True, 1.5, [], [1], {"a": None}]
)
STEPS = st.sampled_from([0, 1, -1, 7, 2**53 - 1, 1 - 2**53])
TTLS = st.sampled_from([None, None, 100, 5000.5])
FIELDS = st.sampled_from(["f", "g", "é"])


def on_key(key: str) -> st.SearchStrategy[list[Effect]]:
    """Some effects of one kind on one key."""
    it = st.just(key)
    put, drop = st.builds(Put, it, FIELDS, VALUES, ttl=TTLS), st.builds(Drop, it, FIELDS)
    add, remove = st.builds(Add, it, VALUES, ttl=TTLS), st.builds(Remove, it, VALUES)
    append = st.builds(Append, it, VALUES, st.sampled_from([1, 2, 1000]), ttl=TTLS)
    kinds: list[st.SearchStrategy[Any]] = [
        st.builds(Store, it, VALUES, ttl=TTLS),
        st.builds(Increment, it, STEPS, ttl=TTLS),
        append,
        put | drop,
        add | remove,
    ]
    some = st.one_of([st.lists(kind, min_size=1, max_size=4) for kind in kinds])
    return some | st.just([]) | st.just([Delete(key)])


def on_topic(topic: str) -> st.SearchStrategy[list[Effect]]:
    it = st.just(topic)
    join, leave = st.builds(Join, it, VALUES), st.builds(Leave, it)
    membership: st.SearchStrategy[Effect] = join | leave
    return membership.map(lambda effect: [effect]) | st.just([])


BROADCASTS = st.lists(
    st.builds(Broadcast, st.sampled_from(TOPICS), st.just("said"), VALUES, volatile=st.booleans()),
    max_size=2,
)


def flat(parts: tuple[list[Effect], ...]) -> list[Effect]:
    effects = [effect for part in parts for effect in part]
    results = [effect.result for effect in effects if hasattr(effect, "result")]
    used = [result for result in results if results.count(result) == 1]
    return [*effects, Broadcast("t", "counted", used), Reply("ok", {"results": used})]


EFFECTS = st.tuples(*map(on_key, KEYS), *map(on_topic, TOPICS), BROADCASTS).map(flat)
EVENTS = st.lists(
    st.tuples(st.sampled_from(CLIENTS), EFFECTS | st.sampled_from(["look", "end"])),
    min_size=1,
    max_size=12,
)


# --- the real side

namespaces = count(1)


@frozen
class Real:
    """Redis, with one node's executor in front."""

    link: Link
    keys: Keys
    executor: Executor
    sessions: Sessions

    async def commit(self, commit: Commit) -> CommitOutcome:
        outcomes: list[CommitOutcome] = []
        there = trio.Event()

        def answered(outcome: CommitOutcome) -> None:
            outcomes.append(outcome)
            there.set()

        self.executor.commit(commit, answered)
        await there.wait()
        return outcomes[0]

    async def begin(self, client: Client) -> None:
        begin = self.sessions.begin(client, "token")
        commit = Commit(EMPTY_PLAN, client.session, NEW, lead=begin)
        assert isinstance(await self.commit(commit), Done)

    async def play(self, event: str, client: Client, number: int) -> Any:
        """What a node does of an event, in short."""
        handler = app.handlers[event]
        requests = handler.requests(None, client)
        try:
            entries = await self.executor.read(requests) if requests else ()
        except WrongType:
            return "wrong_type b"
        values = [entry.value for entry in entries]
        made = plan(handler.run(None, client, values, 0, 0), client, app.history)
        assert made.reply is not None
        answer = codec.reply(made.reply.event, number, made.reply.data)
        commit = Commit(
            made, client.session, "1", number, answer, requests=requests, entries=entries
        )
        outcome = await self.commit(commit)
        if isinstance(outcome, Failed):
            return outcome.fault.replace(f"{self.keys.prefix}k:", "")
        assert isinstance(outcome, Done)
        joined = {it.topic: it.cursor.offset for it in outcome.membership if isinstance(it, Joined)}
        left = [it.topic for it in outcome.membership if not isinstance(it, Joined)]
        return orjson.loads(outcome.answer)["data"], joined, left

    async def end(self, client: Client) -> None:
        lead = self.sessions.end(client.session)
        assert isinstance(
            await self.commit(Commit(EMPTY_PLAN, client.session, "1", lead=lead)), Done
        )
        await self.begin(client)

    async def held(self, key: str) -> tuple[str, Any, int]:
        """The kind of a key, what it holds, and its milliseconds to live (-1: no end)."""
        name = self.keys.state(key)
        kind: bytes = await self.link.call(pack("TYPE", name))
        (entry,) = await self.executor.read([ReadRequest("value", key)])
        ttl: int = await self.link.call(pack("PTTL", name))
        value = None if entry.value is None else orjson.loads(entry.value)
        if kind == b"hash" and isinstance(value, list):
            return "set", canonical(Set(value)), ttl
        return kind.decode(), canonical(value), ttl

    async def members(self, topic: str) -> list[bytes]:
        (entry,) = await self.executor.read([ReadRequest("members", topic)])
        return sorted(map(orjson.dumps, orjson.loads(entry.value or b"[]")))


def canonical(value: Any) -> Any:
    """So that 1, 1.0 and True differ, and the order of a set does not count."""
    return sorted(map(encode, value)) if isinstance(value, Set) else encode(value)


# --- the model's side


def modelled(world: World, event: str, client: Client, sent: list[Any]) -> Any:
    outcome = world.play(event, client=client)
    sent += [(it.topic, (it.event, it.data, it.offset)) for it in outcome.broadcasts]
    if outcome.error is not None:
        return outcome.error.message
    assert outcome.reply is not None
    return orjson.loads(encode(outcome.reply.data)), outcome.joined, list(outcome.left)


def modelled_held(world: World, key: str) -> tuple[str, Any, int]:
    value = world.state.get(key)
    kinds: dict[type, str] = {Set: "set", List: "list", Map: "hash"}
    kind = kinds.get(type(value), "string")
    ttl = round(world.ttls[key] * 1000) if key in world.ttls else -1
    return (kind, canonical(value), ttl) if key in world.state else ("none", b"null", -2)


# --- both


async def compare(url: str, events: list[tuple[Client, Any]]) -> None:
    keys = Keys(f"n{next(namespaces)}")
    link = link_to(parse_address(url), keys)
    executor = Executor(link, keys, "node", max_topics=MOST_TOPICS)
    real = Real(link, keys, executor, Sessions(link, keys, "node"))
    world = World(app, max_topics=MOST_TOPICS)
    heard: list[tuple[str, Any]] = []
    sent: list[tuple[str, Any]] = []

    def push(channel: bytes, payload: bytes) -> None:
        frame = orjson.loads(parse_text(payload)[2])
        heard.append((frame["topic"], (frame["event"], frame["data"], frame.get("offset"))))

    for topic in TOPICS:
        link.subscribe(f"{keys.channel}{topic}".encode())
    async with running(link, Listener(hear=push)) as watch:
        await watch.is_up()
        await real.sessions.beat(60, new=True)
        for client in CLIENTS:
            await real.begin(client)
        for number, (client, what) in enumerate(events, 1):
            if what == "end":
                world.disconnect(client)
                await real.end(client)
            else:
                event = "look" if what == "look" else "do"
                returned[:] = [] if what == "look" else what
                try:
                    expected = modelled(world, event, client, sent)
                except PlanError:
                    continue
                assert await real.play(event, client, number) == expected
            for key in KEYS:
                *there, ttl = await real.held(key)
                *modelled_there, modelled_ttl = modelled_held(world, key)
                assert there == modelled_there
                assert 0 <= modelled_ttl - ttl < 20_000
            for topic in TOPICS:
                assert await real.members(topic) == sorted(map(encode, world.members(topic)))
        await link.call(pack("PING"))  # every push is here before its answer
    assert heard == sent


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(events=EVENTS)
def test_the_model_and_redis_agree(redis_url: str, events: list[tuple[Client, Any]]) -> None:
    trio.run(compare, redis_url, events)
