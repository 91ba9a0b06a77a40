"""Parts of a node that a test holds in its hands: what they are told they keep, and they answer
what the test says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import attrs
import trio

from trio_wss.app import App
from trio_wss.commit.ops import Op
from trio_wss.data.json import encode
from trio_wss.errors import WssError
from trio_wss.node.session import Custody, SessionParts
from trio_wss.node.topics.catchup import CatchUp
from trio_wss.node.topics.hub import Hub
from trio_wss.node.topics.topic import Topic, TopicMember
from trio_wss.node.transaction import Endings, Transactions
from trio_wss.ops.rates import rates_between
from trio_wss.ops.snapshot import Snapshot
from trio_wss.ops.statistics import Counters, Durations, Statistics
from trio_wss.reads import Client, ReadRequest
from trio_wss.store.entries import Entry
from trio_wss.store.executor import Commit, Executor
from trio_wss.store.history import Cursor
from trio_wss.store.keys import Keys
from trio_wss.store.link.link import Link
from trio_wss.store.outcome import CommitOutcome, Done, Gone, Unknown
from trio_wss.store.sessions import Sessions, StoredSession, Taken
from trio_wss.wire import Outbox

KEYS = Keys("wss")


def node_load(**changes: Any) -> dict[str, Any]:
    """What a node at rest says of itself, as other programs read it, but for these."""
    load = rates_between(node_snapshot(), node_snapshot(uptime=1.0), ops="", lag=0.0, topics=())
    found: dict[str, Any] = json.loads(encode(load))
    assert changes.keys() <= found.keys()
    return found | changes


DEADLINE: Final = 5.0  # seconds, of the transactions of a node that stands for one


def node_snapshot(**changes: Any) -> Snapshot:
    """A node that has counted nothing yet, but for these."""
    kinds = {"str": "", "float": 0, "int": 0, "bool": True, "Durations": Durations()}
    zero = {field.name: kinds.get(str(field.type), ()) for field in attrs.fields(Snapshot)}
    return Snapshot(**{**zero, **changes})


class Box:
    """An outbox that writes nothing. It is full at `limit` bytes, and `size` is what the test
    says.
    """

    def __init__(self, *, size: int = 0, limit: int = 1000) -> None:
        self.frames: list[bytes] = []
        self.size = size
        self.limit = limit
        self.sealed = False

    def push(self, frame: bytes) -> None:
        self.frames.append(frame)

    @property
    def outbox(self) -> Outbox:
        return cast(Outbox, self)

    @property
    def said(self) -> list[Any]:
        """The texts in it, read. A test's are short: their frames have heads of two bytes, or of
        four.
        """
        return [json.loads(frame[4 if frame[1] > 125 else 2 :]) for frame in self.frames]

    def take_said(self) -> list[Any]:
        """The texts since this was last asked."""
        said, self.frames = self.said, []
        return said


class FakeLink:
    """A link that keeps what it is told."""

    def __init__(self) -> None:
        self.up = True
        self.full = False
        self.heard = 0.0
        self.answered = 0
        self.channels: set[bytes] = set()
        self.held: list[float] = []  # how long it is held back: empty, or one number

    def subscribe(self, channel: bytes) -> None:
        assert channel not in self.channels
        self.channels.add(channel)

    def unsubscribe(self, channel: bytes) -> None:
        self.channels.remove(channel)

    def hold_back(self, seconds: float) -> None:
        self.held = [seconds]

    def go_on(self) -> None:
        self.held = []


class FakeHub(Hub):
    """A hub that hears what the test says, in place of Redis."""

    def __init__(self) -> None:
        self.link = FakeLink()
        super().__init__(cast(Link, self.link), KEYS, Counters())

    def said(self, topic: str, text: bytes) -> None:
        """Redis pushes this."""
        self.hear(f"{KEYS.channel}{topic}".encode(), text)

    def at(self, name: str, cursor: Cursor) -> Topic:
        """A topic that is held and has come so far."""
        topic = self.hold(name)
        topic.cursor = cursor
        return topic


class FakeMember:
    """A member that keeps what it is told."""

    def __init__(self, box: Box | None = None) -> None:
        self.box = box or Box()
        self.outbox = self.box.outbox
        self.joined: list[tuple[str, Cursor, bool]] = []
        self.alone: list[tuple[str, Cursor]] = []

    def tell_joined(self, topic: str, cursor: Cursor, *, recovered: bool) -> None:
        self.joined.append((topic, cursor, recovered))

    def catch_up_alone(self, topic: Topic, cursor: Cursor) -> None:
        self.alone.append((topic.name, cursor))


class FakeCatchUp:
    """Catching up that ends when the test says so, with the member let in, or not wanted."""

    def __init__(self, hub: Hub) -> None:
        self.asked: list[tuple[str, Cursor, bool]] = []  # topic, cursor, announce
        self.wanted: list[Callable[[], bool]] = []
        self.go = trio.Event()
        self._hub = hub

    async def bring_in(
        self,
        topic: Topic,
        member: TopicMember,
        cursor: Cursor,
        wanted: Callable[[], bool],
        *,
        announce: bool,
    ) -> None:
        assert topic.holds
        self.asked.append((topic.name, cursor, announce))
        self.wanted.append(wanted)
        await self.go.wait()
        if wanted():
            assert topic.cursor is not None
            assert self._hub.enter(topic, member, topic.cursor)


class FakeExecutor:
    """Takes commits and reads, and answers what the test says: `outcomes` in turn, then Done, once
    it has taken `seconds`; and to each read, `entries`.
    """

    def __init__(self) -> None:
        self.commits: list[Commit] = []
        self.waiting: list[tuple[Commit, Callable[[CommitOutcome], None]]] = []
        self.outcomes: list[CommitOutcome] = []
        self.seconds = 0.0
        self.entries: tuple[Entry, ...] = (Entry(b"", None),)
        self.reads: list[Sequence[ReadRequest]] = []
        self.error: WssError | None = None
        self.full = False
        self.there: frozenset[str] | Gone | Unknown = frozenset()
        self._room = trio.Event()

    def commit(
        self, commit: Commit, answered: Callable[[CommitOutcome], None] = lambda _: None
    ) -> None:
        """Keep it until the test has it answered."""
        self.commits.append(commit)
        self.waiting.append((commit, answered))

    def answer(self, outcome: CommitOutcome) -> None:
        """Answer the first one that waits."""
        commit, answered = self.waiting.pop(0)
        commit.apply(outcome)
        answered(outcome)

    async def committed(self, commit: Commit) -> CommitOutcome:
        self.commits.append(commit)
        await trio.sleep(self.seconds)
        outcome = self.outcomes.pop(0) if self.outcomes else Done(commit.answer)
        commit.apply(outcome)
        return outcome

    async def read(
        self, requests: Sequence[ReadRequest], *, expires: float | None = None
    ) -> tuple[Entry, ...]:
        self.reads.append(requests)
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            if expires is not None:
                await trio.sleep_until(expires)
            raise self.error
        return self.entries

    async def room(self) -> None:
        while self.full:
            await self._room.wait()

    def make_room(self) -> None:
        self.full = False
        self._room.set()

    def topics(
        self, session: str, answered: Callable[[frozenset[str] | Gone | Unknown], None]
    ) -> None:
        answered(self.there)


class FakeSessions:
    """Sessions in a Redis that answers what the test says, in turn; an error is raised."""

    def __init__(self) -> None:
        self.found: list[StoredSession | None] = []
        self.taken: list[Taken | WssError | None] = []
        self.takes: list[tuple[str, int | None]] = []  # of which generation, at which attempt
        self.aways: list[tuple[str, str, float]] = []
        self.error: WssError | None = None
        self.seconds = 0.0

    def begin(self, client: Client, token: str) -> tuple[Op, ...]:
        return (("N", (), [client.session, token]),)

    def end(self, session: str) -> tuple[Op, ...]:
        return (("E", (), [session]),)

    async def find(self, token: str) -> StoredSession | None:
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        return self.found.pop(0)

    async def take(
        self, seen: StoredSession, generation: str, attempt: int | None = None
    ) -> Taken | None:
        self.takes.append((seen.generation, attempt))
        await trio.sleep(self.seconds)
        taken = self.taken.pop(0)
        if isinstance(taken, WssError):
            raise taken
        return None if taken is None else attrs.evolve(taken, generation=generation)

    async def away(self, session: str, generation: str, grace: float) -> None:
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        self.aways.append((session, generation, grace))


class FakeEndings:
    """Keeps which sessions were to end, and says what came of it."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, str]] = []
        self.outcome: CommitOutcome = Done(b"")
        self.seconds = 0.0

    async def end(self, session: StoredSession) -> CommitOutcome:
        await trio.sleep(self.seconds)
        self.ended.append((session.client.session, session.generation))
        return self.outcome


class FakeNode:
    """What the sessions of one node share, with no Redis behind it."""

    def __init__(self, app: App) -> None:
        self.hub = FakeHub()
        self.catch_up = FakeCatchUp(self.hub)
        self.executor = FakeExecutor()
        self.sessions = FakeSessions()
        self.endings = FakeEndings()
        self.custody = Custody()
        self.statistics = Statistics()
        executor = cast(Executor, self.executor)
        self.parts = SessionParts(
            node="n1",
            app=app,
            hub=self.hub,
            catch_up=cast(CatchUp, self.catch_up),
            executor=executor,
            transactions=Transactions(executor, deadline=DEADLINE),
            sessions=cast(Sessions, self.sessions),
            endings=cast(Endings, self.endings),
            custody=self.custody,
            statistics=self.statistics,
            grace=30.0,
            max_topics=100,
        )


def frame(number: int) -> bytes:
    """The JSON of a broadcast, told by a number."""
    return b'{"event":"said","n":%d}' % number


def pushed(cursor: Cursor | None, number: int, before: str | None = None) -> bytes:
    """A broadcast as the commit script publishes it. `before`: the epoch of the one before, if
    that was another; without a cursor it is volatile.
    """
    if cursor is None:
        return b"\n" + frame(number)
    head = f"{cursor.epoch} {cursor.offset}" + ("" if before is None else f" {before}")
    return head.encode() + b"\n" + frame(number)
