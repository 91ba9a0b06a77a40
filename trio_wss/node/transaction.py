"""Settling a turn: read, decide, commit, and again until what it was decided on holds."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
import trio

from trio_wss.errors import Unavailable
from trio_wss.node.decide import INTERNAL, SILENT, Decision, Turn, own_turn, refuse
from trio_wss.node.speculation import Expected
from trio_wss.reads import ReadRequest
from trio_wss.store.entries import Entry, Unreadable
from trio_wss.store.executor import Commit
from trio_wss.store.outcome import Changed, Done, Failed, Outcome, Unknown

if TYPE_CHECKING:
    from trio_wss.node.node import Node
    from trio_wss.store.sessions import StoredSession

log = structlog.get_logger(__name__)

CONFLICT: Final = "others kept changing what this event reads; nothing was applied"

Sent = Callable[[Decision, Sequence[ReadRequest], Sequence[Entry]], Awaitable[Outcome]]


async def settle(
    node: Node, turn: Turn | Decision, sent: Sent, expires: float | None = None
) -> Outcome:
    """Settle a turn; `sent` makes one commit of a decision and says what came of it.

    Events of this node that read the same keys are decided on what those before them will leave.
    Past `event_deadline` the decision is `conflict`, and that is committed like any other. Raises
    Unavailable if nothing can be read until it `expires`.
    """
    if isinstance(turn, Decision):
        return await sent(turn, (), ())
    give_up = trio.current_time() + node.settings.event_deadline
    with node.expectations.of(turn.requests) as expected:
        while trio.current_time() < give_up:
            outcome = await _try(node, turn, sent, expected, expires)
            if not isinstance(outcome, Changed):
                return outcome
    refusal = refuse(turn.number, "conflict", CONFLICT, event=turn.handler.name)
    return await sent(refusal, (), ())


async def _try(
    node: Node, turn: Turn, sent: Sent, expected: Expected, expires: float | None
) -> Outcome:
    """Decide once and commit that. Between the two nothing else may be sent."""
    requests = turn.requests
    try:
        read = partial(node.executor.read, expires=expires)
        await expected.ask(read, math.inf if expires is None else expires)
    except Unreadable as error:
        log.error("a read failed", handler=turn.handler.name, reason=str(error))
        refusal = refuse(turn.number, "internal", INTERNAL, event=turn.handler.name)
        return await sent(refusal, (), ())
    entries, chain = expected.entries, expected.chain
    decision = turn.decide(entries)
    node.expectations.sent(expected, decision.plan.ops)
    outcome = await sent(decision, requests, entries)
    if not isinstance(outcome, Done):
        expected.broken(chain, outcome.entries if isinstance(outcome, Changed) else ())
    return outcome


async def end_session(node: Node, session: StoredSession) -> Outcome:
    """The commit that ends a session, with what on_disconnect wants, or at least bare.

    Whoever makes it: it is refused where the session is gone or was resumed, so that it is made
    once. A handler that fails does not keep a session alive; one whose reads keep changing is run
    again when the session is due again.
    """
    lead = node.sessions.end(session.client.session)

    async def sent(
        decision: Decision, requests: Sequence[ReadRequest], entries: Sequence[Entry]
    ) -> Outcome:
        if decision.refusal == "conflict":  # nobody is told, so it must not be the last word
            log.warning("on_disconnect met a conflict", session=session.client.session)
            raise Unavailable(CONFLICT)
        return await node.executor.committed(
            Commit(
                decision.plan,
                session.client.session,
                session.generation,
                requests=requests,
                entries=entries,
                lead=lead,
            )
        )

    turn = own_turn(node.app, session.client, node.app.disconnect, "disconnect")
    try:
        outcome = await settle(node, turn, sent)
    except Unavailable as error:
        return Unknown(str(error))
    match outcome:
        case Failed(fault):
            log.error("on_disconnect refused", fault=fault, session=session.client.session)
        case Unknown(full=True):  # to end sessions is what makes room
            log.error(
                "on_disconnect is dropped: Redis is full, and its effects do not fit",
                session=session.client.session,
            )
        case _:
            return outcome
    return await sent(SILENT, (), ())
