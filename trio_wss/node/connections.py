"""All connections of a node. Finds those whose reader waits too long, and sends clients to other
nodes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final, NoReturn, Protocol

import trio

from trio_wss.node.session import Session
from trio_wss.wire import CloseCode, WebSocket, codec

LONG: Final = 0.25  # seconds that a reader waits before another task reads from its client
BATCH: Final = 100  # clients sent away at once
RETURNS: Final = 500.0  # clients a second that may return, to the other nodes


class Listed(Protocol):
    """A connection, as its node sees it."""

    socket: WebSocket
    session: Session

    def listen(self) -> None:
        """Read from the client in another task while the reader waits."""

    async def retire(self, code: int, reason: str, give_up: float) -> None:
        """Take no more events, wait for answers to those in flight until `give_up`, then close."""


class Connections:
    """The connections of one node."""

    def __init__(self) -> None:
        self._all: Final[set[Listed]] = set()
        self.waiting: Final[dict[Listed, float]] = {}  # since when the reader of each waits

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Listed]:
        return iter(self._all)

    def add(self, connection: Listed) -> None:
        """Add a connection, until it is discarded."""
        self._all.add(connection)

    def discard(self, connection: Listed) -> None:
        """Remove a connection that is over."""
        self._all.discard(connection)

    async def listen(self) -> NoReturn:
        """Read from clients whose reader waits for long, which means for Redis."""
        while True:
            await trio.sleep(LONG)
            long_ago = trio.current_time() - LONG
            for connection, since in list(self.waiting.items()):
                if since > long_ago:
                    break
                connection.listen()

    async def send_away(self, seconds: float, why: str) -> None:
        """Tell every client to go to another node, in batches spread over `seconds`.

        Each is told how long to wait, so that they do not reach the other nodes all at once.
        """
        connections = list(self._all)
        random.shuffle(connections)
        give_up = trio.current_time() + seconds
        batches = [connections[at : at + BATCH] for at in range(0, len(connections), BATCH)]
        spread = len(connections) / RETURNS
        async with trio.open_nursery() as nursery:
            for number, batch in enumerate(batches):
                if number:
                    await trio.sleep(random.uniform(0.5, 1.5) * seconds / len(batches))
                    give_up = max(give_up, trio.current_time() + seconds / 4)
                for connection in batch:
                    reason = codec.restart_reason(why, random.uniform(0, spread))
                    nursery.start_soon(connection.retire, CloseCode.RESTART, reason, give_up)
