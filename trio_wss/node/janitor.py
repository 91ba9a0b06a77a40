"""The janitor: ends the sessions that nobody came back to, whichever node they were on. There is no
claim: the commit that ends a session is refused if another janitor made it, or a client resumed.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import structlog
import trio

from trio_wss.errors import Unavailable
from trio_wss.node.settle import end_session

if TYPE_CHECKING:
    from trio_wss.node.node import Node

log = structlog.get_logger(__name__)

ROUND: Final = 2.0  # seconds from round to round, on average
MOST: Final = 100  # sessions ended in one round


async def run(node: Node) -> None:
    """Make round after round. What Redis does not take now is due again later."""
    while True:
        await trio.sleep(random.uniform(ROUND / 2, ROUND * 1.5))
        if node.link.up:
            try:
                while await _round(node) == MOST:
                    pass
            except Unavailable as error:
                log.warning("the janitor could not finish", reason=str(error))


async def _round(node: Node) -> int:
    """One round. Returns how many sessions were due."""
    grace = node.settings.grace
    for session, generation in list(node.unfinished.items()):
        await node.sessions.away(session, generation, grace)
        node.unfinished.pop(session, None)
    due = await node.sessions.due(grace, MOST)
    async with trio.open_nursery() as nursery:
        for stored in due:
            nursery.start_soon(end_session, node, stored)
    return len(due)
