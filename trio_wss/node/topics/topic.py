"""A topic as its node sees it: its cursor, its members, and its most recent frames."""

from __future__ import annotations

from typing import Final, Protocol

import trio

from trio_wss.store.history import Cursor, text_head
from trio_wss.wire import Outbox, text_frame

NO_HEAD: Final = ()  # no text begins with one of these


class TopicMember(Protocol):
    """The part of a connection that the hub uses."""

    @property
    def outbox(self) -> Outbox:
        """The outbox that takes its frames."""

    def tell_joined(self, topic: str, cursor: Cursor, *, recovered: bool) -> None:
        """Send `wss.joined`."""

    def catch_up_alone(self, topic: Topic, cursor: Cursor) -> None:
        """Read the stream at its own pace, and enter the topic again."""


class Topic:
    """A topic that a client on this node is in, or is about to join."""

    __slots__ = (
        "_epoch", "_next", "_offset", "_recent", "_went_live", "channel", "holds", "live",
        "members", "name",
    )  # fmt: skip

    def __init__(self, name: str, channel: bytes) -> None:
        self.name: Final = name
        self.channel: Final = channel
        self._epoch = ""
        self._offset = -1  # none of its broadcasts has been seen yet
        # The beginning of the next text, which alone identifies the usual push.
        self._next: bytes | tuple[()] = NO_HEAD
        self._recent: list[tuple[Cursor, bytes]] | None = None  # the cursor before each frame
        self.members: Final[dict[Outbox, TopicMember]] = {}
        self.holds = 0  # joins in flight and members catching up: reasons to stay subscribed
        self.live = True  # False: pushes are dropped until the missed broadcasts are found
        self._went_live: trio.Event | None = None  # exists while a task waits for it

    def __repr__(self) -> str:
        state = "" if self.live else " gap"
        return f"<Topic {self.name} at {self.cursor} members={len(self.members)}{state}>"

    @property
    def cursor(self) -> Cursor | None:
        """The last broadcast that its members were given; None: none has been seen yet."""
        return None if self._offset < 0 else Cursor(self._epoch, self._offset)

    @cursor.setter
    def cursor(self, cursor: Cursor) -> None:
        self._epoch, self._offset = cursor.epoch, cursor.offset
        self._next = text_head(cursor.epoch, cursor.offset + 1) if cursor.epoch else NO_HEAD

    def follow(self, payload: bytes) -> bool:
        """Take a push if it is the next one, of the same epoch. Return whether it was."""
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
        """Give one broadcast to every member. It is encoded once; all get the same bytes."""
        frame = text_frame(text)
        for outbox in self.members:
            outbox.push(frame)
        return frame

    def since(self, cursor: Cursor) -> list[bytes] | None:
        """Return the frames that followed a cursor; None if it is too old, or not of this topic."""
        if cursor == self.cursor:
            return []
        frames = []
        for before, frame in reversed(self._recent or ()):
            frames.append(frame)
            if before == cursor:
                return frames[::-1]
        return None

    def forget(self) -> None:
        """Drop the recent frames: no client joins any more, or the history is interrupted."""
        self._recent = None  # every session has a topic, and even an empty list costs memory

    def _remember(self, before: Cursor, frame: bytes) -> None:
        if self._recent is None:
            self._recent = []
        self._recent.append((before, frame))

    def go_on_at(self, cursor: Cursor, *, recovered: bool) -> None:
        """Tell every member where the topic goes on. Not `recovered`: its history is broken; else
        the topic expired after a long silence, and nothing is missing.
        """
        self.cursor = cursor
        self.forget()
        for member in self.members.values():
            member.tell_joined(self.name, cursor, recovered=recovered)

    def interrupt(self) -> None:
        """Drop pushes from now on, since the next one may not follow the cursor."""
        self.live = False
        self.forget()

    @property
    def went_live(self) -> trio.Event:
        """Set when the topic is live again."""
        if self._went_live is None:
            self._went_live = trio.Event()
        return self._went_live

    def go_live(self) -> None:
        """Be live again: the next push follows the cursor."""
        self.live = True
        if self._went_live is not None:
            self._went_live.set()
            self._went_live = None
