"""A session as its node sees it. It makes commits, and applies their outcomes in the moment their
answers come, so that replies and broadcasts keep one order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Final, assert_never

import structlog
import trio
from attrs import define, field, frozen

from trio_wss.app import App
from trio_wss.commit.ops import Op
from trio_wss.commit.plan import EMPTY_PLAN
from trio_wss.errors import Unavailable
from trio_wss.node.decide import INTERNAL, SILENT, Decision, Undecided, decide_hook
from trio_wss.node.topics.catchup import CatchUp
from trio_wss.node.topics.hub import Hub
from trio_wss.node.topics.memberships import Memberships
from trio_wss.node.transaction import Endings, Transactions
from trio_wss.ops.statistics import Statistics
from trio_wss.reads import Client, Gap, ReadRequest, implied_topics
from trio_wss.store.entries import Entry
from trio_wss.store.executor import NEW, Commit, Executor
from trio_wss.store.history import Cursor
from trio_wss.store.link.awaited import Awaited
from trio_wss.store.outcome import (
    Changed,
    CommitOutcome,
    Done,
    Failed,
    Fenced,
    Gone,
    Stale,
    Unknown,
)
from trio_wss.store.sessions import (
    Sessions,
    StoredSession,
    Taken,
    new_token,
    next_generation,
)
from trio_wss.wire import CloseCode, Outbox, codec, text_frame

log = structlog.get_logger(__name__)

FIRST: Final = "1"  # the generation of a session that has begun and was never resumed
AWAY: Final = "the outcome is not known: send the event again with the same id"
GAP_RETRY: Final = 0.5  # seconds until on_gap is run again that could not be decided
RACES: Final = 5  # tries to take over a session that keeps changing


@define(eq=False)
class Custody:
    """Sessions that belong, or may belong, to this node in Redis, but have no connection here."""

    unfinished: dict[str, str] = field(factory=dict)  # generations; the janitor makes them due
    arriving: set[str] = field(factory=set)  # about to be resumed here


@frozen
class SessionParts:
    """The parts and settings that the sessions of one node share."""

    node: str
    app: App
    hub: Hub
    catch_up: CatchUp
    executor: Executor
    transactions: Transactions
    sessions: Sessions
    endings: Endings
    custody: Custody
    statistics: Statistics
    grace: float  # seconds
    max_topics: int


class Session:
    """A client's session on this node."""

    def __init__(
        self,
        parts: SessionParts,
        client: Client,
        outbox: Outbox,
        close: Callable[[int, str], None],
    ) -> None:
        self._parts = parts
        self.client = client
        self.outbox = outbox
        self.generation = NEW
        self.token = new_token(client.session)
        self.memberships = Memberships(parts.hub, parts.catch_up, outbox, self._told)
        self.last = 0  # the highest id that was used
        self._begun = False  # a commit that begins it was sent
        self._moved = False  # it lives on another connection, or nowhere
        self._over = False  # the app closed it
        self._close = close
        self._nursery: trio.Nursery | None = None

    def __repr__(self) -> str:
        return f"<Session {self.client.session} gen={self.generation} {self.memberships!r}>"

    def open(self, nursery: trio.Nursery) -> None:
        """Start tasks beside the reader in this nursery, the connection's, from now on."""
        self._nursery = nursery
        self.memberships.open(nursery)

    def leave_hub(self) -> None:
        """Take the socket out of every topic. Synchronous; called before the socket closes."""
        self._nursery = None
        self.memberships.close()

    def push(self, text: bytes) -> None:
        """Put one text into the outbox."""
        self.outbox.push(text_frame(text))

    def _told(self, topic: str, recovered: bool) -> None:
        """Count that the client was told where a topic goes on; after a gap, start on_gap."""
        app, statistics = self._parts.app, self._parts.statistics
        if recovered:
            statistics.recovered += 1
            return
        statistics.broken += 1
        if app.gap is not None and self._nursery is not None:
            self._nursery.start_soon(self._make_good, Gap(topic))

    async def _make_good(self, gap: Gap) -> None:
        """Run on_gap, and again until it is decided: the client cannot ask for it."""
        app, again = self._parts.app, True

        def make(
            decision: Decision, requests: Sequence[ReadRequest], entries: Sequence[Entry]
        ) -> Commit | None:
            nonlocal again
            again = decision.gave_up
            if not again:
                return self.commit(decision, requests, entries)
            log.warning("on_gap met a conflict", session=self.client.session)
            self._parts.statistics.decided(decision)
            return None

        while again and self._nursery is not None:
            undecided = decide_hook(app, self.client, app.gap, "event", gap)
            try:
                await self._parts.transactions.run(undecided, make)
            except Unavailable:  # nothing could be read, and nothing is under way
                again = True
            if again:
                await trio.sleep(GAP_RETRY)

    # --- begin, resume, finish

    async def begin(self) -> bool:
        """Commit the session's beginning, with the effects of on_connect. False: no session."""
        app, hub, client = self._parts.app, self._parts.hub, self.client
        held = [hub.hold(topic) for topic in implied_topics(client)]
        undecided = decide_hook(app, client, app.connect, "connect")
        try:
            await self._transact(undecided, self._parts.sessions.begin(client, self.token))
        finally:
            for topic in held:
                hub.release(topic)
        if self.generation == NEW:  # if on_connect refused, the close was sent before
            self._close(CloseCode.AGAIN_LATER, "the session could not begin")
        return self.generation != NEW

    async def resume(
        self, token: str, cursors: Mapping[str, Cursor], attempt: int | None = None
    ) -> bool:
        """Take over the session of a token, with its topics; `cursors` holds the client's place in
        each. False: this user has no such session. Raises Unavailable, and Overtaken if a later
        `attempt` came first.
        """
        hub, sessions = self._parts.hub, self._parts.sessions
        for _ in range(RACES):
            found = await sessions.find(token)
            if found is None or found.client.user != self.client.user:
                return False
            # Follow the topics before taking the session, to hear every push after the cursors.
            names = {*found.topics, *implied_topics(found.client)}
            held = [hub.hold(name) for name in names]
            try:
                taken = await self._take(found, attempt)
                if taken is not None:
                    self._begun, self.token = True, token
                    self.client, self.generation = taken.client, taken.generation
                    self.last = taken.last
                    self._welcome(resumed=True)
                    for name in cursors.keys() - taken.cursors.keys():
                        self.push(codec.left(name))
                    for name, here in taken.cursors.items():
                        cursor = cursors.get(name)
                        self.memberships.restore(name, cursor, here, followed=name in names)
                    return True
            finally:
                for topic in held:
                    hub.release(topic)
        return False

    async def _take(self, found: StoredSession, attempt: int | None) -> Taken | None:
        custody, session = self._parts.custody, found.client.session
        generation = next_generation(found.generation)
        custody.arriving.add(session)
        try:
            return await self._parts.sessions.take(found, generation, attempt)
        except (Unavailable, trio.Cancelled):
            # It may have been taken, and would then have no connection: the janitor makes it due.
            custody.unfinished[session] = generation
            raise
        finally:
            custody.arriving.discard(session)

    async def finish(self, *, clean: bool) -> None:
        """Finish after the connection. A `clean` close by the client ends the session; a client
        whose connection was lost has the grace to resume it.
        """
        if not self._begun or self._moved:
            return
        doubtful = self.generation == NEW  # its beginning may have been applied
        generation = FIRST if doubtful else self.generation
        parts, session = self._parts, self.client.session
        unfinished = parts.custody.unfinished
        unfinished[session] = generation  # until it is finished: else the janitor makes it due
        if clean or doubtful or self._over:
            outcome = await parts.endings.end(StoredSession(self.client, generation))
            if isinstance(outcome, Unknown):
                return
        else:
            try:
                await parts.sessions.away(session, generation, parts.grace)
            except Unavailable:
                return
        unfinished.pop(session, None)

    # --- commits

    def commit(
        self,
        decision: Decision,
        requests: Sequence[ReadRequest] = (),
        entries: Sequence[Entry] = (),
        *,
        lead: tuple[Op, ...] = (),
        expires: float | None = None,
    ) -> Commit | None:
        """Return the commit of a decision, to be sent at once; None if there is nothing to commit.
        Its outcome is applied when its answer comes.

        If the outcome is Changed, nothing was applied and the handler must decide again.
        """
        parts = self._parts
        if self._needs_no_commit(decision, bool(lead or requests)):
            parts.statistics.decided(decision)
            return None
        hub = parts.hub
        joins = decision.plan.joins
        held = [hub.hold(topic) for topic in joins] if joins else ()
        began = perf_counter()

        def apply(outcome: CommitOutcome) -> None:
            parts.statistics.committed(decision, outcome, perf_counter() - began)
            self._apply(decision, outcome)
            for topic in held:
                hub.release(topic)

        self._begun = True
        number = decision.number
        again = number is not None and number <= self.last
        if number is not None:
            self.last = max(self.last, number)
        return Commit(
            decision.plan, self.client.session, self.generation, number, decision.answer,
            requests, entries, lead, again, expires, apply,
        )  # fmt: skip

    def _needs_no_commit(self, decision: Decision, rests: bool) -> bool:
        """Return whether there is nothing to commit. A decision that `rests` on reads, or comes
        with operations of our own, needs a commit even if it is silent. If on_connect refused,
        there is no session to commit to, and the client is told so here.
        """
        if self.generation == NEW and decision.refused:
            self._refuse(decision)
            return True
        return decision.silent and not rests

    async def _transact(self, undecided: Undecided | Decision, lead: tuple[Op, ...] = ()) -> None:
        """Decide and commit what the session begins with."""
        try:
            await self._parts.transactions.run(undecided, partial(self.commit, lead=lead))
        except Unavailable:
            self.unavailable(undecided.number)

    async def check(self) -> None:
        """Find out, soon, whether the session is still on this connection, by an empty commit: a
        client that only listens makes no commits.
        """

        def apply(outcome: CommitOutcome) -> None:
            if isinstance(outcome, Fenced | Gone):
                self._apply(SILENT, outcome)

        executor = self._parts.executor
        await executor.room()
        if self.generation != NEW and not self._moved:
            executor.commit(Commit(EMPTY_PLAN, self.client.session, self.generation, apply=apply))

    async def compare(self) -> bool:
        """Find out which topics the session is in, and tell the client of each difference: a
        failover may have lost joins and leaves. False: Redis did not answer.
        """
        known = Awaited[bool]()

        def answered(topics: frozenset[str] | Gone | Unknown) -> None:
            if isinstance(topics, Gone):
                self._apply(SILENT, topics)
            elif not (isinstance(topics, Unknown) or self._moved):
                self.memberships.correct(topics)
            known.come(not isinstance(topics, Unknown))

        if self.generation == NEW or self._moved:
            return True
        await self._parts.executor.room()
        self._parts.executor.topics(self.client.session, answered)
        return await known.wait()

    # --- outcomes

    def _apply(self, decision: Decision, outcome: CommitOutcome) -> None:
        """Apply an outcome. This is the one place that tells outcomes apart."""
        match outcome:
            case Done(answer, membership, close, seen):
                if self.generation == NEW:
                    self.generation = FIRST
                    self._welcome(resumed=False)
                if membership:
                    self.memberships.change(membership, now=not seen)
                if answer:
                    self.push(answer)
                if close is not None:
                    self._over = True
                    self._close(close.code, close.reason)
            case Changed():
                pass  # nothing was applied, and the client is told nothing
            case Failed(fault):
                self._fail(decision.number, fault)
            case Stale():
                self._error(decision.number, "stale", "a greater id has taken this one's place")
            case Unknown():
                self.unavailable(decision.number)
            case Fenced():
                self._moved = True
                self._close(CloseCode.REPLACED, "replaced")
            case Gone():
                self._moved = True
                self._close(CloseCode.RESTART, codec.restart_reason("the session is gone"))
            case _:
                assert_never(outcome)

    def unavailable(self, number: int | None) -> None:
        """Tell the client that the outcome of an event is not known."""
        self._error(number, "unavailable", AWAY)

    def _welcome(self, *, resumed: bool) -> None:
        session, node = self.client.session, self._parts.node
        self.push(codec.welcome(session, self.token, node, resumed=resumed, last=self.last))

    def _refuse(self, decision: Decision) -> None:
        """Send away a client whose on_connect refused or failed: there is no session."""
        self.push(decision.answer)
        if decision.failed:
            self._close(CloseCode.INTERNAL_ERROR, "on_connect failed")
        elif decision.gave_up:
            self._close(CloseCode.AGAIN_LATER, "the session could not begin")
        else:
            self._close(CloseCode.REFUSED, "refused")

    def _error(self, number: int | None, code: str, message: str) -> None:
        self.push(codec.error(number, code, message))

    def _fail(self, number: int | None, fault: str) -> None:
        if fault == "topics":
            most = self._parts.max_topics
            self._error(number, "refused", f"a session can be in {most} topics at most")
        else:
            log.error("commit refused", fault=fault, session=self.client.session)
            self._error(number, "internal", INTERNAL)
        if self.generation == NEW:
            self._close(CloseCode.INTERNAL_ERROR, "on_connect failed")
