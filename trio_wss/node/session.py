"""A session as the node that owns it sees it: it sends commits, and does what comes of them in the
moment their answers come, so that replies and broadcasts keep one order.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, assert_never

import structlog
import trio

from trio_wss.errors import Unavailable
from trio_wss.handlers import Handler
from trio_wss.node.turn import INTERNAL, Decision, Turn, refuse
from trio_wss.plan import NOTHING, Op
from trio_wss.reads import Client, ReadRequest
from trio_wss.store.entries import Entry, WrongType
from trio_wss.store.executor import NEW, Commit
from trio_wss.store.outcome import (
    Changed,
    Cursor,
    Done,
    Failed,
    Fenced,
    Gone,
    Joined,
    Left,
    Outcome,
    Stale,
    Unknown,
)
from trio_wss.wire import codec, text_frame

if TYPE_CHECKING:
    from trio_wss.node.hub import Topic
    from trio_wss.node.node import Node
    from trio_wss.wire import Outbox

log = structlog.get_logger(__name__)

FIRST: Final = "1"  # the generation of a session that has begun and was never resumed
NOBODY: Final = Handler(lambda: None, "nobody", takes_event=False)
REFUSED: Final = 4403  # close code: on_connect said no
REPLACED: Final = 4409  # close code: the session is on another connection; do not come back
RESTART: Final = 1012  # close code: come back, to any node

AWAY: Final = "the outcome is not known: send the event again with the same id"
CONFLICT: Final = "others kept changing what this event reads; nothing was applied"


class Session:
    """A client's session on this node, with the topics it is in. A member for the hub."""

    def __init__(
        self, node: Node, client: Client, outbox: Outbox, close: Callable[[int, str], None]
    ) -> None:
        self.node = node
        self.client = client
        self.outbox = outbox
        self.generation = NEW
        self.begun = False  # a commit that begins it was sent
        self.token = secrets.token_urlsafe(16)
        self.topics: dict[str, Topic] = {}
        self._close = close
        self._nursery: trio.Nursery | None = None
        self._behind: list[Callable[[], None]] | None = None  # what the last commit in flight holds

    def __repr__(self) -> str:
        return f"<Session {self.client.session} gen={self.generation} topics={sorted(self.topics)}>"

    def open(self, nursery: trio.Nursery) -> None:
        """Catching up happens in the connection's nursery."""
        self._nursery = nursery

    def leave_hub(self) -> None:
        """Take the socket out of every topic: synchronous, before it closes."""
        self._nursery = None
        while self.topics:
            _, topic = self.topics.popitem()
            self.node.hub.leave(topic, self)

    def push(self, text: bytes) -> None:
        """Put one text into the outbox."""
        self.outbox.push(text_frame(text))

    def tell_joined(self, topic: str, cursor: Cursor, *, recovered: bool) -> None:
        """Send `wss.joined`: what comes next in the topic is offset + 1."""
        self.push(codec.joined(topic, cursor.epoch, cursor.offset, recovered=recovered))

    # --- begin and end

    async def begin(self) -> bool:
        """The commit that makes the session, with what on_connect wants. False: it said no."""
        node, client = self.node, self.client
        topics = ["all", f"session:{client.session}"]
        if client.user is not None:
            topics.append(f"user:{client.user}")
        held = [node.hub.hold(topic) for topic in topics]
        hashed = hashlib.sha256(self.token.encode()).hexdigest()
        handler = node.app.connect or NOBODY
        turn = Turn(node.app, handler, client, "connect")
        await self.settle(turn, node.executor.begin(client, hashed, topics))
        for topic in held:
            node.hub.release(topic)
        return self.generation != NEW

    async def end(self) -> None:
        """The commit that ends the session, with what on_disconnect wants, or at least bare.

        A beginning whose outcome is not known is ended too: it may have been applied.
        """
        if not self.begun:
            return
        self.generation = FIRST
        node = self.node
        lead = node.executor.end(self.client.session)
        turn = Turn(node.app, node.app.disconnect or NOBODY, self.client, "disconnect")
        outcome = await self.settle(turn, lead)
        if isinstance(outcome, Failed):
            await self._sent(Decision(None, NOTHING, b""), lead=lead)

    # --- commits

    def send(
        self,
        decision: Decision,
        answered: Callable[[Outcome], None],
        *,
        requests: Sequence[ReadRequest] = (),
        entries: Sequence[Entry] = (),
        lead: tuple[Op, ...] = (),
    ) -> None:
        """Send a decision as one commit. What comes of it is done as its answer comes.

        `answered` is called after that; given Changed, nothing was done and the handler must
        decide again.
        """
        plan, hub = decision.plan, self.node.hub
        if self.generation == NEW and decision.refused:
            lead = ()  # on_connect said no: there is nothing to begin
        if decision.number is None and not plan.ops and not lead:
            self._answer_in_turn(decision, answered)
            return
        self.begun = True
        held = [hub.hold(topic) for topic in plan.joins]
        behind: list[Callable[[], None]] = []
        self._behind = behind

        def arrived(outcome: Outcome) -> None:
            if self._behind is behind:
                self._behind = None
            self._apply(decision, outcome)
            for topic in held:
                hub.release(topic)
            answered(outcome)
            for answer in behind:
                answer()

        commit = Commit(
            plan=plan,
            session=self.client.session,
            generation=self.generation,
            number=decision.number,
            answer=decision.answer,
            keep=decision.refused,
            requests=requests,
            entries=entries,
            lead=lead,
        )
        self.node.executor.commit(commit, arrived)

    def _answer_in_turn(self, decision: Decision, answered: Callable[[Outcome], None]) -> None:
        """Nothing to commit: answer at once, but never before the commits that were sent first."""

        def answer() -> None:
            outcome = Done(decision.answer)
            self._apply(decision, outcome)
            answered(outcome)

        if self._behind is None:
            answer()
        else:
            self._behind.append(answer)

    async def settle(self, turn: Turn, lead: tuple[Op, ...] = ()) -> Outcome:
        """Read, decide and commit, again and again until nothing read has changed meanwhile.

        Events of this node that read the same keys queue up here. Past `event_deadline` the answer
        is `conflict`, and that too is a commit.
        """
        requests = turn.requests
        give_up = trio.current_time() + self.node.settings.event_deadline
        async with self.node.locks.hold(f"{r.kind} {r.key}" for r in requests):
            outcome: Outcome = Changed(())
            while isinstance(outcome, Changed) and trio.current_time() < give_up:
                entries = outcome.entries
                try:
                    if requests and not entries:
                        entries = await self.node.executor.read(requests)
                except Unavailable as error:
                    outcome = Unknown(str(error))
                    self._apply(refuse(turn.number, "unavailable", AWAY), outcome)
                except WrongType:
                    log.exception("a read failed", handler=turn.handler.name)
                    return await self._sent(refuse(turn.number, "internal", INTERNAL), lead=lead)
                else:
                    decision = turn.decide(entries)
                    outcome = await self._sent(decision, requests, entries, lead)
        if isinstance(outcome, Changed):
            return await self._sent(refuse(turn.number, "conflict", CONFLICT), lead=lead)
        return outcome

    async def _sent(
        self,
        decision: Decision,
        requests: Sequence[ReadRequest] = (),
        entries: Sequence[Entry] = (),
        lead: tuple[Op, ...] = (),
    ) -> Outcome:
        """Send, and wait for what came of it."""
        outcomes: list[Outcome] = []
        there = trio.Event()

        def answered(outcome: Outcome) -> None:
            outcomes.append(outcome)
            there.set()

        self.send(decision, answered, requests=requests, entries=entries, lead=lead)
        await there.wait()
        return outcomes[0]

    # --- outcomes

    def _apply(self, decision: Decision, outcome: Outcome) -> None:
        """Do what an outcome says: the one place where outcomes are told apart."""
        match outcome:
            case Done(answer, membership):
                if self.generation == NEW:
                    self._welcome(decision)
                for change in membership:
                    self._change(change)
                if answer:
                    self.push(answer)
                close = decision.plan.close
                if close is not None:
                    self._close(close.code, close.reason)
            case Changed():
                pass  # nothing was done, and nothing is told
            case Failed(fault):
                self._fail(decision, fault)
            case Stale():
                self._error(decision, "stale", "a greater id has taken this one's place")
            case Unknown():
                self._error(decision, "unavailable", AWAY)
            case Fenced():
                self._close(REPLACED, "replaced")
            case Gone():
                self._close(RESTART, "the session is gone")
            case _:
                assert_never(outcome)

    def _welcome(self, decision: Decision) -> None:
        if decision.refused:
            self._close(REFUSED, "refused")
            return
        self.generation = FIRST
        session, node = self.client.session, self.node.id
        self.push(codec.welcome(session, self.token, node, resumed=False, last=0))

    def _error(self, decision: Decision, code: str, message: str) -> None:
        self.push(codec.error(decision.number, code, message))

    def _fail(self, decision: Decision, fault: str) -> None:
        if fault == "topics":
            most = self.node.settings.max_topics
            self._error(decision, "refused", f"a session can be in {most} topics at most")
        else:
            log.error("commit refused", fault=fault, session=self.client.session)
            self._error(decision, "internal", INTERNAL)

    def _change(self, change: Joined | Left) -> None:
        if isinstance(change, Left):
            topic = self.topics.pop(change.topic, None)
            if topic is not None:
                self.node.hub.leave(topic, self)
            self.push(codec.left(change.topic))
        elif change.topic not in self.topics and self._nursery is not None:
            self.tell_joined(change.topic, change.cursor, recovered=True)
            self._enter(change.topic, change.cursor)

    def _enter(self, name: str, cursor: Cursor) -> None:
        """Be a member from a cursor on: at once where it is the topic's, else by catching up."""
        hub = self.node.hub
        topic = hub.hold(name)
        self.topics[name] = topic
        if hub.enter(topic, self, cursor):
            hub.release(topic)
        elif self._nursery is not None:
            self._nursery.start_soon(self._catch_up, topic, cursor)

    async def _catch_up(self, topic: Topic, cursor: Cursor) -> None:
        try:
            await self.node.catch_up.bring_in(
                topic, self, cursor, lambda: self.topics.get(topic.name) is topic
            )
        finally:
            self.node.hub.release(topic)
