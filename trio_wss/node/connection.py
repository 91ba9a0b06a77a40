"""A connection is one socket from its welcome to its close. Its reader takes an event only through
the door: only while few events are unanswered and the outbox has room, so that a reply never waits.
While the reader waits at the door, or for an event's reads, the client's pings are still answered.
"""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import Final, NoReturn, Protocol

import trio
from attrs import frozen

from trio_wss.errors import Unavailable
from trio_wss.node.connections import Connections
from trio_wss.node.decide import Decision, Undecided, decide, refuse
from trio_wss.node.session import Session, SessionParts
from trio_wss.ops.statistics import UNKNOWN_EVENT
from trio_wss.reads import Client
from trio_wss.store.history import Cursor
from trio_wss.store.outcome import CommitOutcome
from trio_wss.store.sessions import Overtaken
from trio_wss.wire import BEHIND, CloseCode, Closed, WebSocket, codec
from trio_wss.wire.intake import Intake
from trio_wss.wire.rate_limit import RateLimit

RESUME_SECONDS: Final = 10.0  # for the first frame of a client that wants to resume
UNANSWERED: Final = 32  # events of one connection in flight, at which the door shuts
NOT_RESUMED: Final = (
    "sent for a session that was not resumed, and dropped: wss.begin begins with the new one"
)


class LinkState(Protocol):
    """The facts about the link to Redis that a connection uses."""

    up: bool
    heard: float
    """When Redis last sent anything, on Trio's clock."""

    @property
    def full(self) -> bool:
        """Whether so much is unanswered that nothing more should be sent."""


@frozen
class ConnectionParts:
    """The parts and settings that the connections of one node share."""

    session: SessionParts
    link: LinkState
    all: Connections
    rate: float  # events a second
    burst: float
    patience: float  # seconds until an event that Redis does not answer is `unavailable`
    drain: float  # seconds that a node has to stop


class Connection:
    """One socket, and the session behind it."""

    def __init__(
        self,
        parts: ConnectionParts,
        socket: WebSocket,
        client: Client,
        *,
        resumes: bool = False,
    ) -> None:
        """`resumes`: the client said that its first frame will be `wss.resume`."""
        self._parts = parts
        self.socket = socket
        self.session = Session(parts.session, client, socket.outbox, self.close_soon)
        self._outbox = socket.outbox
        self._intake = Intake(socket, self._answer_ping)
        self._bucket = RateLimit(parts.rate, parts.burst)
        self._last_id = -1  # the highest id seen; an event whose id is not above it may be a repeat
        self._unanswered = 0
        self._promised = 0  # bytes of the large answers among the unanswered
        self._resumes = resumes
        self._ignores = False  # drops events that were meant for a session that was not resumed
        self._retired = False
        self._gone: Closed | None = None  # the socket ended before its session was resumed
        self._fewer: trio.Event | None = None  # set at the next answer, if a task waits for it
        self._nursery: trio.Nursery | None = socket.nursery
        self.session.open(socket.nursery)

    def __repr__(self) -> str:
        return f"<Connection {self.session!r} unanswered={self._unanswered}>"

    async def run(self) -> None:
        """Begin or resume the session, take events until the socket closes, finish the session."""
        self._parts.all.add(self)
        try:
            await self._live()
        finally:
            self._parts.all.discard(self)
            if self._outbox.reason == BEHIND:
                self._parts.session.statistics.slow_consumers += 1

    async def _live(self) -> None:
        try:
            resumed = self._resumes and await self._resume()
            if resumed or await self.session.begin():
                await self._take_all()
        except Closed:
            pass
        finally:
            self.leave_hub()
            with trio.move_on_after(self._time_to_finish(), shield=True):
                await self.session.finish(clean=self._said_goodbye())

    async def _take_all(self) -> None:
        """Take frame after frame. Raises Closed."""
        while True:
            while (frame := self._intake.pop()) is not None:
                await self._take(frame)
            await self._intake.receive()

    async def _resume(self) -> bool:
        """Resume the session that the first frame names. If it cannot be resumed, drop the events
        that the client sends before it knows. Raises Closed.
        """
        with trio.move_on_after(RESUME_SECONDS):
            await self._intake.receive()
        first = self._intake.pop()
        if first is None:  # its session may exist nevertheless
            self._turn_away("no wss.resume came")
        self._ignores = True
        request = codec.parse_resume(first)
        if request is None:
            self._intake.push_back(first)
            return False
        cursors = {topic: Cursor(*place) for topic, place in request.cursors.items()}
        failure = ""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look_ahead, nursery.cancel_scope)
            try:
                if await self.session.resume(request.token, cursors, request.attempt):
                    self._ignores = False
            except Unavailable:
                failure = "Redis is away"
            except Overtaken as overtaken:
                failure = str(overtaken)
            nursery.cancel_scope.cancel()
        if failure:
            self._turn_away(failure)
        if self._gone is not None:
            raise self._gone
        self._last_id = self.session.last
        return not self._ignores

    def _turn_away(self, why: str) -> NoReturn:
        """Send away a client that has no session yet. Raises Closed."""
        self.close_soon(CloseCode.AGAIN_LATER, why)
        raise Closed(CloseCode.AGAIN_LATER)

    async def _look_ahead(self, resuming: trio.CancelScope) -> None:
        """Give up the resume when the client has gone: it may have resumed its session on another
        connection by now, and this one must not take the session away from it.
        """
        try:
            await self._intake.receive()
        except Closed as closed:
            self._gone = closed
            resuming.cancel()

    def _said_goodbye(self) -> bool:
        """Return whether the client closed the connection, and not the node."""
        return self.socket.clean and self._outbox.code is None

    def _time_to_finish(self) -> float:
        """Return the seconds for the commit that ends the session. A node has to stop in time: half
        of `drain` may be over, and the node has to sign off afterwards.
        """
        drain = self._parts.drain
        return drain / 3 if self._parts.link.up else drain / 10

    async def retire(self, code: int, reason: str, give_up: float) -> None:
        """Take no more events, wait for answers to those in flight until `give_up`, then close."""
        self._retired = True
        with trio.move_on_at(give_up):
            await self._all_answered()
        await self.socket.close(code, reason)

    def leave_hub(self) -> None:
        """Send nothing more to this socket. Synchronous; called before the socket closes."""
        self._nursery = None
        self.session.leave_hub()

    def close_soon(self, code: int, reason: str = "") -> None:
        """Close the socket after its outbox is written, which ends its reader too.

        The outbox is sealed at once: no frame follows, and the first code counts.
        """
        if self._nursery is not None:
            self._outbox.seal(code, reason)
            self._nursery.start_soon(self.socket.close, code, reason)

    async def _take(self, raw: str | bytes) -> None:
        """Take one event and send its commit. Waits only at the door, and for reads."""
        if (
            self._unanswered >= UNANSWERED
            or self._parts.link.full
            or (self._outbox.size + self._promised) * 2 >= self._outbox.limit
        ):
            await self._waiting(self._wait_at_door())
        if self._retired:
            return
        message = _parse(raw)
        number = message.number if isinstance(message, Decision) else message.id
        if not self._may_send() and not await self._may_be_late(number):
            told = None if self._ignores else number  # the id may belong to another session
            self.session.push(codec.error(told, "rate_limited", "too many events"))
            self._count(message, "rate_limited")
            await trio.lowlevel.checkpoint()  # no commit to wait for at the door
            return
        event = "" if isinstance(message, Decision) else message.event
        if event == codec.PING_EVENT or event == codec.BEGIN_EVENT or self._ignores:
            self._take_word(event)
            await trio.lowlevel.checkpoint()  # no commit to wait for at the door
            return
        expires = self._give_up()
        if trio.current_time() >= expires:  # it has waited behind other events
            await self._all_answered()  # their time is over soon, too
            self.session.unavailable(number)
            self._count(message, "unavailable")
            await trio.lowlevel.checkpoint()  # no commit to wait for at the door
            return
        if isinstance(message, Decision):
            await self._send(message, expires)
        else:
            await self._take_event(message, expires)

    async def _take_event(self, message: codec.Message, expires: float) -> None:
        """Decide an event, and send its commit."""
        if message.id is not None and message.id > self._last_id:
            self._last_id = message.id
        undecided = decide(self._parts.session.app, self.session.client, message)
        if isinstance(undecided, Decision):
            await self._send(undecided, expires)
        else:
            self._unanswered += 1
            await self._waiting(self._transact(undecided, expires))
            self._answered()

    def _take_word(self, event: str) -> None:
        """Take an event for the connection itself, or one for a session that was not resumed."""
        if event == codec.PING_EVENT:
            self.session.push(codec.pong())
        elif event == codec.BEGIN_EVENT:
            self._ignores = False
        else:
            self.session.push(codec.error(None, "not_resumed", NOT_RESUMED))

    # --- while the reader waits

    async def _waiting(self, work: Awaitable[None]) -> None:
        """Wait for `work`; `Connections` makes this connection `listen` if that takes long."""
        waiting = self._parts.all.waiting
        waiting[self] = trio.current_time()
        try:
            await work
        finally:
            del waiting[self]

    def listen(self) -> None:
        """Read from the client in another task while the reader waits."""
        if self._nursery is not None:
            self._intake.listen(self._nursery)

    def _answer_ping(self) -> bool:
        """Answer a ping before its turn, if the rate limit allows; return whether it did."""
        if not self._may_send():
            return False
        self.session.push(codec.pong())
        return True

    def _may_send(self) -> bool:
        return self._bucket.take(trio.current_time())

    def _give_up(self) -> float:
        """Return when the current event becomes `unavailable`: `patience` after it came, or after
        Redis last said anything, since any other wait is not the fault of Redis.
        """
        since = max(self._intake.arrived, self._parts.link.heard)
        return since + self._parts.patience

    async def _send(self, decision: Decision, expires: float) -> None:
        commit = self.session.commit(decision, expires=expires)
        if commit is None:  # nothing to wait for at the door: let other tasks run
            await trio.lowlevel.checkpoint()
            return
        self._unanswered += 1
        answered, size = self._answered, len(decision.answer)
        if size * UNANSWERED * 2 > self._outbox.limit:  # a full door of these would be too much
            self._promised += size
            answered = partial(self._answered_large, size)
        self._parts.session.executor.commit(commit, answered)

    async def _transact(self, undecided: Undecided, expires: float) -> None:
        """Run the transaction of an event that reads, and wait for its outcome."""
        make = partial(self.session.commit, expires=expires)
        try:
            await self._parts.session.transactions.run(undecided, make, expires=expires)
        except Unavailable:
            self.session.unavailable(undecided.number)

    def _answered(self, _: CommitOutcome | None = None) -> None:
        self._unanswered -= 1
        if self._fewer is not None:
            self._fewer.set()
            self._fewer = None

    def _answered_large(self, size: int, _: CommitOutcome) -> None:
        self._promised -= size
        self._answered()

    async def _wait_at_door(self) -> None:
        outbox = self._outbox
        while self._unanswered >= UNANSWERED or (
            self._promised and (outbox.size + self._promised) * 2 >= outbox.limit
        ):
            await self._until_fewer()
        await outbox.room()
        await self._parts.session.executor.room()

    async def _all_answered(self) -> None:
        while self._unanswered:
            await self._until_fewer()

    async def _until_fewer(self) -> None:
        """Wait for the next answer; the reader and `retire` may both wait."""
        if self._fewer is None:
            self._fewer = trio.Event()
        await self._fewer.wait()

    def _count(self, message: codec.Message | Decision, outcome: str) -> None:
        """Count an event that was not decided. Events unknown to the app share one name, since
        clients can invent any number of names.
        """
        parts = self._parts.session
        event = message.event if message.event in parts.app.handlers else UNKNOWN_EVENT
        parts.statistics.count(event, outcome)

    async def _may_be_late(self, number: int | None) -> bool:
        """Return whether an event over the rate may be a repeat. Only Redis knows the answer to a
        repeat, so such an event waits for its token instead of being refused.
        """
        if number is None or number > self._last_id:
            return False
        await trio.sleep(self._bucket.borrow())
        return True


def _parse(raw: str | bytes) -> codec.Message | Decision:
    """Return the message of one frame, or a Decision that refuses a malformed frame."""
    try:
        return codec.parse_message(raw)
    except codec.Malformed as fault:
        return refuse(fault.number, "invalid", fault.message, fault.path)
