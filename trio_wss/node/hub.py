"""The hub: which sockets of this node are in which topic, and one frame for all of them.

A topic's cursor here is the last broadcast its members were given. Pushes and the answers of our
commands come in one order, and what they cause here is done as they come, so both keep it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Final, Protocol

import trio

from trio_wss.store.outcome import Cursor, parse_text, text_head
from trio_wss.wire import text_frame

if TYPE_CHECKING:
    from trio_wss.store.keys import Keys
    from trio_wss.store.link import Link
    from trio_wss.wire import Outbox

RECENT: Final = 16  # broadcasts that a topic remembers while somebody joins
LARGE: Final = 16 * 1024  # bytes of a broadcast that it does not remember
PATIENCE: Final = 2.0  # seconds that commits wait for gaps to be filled
NOTHING_YET: Final = Cursor("", 0)  # where a topic is that was never used, or not for a day
UNKNOWN: Final = ()  # no text begins with one of these
SLICE: Final = 200  # sockets written before other tasks get their turn: about a millisecond


def _ignore(_: float) -> None:
    pass


class Member(Protocol):
    """What the hub needs of a connection."""

    @property
    def outbox(self) -> Outbox:
        """Where its frames go."""

    def tell_joined(self, topic: str, cursor: Cursor, *, recovered: bool) -> None:
        """Send `wss.joined`."""

    def catch_up_alone(self, topic: Topic, cursor: Cursor) -> None:
        """Go through the stream at its own pace, and come back."""


class Topic:
    """A topic that somebody on this node is in, or is about to be."""

    __slots__ = (
        "_epoch", "_next", "_offset", "_recent", "_settled", "channel", "holds", "live", "members",
        "name",
    )  # fmt: skip

    def __init__(self, name: str, channel: bytes) -> None:
        self.name: Final = name
        self.channel: Final = channel
        self._epoch = ""
        self._offset = -1  # nothing of it has been seen yet
        # How the text begins that follows: the usual push is told by it alone.
        self._next: bytes | tuple[()] = UNKNOWN
        self._recent: deque[tuple[Cursor, bytes]] | None = None  # each behind its cursor
        self.members: Final[dict[Outbox, Member]] = {}
        self.holds = 0  # joins in flight and members catching up: reasons to stay subscribed
        self.live = True  # False: pushes are dropped until the stream has filled the gap
        self._settled: trio.Event | None = None  # there is one while somebody waits for it

    def __repr__(self) -> str:
        state = "" if self.live else " gap"
        return f"<Topic {self.name} at {self.cursor} members={len(self.members)}{state}>"

    @property
    def cursor(self) -> Cursor | None:
        """The last broadcast its members were given; None: nothing of it has been seen yet."""
        return None if self._offset < 0 else Cursor(self._epoch, self._offset)

    @cursor.setter
    def cursor(self, cursor: Cursor) -> None:
        self._epoch, self._offset = cursor.epoch, cursor.offset
        self._next = text_head(cursor.epoch, cursor.offset + 1) if cursor.epoch else UNKNOWN

    def follow(self, payload: bytes) -> bool:
        """Take a push if it is the next one, of the same epoch."""
        head = self._next
        if not (self.live and payload.startswith(head)):
            return False
        frame = self.give(payload[len(head) :])
        if self.holds:
            self._remember(Cursor(self._epoch, self._offset), frame)
        self._offset += 1
        self._next = text_head(self._epoch, self._offset + 1)
        return True

    def take(self, cursor: Cursor, before: Cursor, text: bytes) -> None:
        """Take a push that is the next one or the first one, of whatever epoch."""
        frame = self.give(text)
        if self.holds:
            self._remember(before, frame)
        self.cursor = cursor

    def give(self, text: bytes) -> bytes:
        """Give one broadcast to every member: encoded once, the same bytes to all."""
        frame = text_frame(text)
        for outbox in self.members:
            outbox.push(frame)
        return frame

    def since(self, cursor: Cursor) -> list[bytes] | None:
        """The frames that followed a cursor; None if that is too long ago, or never was."""
        if cursor == self.cursor:
            return []
        frames = []
        for before, frame in reversed(self._recent or ()):
            frames.append(frame)
            if before == cursor:
                return frames[::-1]
        return None

    def forget(self) -> None:
        """Nobody joins any more, or what follows is not what came before."""
        self._recent = None  # there is a topic for every session: an empty deque is not small

    def _remember(self, before: Cursor, frame: bytes) -> None:
        if len(frame) > LARGE:
            self._recent = None
            return
        if self._recent is None:
            self._recent = deque(maxlen=RECENT)
        self._recent.append((before, frame))

    def go_on_at(self, cursor: Cursor, *, recovered: bool) -> None:
        """Tell every member where the topic goes on. Not `recovered`: its history is broken; else
        it has expired in silence, and nothing is missing.
        """
        self.cursor = cursor
        self.forget()
        for member in self.members.values():
            member.tell_joined(self.name, cursor, recovered=recovered)

    @property
    def settled(self) -> trio.Event:
        """Set when a gap is filled."""
        if self._settled is None:
            self._settled = trio.Event()
        return self._settled

    def settle(self) -> None:
        """Live again: what comes next follows the cursor."""
        self.live = True
        if self._settled is not None:
            self._settled.set()
            self._settled = None


class Hub:
    """The topics of one node, and the writing of what they have for its sockets."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._prefix = keys.channel
        self._topics: dict[bytes, Topic] = {}
        self._dirty: deque[Outbox] = deque()
        self._gaps: deque[Topic] = deque()
        self._missed: set[Topic] = set()  # gaps of a new link, for which it holds commits back
        self._read_at = 0.0  # when what is being written came
        self.gaps = 0
        self.heard: dict[Topic, int] = {}  # broadcasts since somebody last took the counts away
        self.wrote: Callable[[float], None] = _ignore  # seconds from a read to its last write
        self._wake = trio.Event()
        self._in_batch = False

    # --- membership

    def hold(self, name: str) -> Topic:
        """Follow a topic until `release`. Call it before the Join is sent."""
        channel = (self._prefix + name).encode()
        topic = self._topics.get(channel)
        if topic is None:
            topic = self._topics[channel] = Topic(name, channel)
            self._link.subscribe(channel)
        topic.holds += 1
        return topic

    def release(self, topic: Topic) -> None:
        """Undo one `hold`."""
        topic.holds -= 1
        if not topic.holds:
            topic.forget()
        self._forget_unused(topic)

    def enter(self, topic: Topic, member: Member, cursor: Cursor) -> bool:
        """Make it a member if its cursor is the topic's or was a moment ago: Redis 7 pushes what a
        commit broadcasts before it answers. False: it has to catch up first.
        """
        if topic.cursor is None:
            topic.cursor = cursor
        missed = topic.since(cursor)
        if missed is None:
            return False
        for frame in missed:
            member.outbox.push(frame)
        topic.members[member.outbox] = member
        return True

    def leave(self, topic: Topic, member: Member) -> None:
        """Give it nothing more of this topic."""
        topic.members.pop(member.outbox, None)
        self._forget_unused(topic)

    def part_from_slow(self, topic: Topic) -> None:
        """While a gap is filled: let those go on alone who have no room for more of it."""
        cursor = topic.cursor
        assert cursor is not None
        slow = [m for box, m in topic.members.items() if box.size * 2 >= box.limit]
        for member in slow:
            topic.members.pop(member.outbox)
            member.catch_up_alone(topic, cursor)

    def _forget_unused(self, topic: Topic) -> None:
        if not topic.holds and not topic.members and self._topics.get(topic.channel) is topic:
            del self._topics[topic.channel]
            self._link.unsubscribe(topic.channel)

    @property
    def size(self) -> int:
        """How many topics are followed."""
        return len(self._topics)

    def topics(self) -> Iterator[Topic]:
        """All that are followed."""
        return iter(self._topics.values())

    # --- what Redis pushes

    def push(self, channel: bytes, payload: bytes) -> None:
        """Take one push. One that does not follow its topic's cursor opens a gap."""
        topic = self._topics.get(channel)
        if topic is None:
            return  # unsubscribed, and this was on its way
        self.heard[topic] = self.heard.get(topic, 0) + 1
        if topic.follow(payload):
            return
        cursor, before, text = parse_text(payload)
        if cursor is None:  # volatile
            topic.give(text)
        elif topic.live:
            last = topic.cursor
            place = Cursor(before, cursor.offset - 1)
            if last is None or last == place:
                topic.take(cursor, place, text)
            elif place == NOTHING_YET:
                topic.go_on_at(place, recovered=True)
                topic.take(cursor, place, text)
            elif cursor.offset > last.offset or cursor.epoch != last.epoch:
                self.open_gap(topic)

    def reset(self) -> None:
        """The link is new: anything may have been missed in every topic.

        What was missed comes before the answers of the commits that wait to be sent again, since
        it was broadcast before them.
        """
        for topic in self._topics.values():
            if topic.cursor is not None:
                self._missed.add(topic)
                if topic.live:
                    self.open_gap(topic)
        if self._missed:
            self._link.hold_back(PATIENCE)

    async def _fill(self, fill_gap: Callable[[Topic], Awaitable[None]], topic: Topic) -> None:
        await fill_gap(topic)
        self._missed.discard(topic)
        if not self._missed:
            self._link.go_on()

    def open_gap(self, topic: Topic) -> None:
        """What follows the topic's cursor is to be found in the stream."""
        topic.live = False
        topic.forget()
        self.gaps += 1
        self._gaps.append(topic)
        self._wake.set()

    # --- writing

    def mark_dirty(self, outbox: Outbox) -> None:
        """An outbox has something to write, at the end of this batch or soon."""
        self._dirty.append(outbox)
        if not self._in_batch:
            if len(self._dirty) == 1:
                self._read_at = perf_counter()
            self._wake.set()

    def begin_batch(self) -> None:
        """One read of the link is about to be handed on: write when it is all in."""
        self._in_batch = True
        if not self._dirty:
            self._read_at = perf_counter()

    def end_batch(self) -> None:
        """All that one read of the link brought is in the outboxes: write."""
        self._in_batch = False
        if self._dirty:
            self._flush_slice()
        if self._dirty:
            self._wake.set()

    def _flush_slice(self) -> None:
        for _ in range(min(SLICE, len(self._dirty))):
            self._dirty.popleft().flush()
        if not self._dirty:
            self.wrote(perf_counter() - self._read_at)

    async def run(self, fill_gap: Callable[[Topic], Awaitable[None]]) -> None:
        """The subscriber task: write what is left of large batches, and see to gaps."""
        async with trio.open_nursery() as nursery:
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                while self._gaps:
                    nursery.start_soon(self._fill, fill_gap, self._gaps.popleft())
                while self._dirty:
                    self._flush_slice()
                    await trio.lowlevel.checkpoint()
