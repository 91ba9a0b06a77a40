"""The clients of one run, many in one process, and what they count together.

What runs for each frame is as little as can be: the load must never be the bottleneck.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.dialects import NUMBER, Plain

AT_ONCE: Final = 64  # handshakes at the same time
PATIENCE: Final = 45.0  # seconds for clients to get in, and for what is in flight to arrive


M = TypeVar("M", bound="Member")


class Failed(Exception):
    """A server did not do what all of them must do."""


class Member(WSListener):
    """A client in a room. It counts its answers and broadcasts, and its crowd's with them."""

    transport: WSTransport

    def __init__(self, crowd: Crowd, room: str) -> None:
        self.crowd = crowd
        self.room = room
        self.dialect = crowd.dialect
        self.said, self.ok = self.dialect.said, self.dialect.ok
        self.joined = asyncio.get_running_loop().create_future()
        self.sent = self.answered = self.heard = 0
        self.times: deque[float] = deque()  # when each unanswered event was sent
        self.greeted = not self.dialect.greeting
        self.numbers: Numbers | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        text = frame.get_payload_as_bytes()
        if text.startswith(self.said):
            self.heard += 1
            crowd = self.crowd
            crowd.heard += 1
            if self.numbers is not None:
                crowd.fail(self.numbers.take(text))
            self.on_said(text)
            if crowd.heard >= crowd.mark:
                crowd.on_mark()
        elif text.startswith(self.ok):
            self.answered += 1
            self.crowd.answered += 1
            self.on_answer(text)
        else:
            self.on_other(text, frame.msg_type)

    def on_said(self, text: bytes) -> None:
        """A broadcast has come."""

    def on_answer(self, text: bytes) -> None:
        """An answer has come."""

    def on_other(self, text: bytes, kind: WSMsgType) -> None:
        if text == self.dialect.ping:
            self.send(self.dialect.pong)
        elif not self.greeted:
            self.greeted = True
            self.send(self.dialect.greeting)
        elif not self.joined.done():
            if self.dialect.joined(text, self.room):
                self.joined.set_result(None)
        elif kind is WSMsgType.TEXT and b"error" in text[:20]:
            self.crowd.fail(f"a server answered {text[:200]!r}")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.crowd.lost(self)

    def send(self, payload: bytes) -> None:
        self.transport.send(WSMsgType.TEXT, payload)

    def say(self, text: str) -> None:
        self.sent += 1
        self.crowd.sent += 1
        self.times.append(time.perf_counter())
        self.send(self.dialect.say(self.sent, self.room, text))


class Crowd:
    """All clients of one run."""

    def __init__(self, dialect: Plain, ports: Sequence[int]) -> None:
        self.dialect = dialect
        self.ports = ports
        self.members: list[Member] = []
        self.sent = self.answered = self.heard = 0
        self.failure: str | None = None
        self.closing = False
        self.mark = float("inf")
        self.on_mark: Callable[[], None] = lambda: None  # called when so many were heard
        self.running = True  # whether clients are to send on

    def fail(self, reason: str | None) -> None:
        self.failure = self.failure or reason

    def lost(self, member: Member) -> None:
        """A connection has ended; only at the end of a run may it."""
        if not self.closing:
            self.fail(f"a server closed a connection: {member.transport.close_handshake}")

    def check(self) -> None:
        """Raises Failed if anything went wrong so far."""
        if self.failure:
            raise Failed(self.failure)

    async def dial(self, rooms: Sequence[str], kind: Callable[[Crowd, str], M]) -> list[M]:
        """One client for each of `rooms`, on all nodes in turn; returns when all are in."""
        free = asyncio.Semaphore(AT_ONCE)
        members: list[M] = []

        async def enter(number: int, room: str) -> M:
            async with free:
                member = kind(self, room)
                port = self.ports[number % len(self.ports)]
                await ws_connect(
                    lambda: member,
                    f"ws://127.0.0.1:{port}{self.dialect.path(room)}",
                    websocket_handshake_timeout=PATIENCE,
                )
                try:
                    await asyncio.wait_for(member.joined, PATIENCE)
                except TimeoutError:
                    raise Failed(f"a client did not get in within {PATIENCE:g} s") from None
                return member

        members = await asyncio.gather(*(enter(n, room) for n, room in enumerate(rooms)))
        self.members += members
        return members

    async def until(self, done: Callable[[], bool], what: str) -> None:
        """Wait for what the clients count. Raises Failed if it does not come to be."""
        deadline = time.monotonic() + PATIENCE
        while not done():
            self.check()
            if time.monotonic() > deadline:
                raise Failed(f"not within {PATIENCE:g} s: {what}")
            await asyncio.sleep(0.01)
        self.check()

    def close(self) -> None:
        self.closing = True
        for member in self.members:
            member.transport.disconnect(graceful=False)


class Numbers:
    """Checks that one client's broadcasts carry 1, 2, 3, …; late ones are counted as disorder."""

    def __init__(self) -> None:
        self.last = 0
        self.early: set[int] = set()
        self.disorder = 0

    def take(self, text: bytes) -> str | None:
        """The next broadcast; returns what is wrong with it."""
        found = NUMBER.search(text)
        if found is None:
            return f"a broadcast has no number: {text[:200]!r}"
        number = int(found[1])
        if number == self.last + 1:
            self.last = number
            while self.early and self.last + 1 in self.early:
                self.last += 1
                self.early.remove(self.last)
            return None
        self.disorder += 1
        if number <= self.last or number in self.early:
            return f"a broadcast came twice: {number}"
        self.early.add(number)
        return None
