"""Links kept up as a supervisor does it, for the tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from trio_wss.store.link.link import NO_LISTENER, Link, LinkLost, Listener


class Watch:
    """What became of a link: the reasons for which it was lost, and how often it came up."""

    def __init__(self) -> None:
        self.losses: list[str] = []
        self.ups = 0
        self._changed = trio.lowlevel.ParkingLot()

    def started(self, _: None = None) -> None:
        """Called by the link, for which this is a TaskStatus."""
        self.ups += 1
        self._changed.unpark_all()

    async def is_up(self, times: int = 1) -> None:
        """Wait until the link has come up so many times."""
        while self.ups < times:
            await self._changed.park()

    async def is_lost(self, times: int = 1) -> str:
        """Wait until the link has been lost so many times; the last reason."""
        while len(self.losses) < times:
            await self._changed.park()
        return self.losses[-1]

    async def supervise(self, link: Link, listener: Listener) -> None:
        while True:
            try:
                await link.run(listener, task_status=self)
            except LinkLost as lost:
                self.losses.append(str(lost))
                self._changed.unpark_all()
            await link.rest(0.01)


@asynccontextmanager
async def running(
    link: Link, listener: Listener = NO_LISTENER, *, within: float = 30
) -> AsyncIterator[Watch]:
    """The link runs, and runs again whenever it is lost. The whole block has a deadline."""
    watch = Watch()
    with trio.fail_after(within):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.supervise, link, listener)
            yield watch
            nursery.cancel_scope.cancel()
    assert not link.up
