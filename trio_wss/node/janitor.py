"""The janitor: ends the sessions that nobody came back to, whichever node they were on. There is no
claim: the commit that ends a session is refused if another janitor made it, or a client resumed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, NoReturn, Protocol

import structlog
import trio

from trio_wss.errors import Unavailable
from trio_wss.node.session import Custody, Session
from trio_wss.node.transaction import Endings
from trio_wss.store.sessions import Sessions

log = structlog.get_logger(__name__)

AGAIN: Final = 2 / 3  # of a lease: then a due session is due again, if its janitor died
MAX_AT_ONCE: Final = 100  # sessions ended, or compared, at once
ROLL_CALL: Final = 15  # rounds from roll call to roll call
AUDIT: Final = 4  # rounds from one part of the audit to the next


class Master(Protocol):
    """What the janitor wants to know of the link to Redis."""

    up: bool
    replid: bytes
    """The history of the server that it is linked to."""


class Janitor:
    """One node's."""

    def __init__(
        self,
        master: Master,
        sessions: Sessions,
        endings: Endings,
        custody: Custody,
        connected: Callable[[], list[Session]],
        *,
        grace: float,
        lease: float,
        pause: float,
    ) -> None:
        """`connected`: the sessions that have a connection here. Seconds: the sessions' `grace`,
        the nodes' `lease`, and the `pause` between two rounds.
        """
        self._master = master
        self._sessions = sessions
        self._endings = endings
        self._custody = custody
        self._connected = connected
        self._grace = grace
        self._lease = lease
        self._pause = pause
        self._doubtful: frozenset[str] = frozenset()  # at the last roll call
        self._place = "0"  # of the audit

    async def run(self) -> NoReturn:
        """Make round after round. What Redis does not take now is due again later."""
        master, rounds, calls = self._master.replid, 0, 0
        while True:
            await trio.sleep(random.uniform(0.5, 1.5) * self._pause)
            if not self._master.up:
                continue
            rounds += 1
            try:
                await self._finish()
                if self._master.replid != master:  # a failover: it may have lost sessions, joins
                    now = self._master.replid
                    if await self._compare_memberships():
                        master, calls = now, 2
                if calls or rounds % ROLL_CALL == 0:
                    calls = max(0, calls - 1)
                    await self._call_the_roll()
                while await self._end_due():
                    pass
                if rounds % AUDIT == 0:
                    await self._audit()
            except Unavailable as error:
                log.warning("the janitor could not finish", reason=str(error))

    async def _finish(self) -> None:
        """Do again what connections could not: let their sessions be due."""
        unfinished = self._custody.unfinished
        for session, generation in list(unfinished.items()):
            await self._sessions.away(session, generation, self._grace)
            if unfinished.get(session) == generation:  # else it was here once more meanwhile
                del unfinished[session]

    async def _compare_memberships(self) -> bool:
        """Let every session find out which topics it is in. False: Redis did not always say."""
        known: list[bool] = []

        async def compare(session: Session) -> None:
            known.append(await session.compare())

        sessions = self._connected()
        for start in range(0, len(sessions), MAX_AT_ONCE):
            async with trio.open_nursery() as nursery:
                for session in sessions[start : start + MAX_AT_ONCE]:
                    nursery.start_soon(compare, session)
        return all(known)

    async def _call_the_roll(self) -> None:
        """Let sessions be due that are this node's in Redis alone: a beginning that came late, say.
        And let connections find out whose session is not this node's there.

        Only those that were so at the last roll call too: others may be on their way in or out.
        """
        before, custody = self._doubtful, self._custody
        there = await self._sessions.owned()
        sessions = self._connected()
        here = {one.client.session: one for one in sessions}
        for session in sessions:
            if here[session.client.session] is not session:  # two connections of one session
                await session.check()
                await here[session.client.session].check()
        doubtful = (there ^ here.keys()) - custody.unfinished.keys()
        for name in doubtful & before & here.keys():
            await here[name].check()
        lost = list(doubtful & before - here.keys() - custody.arriving)[:MAX_AT_ONCE]
        for name in await self._sessions.orphaned(lost, self._grace):
            log.warning("a session has no connection", session=name)
        self._doubtful = doubtful - before

    async def _end_due(self) -> bool:
        """End sessions that are due, some of them. Returns whether there may be more."""
        lease = self._lease
        due = await self._sessions.due(self._grace, MAX_AT_ONCE, lease * AGAIN, lease)
        for name in due.buried:
            log.warning(
                "a node gave no sign of life for its lease; its sessions are due", node=name
            )
        async with trio.open_nursery() as nursery:
            for stored in due.sessions:
                nursery.start_soon(self._endings.end, stored)
        return due.more or len(due.sessions) == MAX_AT_ONCE

    async def _audit(self) -> None:
        """Look for sessions that nobody would ever end."""
        self._place, lost = await self._sessions.audit(self._place, self._grace)
        for name in lost:
            log.warning("a session was no living node's and not due", session=name)
