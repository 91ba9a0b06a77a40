"""The topics that one connection is in. For the hub it is a member of each, from a join or a resume
to a leave.

A member is let in at once if its cursor is the topic's; else it catches up beside the reader.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import Final

import trio
from attrs import define

from trio_wss.node.topics.catchup import CatchUp
from trio_wss.node.topics.hub import Hub
from trio_wss.node.topics.topic import Topic
from trio_wss.reads import is_implied
from trio_wss.store.history import Cursor
from trio_wss.store.outcome import Joined, Left
from trio_wss.wire import Outbox, codec, text_frame

ELSEWHERE: Final = Cursor("-", 0)  # in no history: a member with it is told where to go on


@define(eq=False)
class Membership:
    """One stay in a topic, from a join to a leave. A later join begins another one."""

    topic: Topic


class Memberships:
    """The topics of one connection.

    `told(topic, recovered)` is called when the client was told where a topic goes on: after a
    resume, or after the topic's history broke.
    """

    __slots__ = ("_catch_up", "_hub", "_nursery", "_told", "_topics", "outbox")

    def __init__(
        self, hub: Hub, catch_up: CatchUp, outbox: Outbox, told: Callable[[str, bool], None]
    ) -> None:
        self.outbox = outbox
        self._hub = hub
        self._catch_up = catch_up
        self._told = told
        self._topics: dict[str, Membership] = {}
        self._nursery: trio.Nursery | None = None

    def __repr__(self) -> str:
        return f"topics={sorted(self._topics)}"

    def open(self, nursery: trio.Nursery) -> None:
        """Catch up in this nursery from now on."""
        self._nursery = nursery

    def close(self) -> None:
        """Leave every topic of the hub, and never enter one again."""
        self._nursery = None
        while self._topics:
            _, membership = self._topics.popitem()
            self._hub.leave(membership.topic, self)

    def tell_joined(self, topic: str, cursor: Cursor, *, recovered: bool) -> None:
        """Send `wss.joined`: the next broadcast of the topic has offset + 1."""
        self._push_joined(topic, cursor, recovered=recovered)
        self._told(topic, recovered)

    def change(self, changes: Sequence[Joined | Left], *, now: bool) -> None:
        """Apply a commit's joins and leaves. Not `now`: they were made by an earlier copy of it."""
        for change in changes:
            if isinstance(change, Left):
                self._leave(change.topic)
            else:
                self._join(change.topic, change.cursor, now)

    def restore(self, name: str, cursor: Cursor | None, here: Cursor, *, followed: bool) -> None:
        """Be in a topic again, which is at `here` now: from the client's `cursor`, or from `here`
        if it named none. `followed`: the hub followed the topic before Redis told its place.
        """
        if self._nursery is None:
            return
        membership = self._follow(name)
        if cursor is None or cursor == here:  # nothing was missed until then
            self.tell_joined(name, here, recovered=cursor is not None)
            self._enter(membership, here, followed)
        else:
            self._nursery.start_soon(self._bring_in, membership, cursor, True)

    def correct(self, topics: Set[str]) -> None:
        """Be in these topics and no others: a failover has lost the commits of joins and leaves."""
        for name in [*self._topics]:
            if name not in topics and not is_implied(name):
                self._leave(name)
        if self._nursery is not None:
            for name in topics - self._topics.keys():
                self._nursery.start_soon(self._bring_in, self._follow(name), ELSEWHERE, False)

    def catch_up_alone(self, topic: Topic, cursor: Cursor) -> None:
        """Leave the topic's members until it has caught up with them."""
        membership = self._topics.get(topic.name)
        if membership is not None and self._nursery is not None:
            self._hub.hold(topic.name)
            self._nursery.start_soon(self._bring_in, membership, cursor, False)

    def _join(self, name: str, cursor: Cursor, now: bool) -> None:
        if name in self._topics or self._nursery is None:
            return
        self._push_joined(name, cursor, recovered=True)
        self._enter(self._follow(name), cursor, now)

    def _enter(self, membership: Membership, cursor: Cursor, now: bool) -> None:
        """Enter a topic that is at `cursor`; not `now`: it was there a while ago."""
        if self._hub.enter(membership.topic, self, cursor, now=now):
            self._hub.release(membership.topic)
        elif self._nursery is not None:
            self._nursery.start_soon(self._bring_in, membership, cursor, False)

    def _leave(self, name: str) -> None:
        membership = self._topics.pop(name, None)
        if membership is not None:
            self._hub.leave(membership.topic, self)
        self.outbox.push(text_frame(codec.left(name)))

    def _follow(self, name: str) -> Membership:
        membership = self._topics[name] = Membership(self._hub.hold(name))
        return membership

    def _push_joined(self, topic: str, cursor: Cursor, *, recovered: bool) -> None:
        text = codec.joined(topic, cursor.epoch, cursor.offset, recovered=recovered)
        self.outbox.push(text_frame(text))

    async def _bring_in(self, membership: Membership, cursor: Cursor, announce: bool) -> None:
        topic = membership.topic

        def wanted() -> bool:
            return self._topics.get(topic.name) is membership

        try:
            await self._catch_up.bring_in(topic, self, cursor, wanted, announce=announce)
        finally:
            self._hub.release(topic)
