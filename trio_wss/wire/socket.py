"""One WebSocket connection as the node sees it: batches of messages in, an outbox out.

accept() owns the stream and every task of the connection; leaving it leaves neither.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import final

import trio
from trio_websocket import ConnectionClosed

from trio_wss.wire.head import (
    BadHead,
    Head,
    Opening,
    Response,
    accept_key,
    answer,
    read_head,
    upgraded,
)
from trio_wss.wire.keep_alive import KeepAlive
from trio_wss.wire.lane import Lane
from trio_wss.wire.limits import WireLimits
from trio_wss.wire.outbox import Outbox


class Closed(Exception):
    """There will be no more messages.

    `code` is the peer's (1005: it gave none), ours, or 1006 where the peer just vanished; `clean`
    is true when the peer said Close.
    """

    def __init__(self, code: int, reason: str = "", clean: bool = False) -> None:
        super().__init__(code, reason, clean)
        self.code = code
        self.reason = reason
        self.clean = clean


@final
class WebSocket:
    """An open connection. One task receives; any task may push, seal or close."""

    __slots__ = ("_lane", "outbox", "request")

    def __init__(self, request: Head, lane: Lane) -> None:
        self.request = request
        self.outbox = lane.outbox
        self._lane = lane

    @property
    def clean(self) -> bool:
        """Whether the peer has said Close."""
        return self._lane.clean

    def before_close(self, hook: Callable[[], None]) -> None:
        """Have `hook` called in the same step as the close of the socket, before it; at once if
        that is past. One hook; it must not raise."""
        if self._lane.closed:
            hook()
        else:
            self._lane.before_close = hook

    async def receive(self) -> list[str | bytes]:
        """The next messages, one at least, in order: str for text, bytes for binary.

        The socket is read only in here. Cancelling it loses nothing. Raises Closed.
        """
        lane = self._lane
        while not lane.slow:
            await lane.settled()
            if self.outbox.sealed or lane.over:
                raise self._closed()
            if batch := await lane.read():
                return batch
        return [await self._slow_message()]

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send Close behind all that waits, wait for the peer's, close the socket.

        Takes at most `close_seconds`. On a connection that is closing already: wait for its end.
        Cancelling it leaves the rest to the end of accept().
        """
        await self._lane.farewell(code, reason)
        await self._lane.aclose()

    async def _slow_message(self) -> str | bytes:
        """The next message through trio-websocket, which is fed while it asks for more."""
        lane = self._lane
        while True:
            if lane.hungry:
                if self.outbox.sealed:
                    raise self._closed()
                await lane.read()
                continue
            websocket = await lane.made()
            if websocket is None:
                raise self._closed()
            with trio.CancelScope() as fed:
                lane.when_hungry = fed.cancel
                try:
                    return await websocket.get_message()
                except ConnectionClosed:
                    raise self._closed() from None

    def _closed(self) -> Closed:
        if self.outbox.code is not None:
            return Closed(self.outbox.code, self.outbox.reason, self._lane.clean)
        websocket = self._lane.websocket
        reason = None if websocket is None else websocket.closed
        if reason is None:
            return Closed(1006)
        return Closed(reason.code, reason.reason or "", self._lane.clean)


@asynccontextmanager
async def accept(
    stream: trio.abc.Stream,
    *,
    limits: WireLimits,
    origins: tuple[str, ...] = (),
    plain: Callable[[Head], Response | None],
    admit: Callable[[Head], Awaitable[Response | None]],
    on_dirty: Callable[[Outbox], None],
    keep_alive: KeepAlive,
) -> AsyncIterator[WebSocket | None]:
    """Make a WebSocket of a fresh stream, or answer it over plain HTTP and give None.

    `plain` answers GETs that ask for no upgrade (None: 426); `admit` may refuse an upgrade with a
    Response; `on_dirty` is called when an outbox has something to flush; `keep_alive` pings, in a
    task of the caller's. Leaving the block says Close 1000 if nobody has, waits at most
    `close_seconds`, and closes; Closed may fly out of the block and ends there. Other exceptions of
    the block come out in a group, as from a nursery.
    """
    try:
        opened = await _open(stream, limits, origins, plain, admit)
        if opened is None:
            yield None
            return
        request, accept, early = opened
        async with trio.open_nursery() as nursery:

            async def write() -> None:
                await outbox.run()
                if outbox.failed:
                    await trio.aclose_forcefully(lane)

            outbox = Outbox(stream, limits, on_dirty, lambda: nursery.start_soon(write))
            lane = Lane(stream, nursery, outbox, limits, early)
            outbox.push(upgraded(accept))
            outbox.flush()
            keep_alive.add(lane)
            try:
                with suppress(Closed):
                    yield WebSocket(request, lane)
                await lane.aclose()
            finally:
                outbox.seal(1001)
                await trio.aclose_forcefully(lane)
                keep_alive.discard(lane)
                nursery.cancel_scope.cancel()
    finally:
        await trio.aclose_forcefully(stream)


async def _open(
    stream: trio.abc.Stream,
    limits: WireLimits,
    origins: tuple[str, ...],
    plain: Callable[[Head], Response | None],
    admit: Callable[[Head], Awaitable[Response | None]],
) -> tuple[Head, str, bytes] | None:
    """Read and judge the head; None once a plain answer has been given."""
    opening: Opening | None = None
    response: Response | None = Response(408, b"The request head took too long.\n")
    try:
        with trio.move_on_after(limits.handshake_seconds):
            opening = await read_head(stream, limits)
            accept = accept_key(opening, origins, plain)
            response = Response(503, b"Try again later.\n")
            response = await admit(opening.head)
            if response is None:
                return opening.head, accept, opening.rest
    except BadHead as error:
        response = error.response
    if response is not None:
        await answer(stream, response, opening.head.method if opening else "GET")
    return None
