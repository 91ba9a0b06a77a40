"""Both ends of one connection in a test: the server's WebSocket, and its client's bare bytes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import final

import pytest
import trio
from trio.testing import memory_stream_pair

from tests.support.frames import HEAD, client_frame, text
from trio_wss.wire import (
    Closed,
    Head,
    Host,
    KeepAlive,
    Outbox,
    Response,
    WebSocket,
    WireLimits,
    serve_stream,
)

FAST = text("ok")
SLOW = client_frame(0x01, b"o") + client_frame(0x80, b"k")
both = pytest.mark.parametrize("opening", [FAST, SLOW], ids=["fast", "slow"])
"""Ways to open a conversation, each with the message "ok": the lane stays fast, or is slow."""

Pair = tuple[trio.abc.Stream, trio.abc.Stream]


@final
class Client:
    """A client that speaks in bytes."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._buffer = bytearray()

    async def send(self, *pieces: bytes) -> None:
        await self.stream.send_all(b"".join(pieces))

    async def need(self, size: int) -> None:
        """Read until `size` bytes are here that nobody has taken. Raises EOFError."""
        while len(self._buffer) < size:
            chunk = await self.stream.receive_some()
            if not chunk:
                raise EOFError(bytes(self._buffer))
            self._buffer += chunk

    async def _take(self, size: int) -> bytes:
        await self.need(size)
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    async def head(self) -> bytes:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            await self.need(len(self._buffer) + 1)
        return await self._take(end + 4)

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: first byte and payload. Raises EOFError at the end of the stream."""
        first, size = await self._take(2)
        if size > 125:
            size = int.from_bytes(await self._take(2 if size == 126 else 8))
        return first, await self._take(size)

    async def frames(self) -> list[tuple[int, bytes]]:
        """All frames until the server closes. Fails on a frame cut off."""
        found: list[tuple[int, bytes]] = []
        while True:
            try:
                await self.need(1)
            except (EOFError, trio.BrokenResourceError):
                return found
            found.append(await self.frame())

    async def rest(self) -> bytes:
        """All that comes until the server closes."""
        try:
            while True:
                await self.need(len(self._buffer) + 1)
        except (EOFError, trio.BrokenResourceError):
            return await self._take(len(self._buffer))

    async def text(self) -> str:
        first, payload = await self.frame()
        assert first == 0x81, (first, payload)
        return payload.decode()


@final
class BlockHost(Host[Head]):
    """Hands its one connection to a block, and gives it back what the block raised."""

    def __init__(
        self,
        limits: WireLimits,
        *,
        origins: tuple[str, ...] = (),
        plain: Callable[[Head], Response | None] = lambda head: None,
        admit: Callable[[Head], Awaitable[Response | None]] | None = None,
        on_dirty: Callable[[Outbox], None] = lambda outbox: None,
    ) -> None:
        self.limits = limits
        self.origins = origins
        self.keep_alive = KeepAlive(limits)
        self.mark_dirty = on_dirty
        self.request: Head | None = None
        self.socket: WebSocket | None = None
        self.opened = trio.Event()
        self.left = trio.Event()
        self.fault: Exception | None = None
        self._plain = plain
        self._admit = admit

    def plain(self, head: Head) -> Response | None:
        return self._plain(head)

    async def admit(self, head: Head) -> Response | Head:
        refused = await self._admit(head) if self._admit else None
        return refused or head

    async def talk(self, socket: WebSocket, admitted: Head) -> None:
        self.request, self.socket = admitted, socket
        self.opened.set()
        await self.left.wait()
        if self.fault is not None:
            raise self.fault


@asynccontextmanager
async def accepted(stream: trio.abc.Stream, host: BlockHost) -> AsyncIterator[WebSocket | None]:
    """`serve_stream` as a block: its connection, or None if there is none."""

    async def run() -> None:
        await serve_stream(stream, host)
        host.opened.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await host.opened.wait()
        try:
            yield host.socket
        except Closed:
            pass
        except Exception as error:
            if host.socket is None:
                raise
            host.fault = error
        finally:
            host.left.set()


@asynccontextmanager
async def wire(
    limits: WireLimits | None = None,
    *,
    pair: Pair | None = None,
    early: bytes = b"",
    on_dirty: Callable[[Outbox], None] = lambda outbox: None,
) -> AsyncIterator[tuple[Client, WebSocket]]:
    """An open connection over `pair`; `early` comes in one segment with the head.

    The client's end closes first unless the test fails, so that nothing waits for a farewell.
    """
    near, far = pair or memory_stream_pair()
    client = Client(near)
    host = BlockHost(limits or WireLimits(), on_dirty=on_dirty)
    welcome = trio.Event()

    async def knock() -> None:
        await client.send(HEAD, early)
        assert (await client.head()).startswith(b"HTTP/1.1 101 ")
        welcome.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(knock)
        nursery.start_soon(host.keep_alive.run)
        async with accepted(far, host) as socket:
            assert socket is not None
            await welcome.wait()
            try:
                yield client, socket
            except Closed as error:  # the block would take it for a normal end
                raise AssertionError("closed too soon") from error
            await near.aclose()
        nursery.cancel_scope.cancel()


async def closed(socket: WebSocket) -> Closed:
    """How the connection ended; fails on a message."""
    with pytest.raises(Closed) as caught:
        await socket.receive()
    return caught.value


async def tcp_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Two ends of a real connection with small buffers: client, server."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    listener.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, 16384)
    async with listener, trio.open_nursery() as nursery:
        client = trio.socket.socket()
        client.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 16384)
        nursery.start_soon(client.connect, listener.socket.getsockname())
        server = await listener.accept()
    return trio.SocketStream(client), server
