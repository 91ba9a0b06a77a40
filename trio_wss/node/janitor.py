"""The janitor: ends the sessions that nobody came back to, whichever node they were on. There is no
claim: the commit that ends a session is refused if another janitor made it, or a client resumed.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import structlog
import trio

from trio_wss.errors import Unavailable
from trio_wss.node.transaction import end_session

if TYPE_CHECKING:
    from trio_wss.node.node import Node
    from trio_wss.node.session import Session

log = structlog.get_logger(__name__)

AGAIN: Final = 2 / 3  # of a lease: then a due session is due again, if its janitor died
MOST: Final = 100  # sessions ended, or compared, at once
ROLL_CALL: Final = 15  # rounds from roll call to roll call
AUDIT: Final = 4  # rounds from one part of the audit to the next


async def run(node: Node) -> None:
    """Make round after round. What Redis does not take now is due again later."""
    doubtful: frozenset[str] = frozenset()
    place = "0"  # of the audit
    master, rounds, calls = node.link.replid, 0, 0
    while True:
        await trio.sleep(random.uniform(0.5, 1.5) * node.settings.janitor_round)
        if not node.link.up:
            continue
        rounds += 1
        try:
            await _finish(node)
            if node.link.replid != master:  # a failover: it may have lost sessions, and joins
                now = node.link.replid
                if await _compare_memberships(node):
                    master, calls = now, 2
            if calls or rounds % ROLL_CALL == 0:
                calls = max(0, calls - 1)
                doubtful = await _call_the_roll(node, doubtful)
            while await _end_due(node):
                pass
            if rounds % AUDIT == 0:
                place = await _audit(node, place)
        except Unavailable as error:
            log.warning("the janitor could not finish", reason=str(error))


async def _finish(node: Node) -> None:
    """Do again what connections could not: let their sessions be due."""
    for session, generation in list(node.unfinished.items()):
        await node.sessions.away(session, generation, node.settings.grace)
        if node.unfinished.get(session) == generation:  # else it was here once more meanwhile
            del node.unfinished[session]


async def _compare_memberships(node: Node) -> bool:
    """Let every session find out which topics it is in. False: Redis did not always say."""
    known: list[bool] = []

    async def compare(session: Session) -> None:
        known.append(await session.compare())

    sessions = [connection.session for connection in node.connections]
    for start in range(0, len(sessions), MOST):
        async with trio.open_nursery() as nursery:
            for session in sessions[start : start + MOST]:
                nursery.start_soon(compare, session)
    return all(known)


async def _call_the_roll(node: Node, before: frozenset[str]) -> frozenset[str]:
    """Let sessions be due that are this node's in Redis alone: a beginning that came late, say.
    And let connections find out whose session is not this node's there.

    Only those that were so at the last roll call too: the others may be on their way in or out.
    """
    there = await node.sessions.owned()
    sessions = [one.session for one in node.connections]
    here = {one.client.session: one for one in sessions}
    for session in sessions:
        if here[session.client.session] is not session:  # two connections of one session
            await session.check()
            await here[session.client.session].check()
    doubtful = (there ^ here.keys()) - node.unfinished.keys()
    for name in doubtful & before & here.keys():
        await here[name].check()
    lost = list(doubtful & before - here.keys() - node.arriving)[:MOST]
    for name in await node.sessions.orphaned(lost, node.settings.grace):
        log.warning("a session has no connection", session=name)
    return doubtful - before


async def _end_due(node: Node) -> bool:
    """End sessions that are due, some of them. Returns whether there may be more."""
    settings = node.settings
    lease = settings.lease
    due = await node.sessions.due(settings.grace, MOST, lease * AGAIN, lease)
    for name in due.buried:
        log.warning("a node gave no sign of life for its lease; its sessions are due", node=name)
    async with trio.open_nursery() as nursery:
        for stored in due.sessions:
            nursery.start_soon(end_session, node, stored)
    return due.more or len(due.sessions) == MOST


async def _audit(node: Node, place: str) -> str:
    """Look for sessions that nobody would ever end. Returns where to go on."""
    place, lost = await node.sessions.audit(place, node.settings.grace)
    for name in lost:
        log.warning("a session was no living node's and not due", session=name)
    return place
