"""A topic as its node sees it: its cursor, its members, and the frames of the last moment."""

from __future__ import annotations

from typing import Final, Protocol

import trio

from trio_wss.store.history import Cursor, text_head
from trio_wss.wire import Outbox, text_frame

NO_HEAD: Final = ()  # no text begins with one of these


class TopicMember(Protocol):
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
        self._next: bytes | tuple[()] = NO_HEAD
        self._recent: list[tuple[Cursor, bytes]] | None = None  # each behind its cursor
        self.members: Final[dict[Outbox, TopicMember]] = {}
        self.holds = 0  # joins in flight and members catching up: reasons to stay subscribed
        self.live = True  # False: pushes are dropped until what was missed is found
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
        self._next = text_head(cursor.epoch, cursor.offset + 1) if cursor.epoch else NO_HEAD

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
        self._recent = None  # there is a topic for every session: an empty list is not small

    def _remember(self, before: Cursor, frame: bytes) -> None:
        if self._recent is None:
            self._recent = []
        self._recent.append((before, frame))

    def go_on_at(self, cursor: Cursor, *, recovered: bool) -> None:
        """Tell every member where the topic goes on. Not `recovered`: its history is broken; else
        it has expired in silence, and nothing is missing.
        """
        self.cursor = cursor
        self.forget()
        for member in self.members.values():
            member.tell_joined(self.name, cursor, recovered=recovered)

    def interrupt(self) -> None:
        """What comes next may not follow the cursor: let nobody have it."""
        self.live = False
        self.forget()

    @property
    def settled(self) -> trio.Event:
        """Set when it is live again."""
        if self._settled is None:
            self._settled = trio.Event()
        return self._settled

    def settle(self) -> None:
        """Live again: what comes next follows the cursor."""
        self.live = True
        if self._settled is not None:
            self._settled.set()
            self._settled = None
