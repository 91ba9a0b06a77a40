"""The end of a process: a first SIGTERM or SIGINT asks for a clean stop, a second one forces it.

A child also stops when the channel to its parent ends, since then the parent is gone. The loss of
something that the process needs asks for a stop too, and is raised when everything has stopped.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio
from attrs import define, field

from trio_wss.errors import WssError

FORCED = 1
"""The exit code after a second signal."""


@define(eq=False)
class Stop:
    """The first signal sets `asked`, a second one sets `forced`. `error` is the loss that asked, if
    no signal did.
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

    Raises the error that was given to `fail`.
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
