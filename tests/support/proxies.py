"""A door between a node and its Redis, which a test may shut in the ways that networks do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, Self, final

import trio

CLOSED: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


@final
class Proxy:
    """Forwards bytes both ways until it is told otherwise."""

    def __init__(self, redis: str) -> None:
        self.url = ""
        self.delay = 0.0  # seconds each way
        self._let = trio.Event()  # answers go on
        self._let.set()
        self._path = redis.removeprefix("unix://")
        self._deaf = False
        self._shut = False
        self._streams: set[trio.abc.Stream] = set()

    def swallow(self) -> None:
        """From now on Redis hears the node, and the node does not hear Redis."""
        self._deaf = True

    def hold(self) -> None:
        """Answers wait from now on; Redis hears the node as before."""
        self._let = trio.Event()

    def let_go(self) -> None:
        """All that waited arrives."""
        self._let.set()

    async def cut(self) -> None:
        """End every connection, and end each new one at once."""
        self._shut = True
        for stream in tuple(self._streams):
            await trio.aclose_forcefully(stream)

    async def drop(self) -> None:
        """End every connection; new ones are welcome, and hear everything."""
        await self.cut()
        self.mend()

    def mend(self) -> None:
        self._shut = self._deaf = False

    async def serve(self, task_status: trio.TaskStatus[Self]) -> None:
        serve = partial(trio.serve_tcp, self._handle, 0, host="127.0.0.1")
        async with trio.open_nursery() as nursery:
            [listener] = await nursery.start(serve)
            self.url = f"redis://127.0.0.1:{listener.socket.getsockname()[1]}"
            task_status.started(self)

    async def _handle(self, node: trio.SocketStream) -> None:
        if self._shut:
            return
        redis = await trio.open_unix_socket(self._path)
        self._streams |= {node, redis}
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._forward, node, redis, False)
                nursery.start_soon(self._forward, redis, node, True)
        finally:
            self._streams -= {node, redis}
            await trio.aclose_forcefully(redis)

    async def _forward(
        self, source: trio.SocketStream, target: trio.SocketStream, answers: bool
    ) -> None:
        """Until either end is gone, which ends both."""
        under_way, arriving = trio.open_memory_channel[tuple[float, bytes]](1000)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._deliver, arriving, target, answers)
                async with under_way:
                    async for chunk in source:
                        await under_way.send((trio.current_time() + self.delay, bytes(chunk)))
        except* CLOSED:
            pass
        await trio.aclose_forcefully(source)
        await trio.aclose_forcefully(target)

    async def _deliver(
        self,
        arriving: trio.MemoryReceiveChannel[tuple[float, bytes]],
        target: trio.SocketStream,
        answers: bool,
    ) -> None:
        async for due, chunk in arriving:
            await trio.sleep_until(due)
            if answers:
                await self._let.wait()
            if not (answers and self._deaf):
                await target.send_all(chunk)


@asynccontextmanager
async def proxy(redis: str) -> AsyncIterator[Proxy]:
    """A proxy before the Redis on a Unix socket."""
    async with trio.open_nursery() as nursery:
        yield await nursery.start(Proxy(redis).serve)
        nursery.cancel_scope.cancel()
