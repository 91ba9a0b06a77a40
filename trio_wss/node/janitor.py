"""The janitor ends the sessions that no client resumed, whichever node they were on. It claims
nothing: the commit that ends a session is refused if another janitor ended it or a client resumed.
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

AGAIN: Final = 2 / 3  # of a lease, after which a due session is due again, if its janitor died
MAX_AT_ONCE: Final = 100  # sessions ended, or compared, at once
ROLL_CALL: Final = 15  # rounds from roll call to roll call
AUDIT: Final = 4  # rounds from one part of the audit to the next


class Master(Protocol):
    """The facts about the link to Redis that the janitor uses."""

    up: bool
    replid: bytes
    """The replication history of the server at the other end of the link."""


class Janitor:
    """The janitor of one node."""

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
        """`connected` returns the sessions that have a connection here. In seconds: the sessions'
        `grace`, the nodes' `lease`, and the `pause` between two rounds.
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
        """Make round after round. A session that Redis cannot end now is due again later."""
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
        """Make sessions due whose connections could not do so themselves."""
        unfinished = self._custody.unfinished
        for session, generation in list(unfinished.items()):
            await self._sessions.away(session, generation, self._grace)
            if unfinished.get(session) == generation:  # else it came back here meanwhile
                del unfinished[session]

    async def _compare_memberships(self) -> bool:
        """Let every session find out which topics it is in. False: Redis did not answer for all."""
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
        """Compare the sessions that Redis assigns to this node with those that are connected here.

        Make sessions due that are only in Redis, such as one whose beginning was applied late. Let
        sessions that are only here check their generation. Both only if they already differed at
        the last roll call: others may be just coming or going.
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
        """End some of the sessions that are due. Return whether there may be more."""
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
        """Find sessions that belong to no living node and are not due, and make them due."""
        self._place, lost = await self._sessions.audit(self._place, self._grace)
        for name in lost:
            log.warning("a session was no living node's and not due", session=name)
