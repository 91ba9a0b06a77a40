"""trio_wss/ops/heartbeat.py: what a node tells all nodes each second, and what it makes of what it
hears."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.support.fakes import node_snapshot
from trio_wss.ops.heartbeat import BEAT, DEAF, NODES, Heard, Heartbeat
from trio_wss.ops.rates import TOP
from trio_wss.ops.snapshot import Snapshot
from trio_wss.ops.statistics import Statistics


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seconds that the heartbeat counts are the test's, and those jump."""
    monkeypatch.setattr("trio_wss.ops.heartbeat.time", SimpleNamespace(monotonic=trio.current_time))


class Nodes:
    """All nodes, as a test lets one of them hear them."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.nodes = 1  # whose words are heard each second
        self.topics: Sequence[tuple[str, int, int]] = ()
        self.members: dict[str, int] = {}

    def tell(self, text: bytes) -> None:
        self.told.append(json.loads(text))

    def take_heard(self) -> Heard:
        heard, self.topics = Heard(self.nodes, self.topics), ()
        return heard

    def sizes(self) -> Iterator[tuple[str, int]]:
        return iter(self.members.items())


@attrs.define
class Stage:
    """One node's heartbeat. `now` is how the node is, but for the time."""

    cluster: Nodes
    statistics: Statistics
    heartbeat: Heartbeat
    now: Snapshot = attrs.field(factory=node_snapshot)

    def snapshot(self) -> Snapshot:
        return attrs.evolve(
            self.now,
            uptime=trio.current_time(),
            silence=self.heartbeat.silence,
            faults=tuple(self.statistics.faults),
        )

    def change(self, **changes: Any) -> None:
        self.now = attrs.evolve(self.now, **changes)

    def faults(self) -> list[tuple[str, str]]:
        return [(fault.kind, fault.text) for fault in self.statistics.faults]


@asynccontextmanager
async def beating(ops_url: str = "") -> AsyncIterator[Stage]:
    """A heartbeat that has begun a tenth of a second ago: beats are no moment of the test's."""
    statistics = Statistics()
    stage = Stage(Nodes(), statistics, Heartbeat(statistics))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.heartbeat.run, stage.cluster, stage.snapshot, ops_url)
        await trio.sleep(BEAT / 10)
        yield stage
        nursery.cancel_scope.cancel()


async def test_each_second_all_nodes_are_told_how_this_one_is(autojump_clock: MockClock) -> None:
    async with beating("http://a") as stage:
        assert (stage.cluster.told, stage.heartbeat.last) == ([], None)
        stage.change(node="n1", connections=7, deliveries=50)
        await trio.sleep(3 * BEAT)
        assert [word["event"] for word in stage.cluster.told] == ["wss.node"] * 3
        assert {word["topic"] for word in stage.cluster.told} == {NODES}
        words = [word["data"] for word in stage.cluster.told]
        assert [word["node"] for word in words] == ["n1"] * 3
        assert [word["deliveries"] for word in words] == [50.0, 0.0, 0.0]
        last = stage.heartbeat.last
        assert last is not None
        assert (last.connections, last.ops) == (7, "http://a")
        assert words[-1] == json.loads(json.dumps(attrs.asdict(last)))


async def test_broadcasts_are_counted_once_and_deliveries_for_each_member(
    autojump_clock: MockClock,
) -> None:
    async with beating() as stage:
        stage.cluster.topics = [("room", 3, 10), ("empty", 0, 5)]
        await trio.sleep(2 * BEAT)
        assert (stage.statistics.broadcasts, stage.statistics.deliveries) == (15, 30)


async def test_the_worst_lag_of_each_second_is_told(autojump_clock: MockClock) -> None:
    async with beating() as stage:
        stage.statistics.worst_lag = 0.25
        await trio.sleep(2 * BEAT)
        assert [word["data"]["lag"] for word in stage.cluster.told] == [250.0, 0.0]


async def test_silence_is_the_time_since_a_word_came(autojump_clock: MockClock) -> None:
    async with beating() as stage:
        await trio.sleep(BEAT)
        assert stage.heartbeat.silence < BEAT
        stage.cluster.nodes = 0
        await trio.sleep(3 * BEAT)
        assert 3 * BEAT < stage.heartbeat.silence < 4 * BEAT
        stage.cluster.nodes = 1
        await trio.sleep(BEAT)
        assert stage.heartbeat.silence < BEAT


async def test_shared_topics_are_named_with_their_members_and_rates(
    autojump_clock: MockClock,
) -> None:
    async with beating() as stage:
        stage.cluster.members = {"room": 5, "quiet": 9, "session:s1": 1, NODES: 2}
        stage.cluster.topics = [("room", 5, 4), ("left", 0, 8), ("session:s1", 1, 100)]
        await trio.sleep(BEAT)
        found = [(one["topic"], one["members"], one["rate"]) for one in topics(stage)]
        assert found == [("left", 0, 8.0), ("room", 5, 4.0), ("quiet", 9, 0)]


async def test_of_many_topics_the_largest_and_the_busiest_are_named(
    autojump_clock: MockClock,
) -> None:
    async with beating() as stage:
        large = {f"large {n}": 100 + n for n in range(50)}
        own = {f"session:{n}": 1000 for n in range(50)}  # named nowhere, whatever their size
        stage.cluster.members = own | large | {f"busy {n}": 1 for n in range(50)}
        stage.cluster.topics = [(f"busy {n}", 1, 1 + n) for n in range(50)]
        await trio.sleep(BEAT)
        names = [one["topic"] for one in topics(stage)]
        assert len(names) == TOP
        assert names[0] == "busy 49"
        assert "large 49" in names


def topics(stage: Stage) -> Any:
    return stage.cluster.told[-1]["data"]["top_topics"]


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"slow_consumers": 2}, "slow", "2 closed"),
        ({"gaps": 3}, "gap", "3 topics"),
        ({"broken": 4}, "lost", "4 memberships"),
        ({"events": (("say", "internal", 5),)}, "internal", "5 events"),
        ({"events": (("say", "conflict", 6),)}, "conflict", "6 events"),
        ({"unready": "Redis is away"}, "node", "not ready: Redis is away"),
    ],
)
async def test_what_went_wrong_is_remembered_once_and_told_with_the_next_beat(
    changes: dict[str, Any], kind: str, text: str, autojump_clock: MockClock
) -> None:
    async with beating() as stage:
        stage.change(**changes)
        await trio.sleep(3 * BEAT)
        assert len(stage.faults()) == 2
        assert stage.faults()[0] == ("node", "started")
        assert stage.faults()[1][0] == kind
        assert stage.faults()[1][1].startswith(text)
        told = [[fault["kind"] for fault in word["data"]["faults"]] for word in stage.cluster.told]
        assert told == [["node"], ["node", kind], ["node", kind]]


async def test_a_node_that_is_ready_again_says_so(autojump_clock: MockClock) -> None:
    async with beating() as stage:
        stage.change(unready="Redis is away")
        await trio.sleep(BEAT)
        stage.change(unready="")
        await trio.sleep(BEAT)
        assert stage.faults()[1:] == [("node", "not ready: Redis is away"), ("node", "ready")]


@pytest.mark.parametrize("link_up", [True, False])
async def test_a_node_that_hears_nothing_is_deaf_unless_redis_is_away(
    link_up: bool, autojump_clock: MockClock
) -> None:
    async with beating() as stage:
        stage.change(link_up=link_up)
        stage.cluster.nodes = 0
        await trio.sleep(DEAF - BEAT)
        assert stage.faults()[1:] == []
        await trio.sleep(5 * BEAT)
        kinds = [kind for kind, _ in stage.faults()[1:]]
        assert kinds == (["deaf"] if link_up else [])
