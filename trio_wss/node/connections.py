"""All connections of a node: whose reader waits too long, and how they are sent to other nodes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final, NoReturn, Protocol

import trio

from trio_wss.node.session import Session
from trio_wss.wire import CloseCode, WebSocket, codec

LONG: Final = 0.25  # seconds that a reader waits before its client is heard by another task
BATCH: Final = 100  # clients told to go at once
RETURNS: Final = 500.0  # clients a second that may come back to the other nodes


class Listed(Protocol):
    """A connection, as its node sees it."""

    socket: WebSocket
    session: Session

    def listen(self) -> None:
        """Hear the client while the reader waits."""

    async def retire(self, code: int, reason: str, give_up: float) -> None:
        """Take no more events, let those in flight be answered until `give_up`, then close."""


class Connections:
    """Those of one node."""

    def __init__(self) -> None:
        self._all: Final[set[Listed]] = set()
        self.waiting: Final[dict[Listed, float]] = {}  # whose reader waits, and since when

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Listed]:
        return iter(self._all)

    def add(self, connection: Listed) -> None:
        """Count one as this node's, until it is discarded."""
        self._all.add(connection)

    def discard(self, connection: Listed) -> None:
        """One is over."""
        self._all.discard(connection)

    async def listen(self) -> NoReturn:
        """Let clients be heard whose reader waits for long: for Redis, that is."""
        while True:
            await trio.sleep(LONG)
            long_ago = trio.current_time() - LONG
            for connection, since in list(self.waiting.items()):
                if since > long_ago:
                    break
                connection.listen()

    async def send_away(self, seconds: float, why: str) -> None:
        """Tell every client to go to another node, in batches spread over `seconds`.

        Each is told how long to wait, so that all of them together are no stampede where they go.
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
