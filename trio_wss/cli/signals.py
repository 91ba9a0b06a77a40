"""What ends a process: a first SIGTERM or SIGINT asks for a clean stop, a second one forces it.

A child of ours is asked, too, when the channel to its parent ends: then the parent is gone. And
the loss of what we cannot do without asks: once all has stopped, it is raised.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio
from attrs import define, field

from trio_wss.errors import WssError

FORCED = 1
"""The exit code when the second signal had to end it."""


@define(eq=False)
class Stop:
    """`asked` is set by the first signal; `forced` says that a second one came; `error` is what
    asked, if no signal did.
    """

    asked: trio.Event = field(factory=trio.Event)
    forced: bool = False
    error: WssError | None = None

    def fail(self, error: WssError) -> None:
        """Ask for a clean stop that ends with this error."""
        self.error = error
        self.asked.set()

    @property
    def code(self) -> int:
        """The exit code of a process that ends now."""
        return FORCED if self.forced else 0


@asynccontextmanager
async def stopping(channel: trio.socket.SocketType | None = None) -> AsyncIterator[Stop]:
    """Obey the signals for the length of the block; a second one cancels it.

    Raises what the block was made to `fail` with.
    """
    stop = Stop()

    async def obey(signals: AsyncIterator[int]) -> None:
        async for _ in signals:
            if stop.asked.is_set():
                stop.forced = True
                nursery.cancel_scope.cancel()
            stop.asked.set()

    async def follow(parent: trio.socket.SocketType) -> None:
        with suppress(ConnectionError):  # a reset says the same
            await parent.recv(1)
        stop.asked.set()

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(obey, signals)
            if channel is not None:
                nursery.start_soon(follow, channel)
            yield stop
            nursery.cancel_scope.cancel()
    if stop.error is not None:
        raise stop.error
