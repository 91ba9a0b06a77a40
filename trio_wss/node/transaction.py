"""A transaction reads, decides and commits, and repeats until the values that were read still hold
at the commit. The last one of a session ends it, with the effects of on_disconnect.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import structlog
import trio

from trio_wss.app import App
from trio_wss.errors import Unavailable
from trio_wss.node.decide import INTERNAL, SILENT, Decision, Undecided, decide_hook, refuse
from trio_wss.node.speculation import Speculation, Speculations
from trio_wss.reads import ReadRequest
from trio_wss.store.entries import Entry, Unreadable
from trio_wss.store.executor import Commit, Executor
from trio_wss.store.outcome import Changed, CommitOutcome, Done, Failed, Unknown
from trio_wss.store.sessions import Sessions, StoredSession

log = structlog.get_logger(__name__)

CONFLICT: Final = "others kept changing what this event reads; nothing was applied"

Make = Callable[[Decision, Sequence[ReadRequest], Sequence[Entry]], Commit | None]
"""Makes the commit of a decision on what was read; None: there is nothing to commit."""


class Transactions:
    """The transactions of one node. Events that read the same keys are decided on the values that
    the events before them will leave.
    """

    def __init__(self, executor: Executor, *, deadline: float) -> None:
        """`deadline`: seconds after which an event whose reads keep changing is a `conflict`."""
        self._executor = executor
        self._deadline = deadline
        self.speculations: Final = Speculations()

    async def run(
        self, undecided: Undecided | Decision, make: Make, *, expires: float | None = None
    ) -> CommitOutcome:
        """Decide and commit until the outcome is final; `make` makes each commit, whose outcome is
        applied when its answer comes.

        `make` may turn down a `conflict`; else it is committed like any other. Raises Unavailable
        if nothing can be read until `expires` (on Trio's clock).
        """
        if isinstance(undecided, Decision):
            return await self._commit(make, undecided)
        give_up = trio.current_time() + self._deadline
        with self.speculations.of(undecided.requests) as speculation:
            while trio.current_time() < give_up:
                outcome = await self._try(undecided, make, speculation, expires)
                if not isinstance(outcome, Changed):
                    return outcome
        refusal = refuse(undecided.number, "conflict", CONFLICT, event=undecided.handler.name)
        return await self._commit(make, refusal)

    async def _try(
        self, undecided: Undecided, make: Make, speculation: Speculation, expires: float | None
    ) -> CommitOutcome:
        """Decide once and commit the decision. Nothing else may be sent between the two."""
        try:
            read = partial(self._executor.read, expires=expires)
            await speculation.ask(read, math.inf if expires is None else expires)
        except Unreadable as error:
            log.error("a read failed", handler=undecided.handler.name, reason=str(error))
            refusal = refuse(undecided.number, "internal", INTERNAL, event=undecided.handler.name)
            return await self._commit(make, refusal)
        entries, chain = speculation.entries, speculation.chain
        decision = undecided.decide(entries)
        self.speculations.sent(speculation, decision.plan.ops)
        outcome = await self._commit(make, decision, undecided.requests, entries)
        if not isinstance(outcome, Done):
            speculation.broken(chain, outcome.entries if isinstance(outcome, Changed) else ())
        return outcome

    async def _commit(
        self,
        make: Make,
        decision: Decision,
        requests: Sequence[ReadRequest] = (),
        entries: Sequence[Entry] = (),
    ) -> CommitOutcome:
        await self._executor.room()
        commit = make(decision, requests, entries)
        return Done(b"") if commit is None else await self._executor.committed(commit)


class Endings:
    """Ends sessions, each with the effects of on_disconnect or, if these fail, without them.

    Any node may end a session: the commit is refused if the session is gone or was resumed, so it
    is applied once. A failing handler does not keep a session alive. A handler whose reads keep
    changing is run again when the session is due again.
    """

    def __init__(self, app: App, sessions: Sessions, transactions: Transactions) -> None:
        self._app = app
        self._sessions = sessions
        self._transactions = transactions

    async def end(self, session: StoredSession) -> CommitOutcome:
        """End one session and return the outcome."""
        client, app = session.client, self._app
        lead = self._sessions.end(client.session)

        def make(
            decision: Decision, requests: Sequence[ReadRequest], entries: Sequence[Entry]
        ) -> Commit:
            if decision.gave_up:  # nobody is told, so it must not be the last word
                log.warning("on_disconnect met a conflict", session=client.session)
                raise Unavailable(CONFLICT)
            return Commit(
                decision.plan,
                client.session,
                session.generation,
                requests=requests,
                entries=entries,
                lead=lead,
            )

        undecided = decide_hook(app, client, app.disconnect, "disconnect")
        try:
            outcome = await self._transactions.run(undecided, make)
        except Unavailable as error:
            return Unknown(str(error))
        match outcome:
            case Failed(fault):
                log.error("on_disconnect refused", fault=fault, session=client.session)
            case Unknown(full=True):  # ending sessions makes room
                log.error(
                    "on_disconnect is dropped: Redis is full, and its effects do not fit",
                    session=client.session,
                )
            case _:
                return outcome
        return await self._transactions.run(SILENT, make)
