"""Queues for keys: events of one node that read the same keys go one after the other, so that they
do not spoil each other's commits. Only order, never correctness, rests on this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import trio


class KeyLocks:
    """Locks by key, kept only while somebody holds or awaits them."""

    def __init__(self) -> None:
        self._locks: dict[str, trio.Lock] = {}

    def __repr__(self) -> str:
        return f"<KeyLocks {sorted(self._locks)}>"

    @asynccontextmanager
    async def hold(self, keys: Iterable[str]) -> AsyncIterator[None]:
        """Hold all keys at once; taken in sorted order, so that no two wait for each other."""
        async with AsyncExitStack() as stack:
            for key in sorted(set(keys)):
                await stack.enter_async_context(self._hold_one(key))
            yield

    @asynccontextmanager
    async def _hold_one(self, key: str) -> AsyncIterator[None]:
        lock = self._locks.setdefault(key, trio.Lock())
        try:
            async with lock:
                yield
        finally:
            waiting = lock.statistics().tasks_waiting
            if not waiting and not lock.locked() and self._locks.get(key) is lock:
                del self._locks[key]
