"""The hub knows which sockets of this node are in which topic, and gives all of them one frame.

A topic's cursor here is the last broadcast that its members were given. Pushes and answers come in
one order, and the hub applies each in the moment it comes, so their effects keep that order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

import trio

from trio_wss.node.topics.topic import Topic, TopicMember
from trio_wss.ops.statistics import Counters
from trio_wss.store.history import NOWHERE, Cursor, parse_text
from trio_wss.store.keys import Keys
from trio_wss.store.link.link import Link
from trio_wss.wire import Outbox

HOLD_BACK: Final = 2.0  # seconds that commits wait for gaps to be filled
RECENT: Final = 4 << 20  # bytes of remembered broadcasts, of all topics


def _has_room(outbox: Outbox, frames: Sequence[bytes]) -> bool:
    """Return whether an outbox can take all these frames at once. If not, its connection reads the
    stream at its own pace.
    """
    return not frames or outbox.size + sum(map(len, frames)) <= outbox.limit // 2


class Hub:
    """The topics of one node."""

    def __init__(self, link: Link, keys: Keys, counters: Counters) -> None:
        self._link = link
        self._prefix = keys.channel
        self._topics: dict[bytes, Topic] = {}
        self._gaps: deque[Topic] = deque()
        self._doubtful: list[Topic] = []  # on a new link: not surveyed yet
        self._missed: set[Topic] = set()  # on a new link: commits wait until this is empty
        self._recent: dict[Topic, None] = {}  # topics that remember their recent broadcasts
        self._recent_size = 0
        self._recent_since = 0  # how many answers had come before the oldest of them
        self.counters = counters
        self.heard: dict[Topic, int] = {}  # broadcasts since the counts were last taken
        self._wake = trio.Event()

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

    def enter(self, topic: Topic, member: TopicMember, cursor: Cursor, *, now: bool = True) -> bool:
        """Let a member in if its cursor is the topic's or recently was: Redis 7 pushes a commit's
        broadcasts before its answer. False: the member has to catch up first.

        `now`: Redis has just told the topic's `cursor`, and the topic was followed before. Else, as
        for a join that was recorded before the link was lost, the topic may have gone on since.
        """
        if topic.cursor is None:
            if not now:
                return False
            topic.cursor = cursor
        missed = topic.since(cursor)
        if missed is None or not _has_room(member.outbox, missed):
            return False
        for frame in missed:
            member.outbox.push(frame)
        topic.members[member.outbox] = member
        return True

    def leave(self, topic: Topic, member: TopicMember) -> None:
        """Give a member no more broadcasts of this topic."""
        topic.members.pop(member.outbox, None)
        self._forget_unused(topic)

    def part_from_slow(self, topic: Topic) -> None:
        """While a gap is filled, let the members that have no room for more catch up alone."""
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
        """The number of topics that are followed."""
        return len(self._topics)

    def topics(self) -> Iterator[Topic]:
        """Return all topics that are followed."""
        return iter(self._topics.values())

    # --- pushes and gaps

    def hear(self, channel: bytes, payload: bytes) -> None:
        """Take one push. One that does not follow its topic's cursor opens a gap."""
        topic = self._topics.get(channel)
        if topic is None:
            return  # unsubscribed while this push was on its way
        self.heard[topic] = self.heard.get(topic, 0) + 1
        if topic.holds:
            self._remember(topic, len(payload))
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
            elif place == NOWHERE:
                topic.go_on_at(place, recovered=True)
                topic.take(cursor, place, text)
            elif cursor.offset > last.offset or cursor.epoch != last.epoch:
                self.open_gap(topic)

    def _remember(self, topic: Topic, size: int) -> None:
        """Remember broadcasts of a topic that a client is joining: they may belong to the commit
        that joins. Those that came before the latest answer do not, and are forgotten.
        """
        self._recent_size += size
        if self._recent_since != self._link.answered or self._recent_size > RECENT:
            for one in self._recent:
                one.forget()
            self._recent.clear()
            self._recent_size, self._recent_since = size, self._link.answered
        self._recent[topic] = None

    def reset(self) -> None:
        """Begin with a new link: every topic may have missed broadcasts.

        The missed broadcasts must be given before the answers of the commits that wait to be sent
        again, since they came before these. So commits are held back.
        """
        for topic in self._topics.values():
            if topic.cursor is not None:
                self._missed.add(topic)
                if topic.live:
                    topic.interrupt()
                    self._doubtful.append(topic)
        if self._missed:
            self._link.hold_back(HOLD_BACK)
            self._wake.set()

    def compare(self, topic: Topic, cursor: Cursor | None) -> None:
        """Make a doubtful topic live again if `cursor`, its cursor in Redis, is ours; else open a
        gap.
        """
        if topic.cursor == cursor:
            topic.go_live()
            self._found(topic)
        else:
            self.open_gap(topic)

    async def _fill(self, fill_gap: Callable[[Topic], Awaitable[None]], topic: Topic) -> None:
        await fill_gap(topic)
        self._found(topic)

    def _found(self, topic: Topic) -> None:
        """Note that a topic misses nothing any more; let commits go on if none does."""
        self._missed.discard(topic)
        if not self._missed:
            self._link.go_on()

    def open_gap(self, topic: Topic) -> None:
        """Let a task read what follows the topic's cursor from the stream."""
        topic.interrupt()
        self.counters.gaps += 1
        self._gaps.append(topic)
        self._wake.set()

    async def run(
        self,
        survey: Callable[[list[Topic]], Awaitable[None]],
        fill_gap: Callable[[Topic], Awaitable[None]],
    ) -> None:
        """Start a survey of doubtful topics and a task for each gap, for ever."""
        async with trio.open_nursery() as nursery:
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                if self._doubtful:
                    nursery.start_soon(survey, self._doubtful)
                    self._doubtful = []
                while self._gaps:
                    nursery.start_soon(self._fill, fill_gap, self._gaps.popleft())
