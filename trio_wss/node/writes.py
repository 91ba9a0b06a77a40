"""Writes a node's outboxes to their sockets: at the end of each read of the link up to one slice
of them, and the rest slice by slice in a task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final, NoReturn

import trio

from trio_wss.wire import Outbox

SLICE: Final = 200  # sockets written before other tasks run: about a millisecond


class Writes:
    """The outboxes that have something to write."""

    def __init__(self, wrote: Callable[[float], None]) -> None:
        """`wrote` takes the seconds from a read of the link to the last write that it caused."""
        self._wrote = wrote
        self._dirty: deque[Outbox] = deque()
        self._read_at = 0.0  # when the frames that are being written came
        self._in_batch = False
        self._wake = trio.Event()

    def __repr__(self) -> str:
        return f"<Writes dirty={len(self._dirty)}>"

    def mark_dirty(self, outbox: Outbox) -> None:
        """Flush this outbox at the end of the batch, or soon if there is none."""
        self._dirty.append(outbox)
        if not self._in_batch:
            if len(self._dirty) == 1:
                self._read_at = perf_counter()
            self._wake.set()

    def begin_batch(self) -> None:
        """Begin a batch: one read of the link is about to be handed on. Write at its end."""
        self._in_batch = True
        if not self._dirty:
            self._read_at = perf_counter()

    def end_batch(self) -> None:
        """End the batch: everything that one read of the link brought is in the outboxes. Write."""
        self._in_batch = False
        if self._dirty:
            self._flush_slice()
        if self._dirty:
            self._wake.set()

    def _flush_slice(self) -> None:
        for _ in range(min(SLICE, len(self._dirty))):
            self._dirty.popleft().flush()
        if not self._dirty:
            self._wrote(perf_counter() - self._read_at)

    async def run(self) -> NoReturn:
        """Write the rest of large batches, and frames that came in no batch."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._dirty:
                self._flush_slice()
                await trio.lowlevel.checkpoint()
