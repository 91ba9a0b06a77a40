"""A TCP proxy that does harm: it cuts, delays, holds back, half-closes, or swallows the answers.

What it holds back stays in the kernel's buffers, as on a broken network, and goes on when that is
over, though an end of the connection may be gone by then: late copies of commands do arrive.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Literal, TypeAlias, final

import trio

CHUNK: Final = 8192
IN_FLIGHT: Final = 16  # chunks on their way through a delay
BUFFERS: Final = 32768  # bytes that the kernel may keep: a slow reader is to be felt behind us
CONNECT: Final = 5.0  # seconds

Target: TypeAlias = Path | tuple[str, int]
"""Where a proxy leads: a Unix socket or a TCP address."""

Side: TypeAlias = Literal["client", "server"]


@final
class Gate:
    """Open or shut; what comes to it waits while it is shut."""

    def __init__(self) -> None:
        self._opened = trio.Event()
        self._opened.set()

    def shut(self) -> None:
        if self._opened.is_set():
            self._opened = trio.Event()

    def open(self) -> None:
        self._opened.set()

    async def passed(self) -> None:
        while not self._opened.is_set():
            await self._opened.wait()


@final
class Pair:
    """One connection through the proxy: the client's stream and the server's."""

    def __init__(self, proxy: Proxy, client: trio.SocketStream, server: trio.SocketStream) -> None:
        self.proxy = proxy
        self.client = client
        self.server = server
        self.lossy = proxy.swallows  # what a stream has lost it cannot go on without
        self.gate: Final = Gate()  # its own, beside that of the proxy
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        """Carry bytes both ways until both have ended or one breaks."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._carry, self.client, self.server, False)
                nursery.start_soon(self._carry, self.server, self.client, True)

    def cut(self) -> None:
        """End it now, for both."""
        self._scope.cancel()

    def half_close(self, side: Side) -> None:
        """Tell one side that the other has ended, which has not."""
        stream = self.client if side == "client" else self.server
        with suppress(OSError):
            stream.socket.shutdown(trio.socket.SHUT_WR)

    async def _carry(
        self, source: trio.SocketStream, sink: trio.SocketStream, answers: bool
    ) -> None:
        to_send, sent = trio.open_memory_channel[tuple[float, bytes]](IN_FLIGHT)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._deliver, sent, sink)
            async with to_send:
                while chunk := await self._receive(source):
                    if answers and self.proxy.swallows:
                        self.lossy = True
                    if not (answers and self.lossy):
                        await to_send.send((trio.current_time() + self.proxy.delay, chunk))

    async def _receive(self, source: trio.SocketStream) -> bytes:
        await self._passed()
        try:
            chunk = bytes(await source.receive_some(CHUNK))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            chunk = b""
        await self._passed()
        return chunk

    async def _passed(self) -> None:
        await self.proxy.gate.passed()
        await self.gate.passed()

    async def _deliver(
        self, chunks: trio.MemoryReceiveChannel[tuple[float, bytes]], sink: trio.SocketStream
    ) -> None:
        """What nobody takes any more is dropped, as the kernel would."""
        broken = False
        async for due, chunk in chunks:
            await trio.sleep_until(due)
            await self._passed()  # what is on its way when a gate shuts is held, too
            if not broken:
                try:
                    await sink.send_all(chunk)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    broken = True
        if not broken:
            self.half_close("client" if sink is self.client else "server")


@final
class Proxy:
    """One address that leads to another; `target` may change, for connections to come."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.port = 0
        self.delay = 0.0  # seconds, each way
        self.refuses = False  # new connections are closed at once
        self.swallows = False  # nothing that the server says arrives
        self.gate: Final = Gate()
        self.busy: Final = trio.Lock()  # whoever does harm here
        self.pairs: Final[list[Pair]] = []

    def __repr__(self) -> str:
        return f"<Proxy {self.port} to {self.target}, {len(self.pairs)} connections>"

    def cut(self) -> None:
        """End all connections."""
        for pair in self.pairs:
            pair.cut()

    def hold(self) -> None:
        """Hold what goes over the present connections; new ones are free. What was sent twice for
        that comes twice, the first copy last."""
        for pair in self.pairs:
            pair.gate.shut()

    def half_close(self, side: Side) -> None:
        """Half-close all connections; new ones are whole."""
        for pair in self.pairs:
            pair.half_close(side)

    def heal(self) -> None:
        """Do no more harm; streams that have lost bytes end."""
        self.delay, self.refuses, self.swallows = 0.0, False, False
        self.gate.open()
        for pair in self.pairs:
            pair.gate.open()
            if pair.lossy:
                pair.cut()

    async def serve(self, client: trio.SocketStream) -> None:
        """Carry one client's connection."""
        async with client:
            if self.refuses:
                return
            await self.gate.passed()
            server = await self._connect()
            if server is None:
                return
            async with server:
                for stream in (client, server):
                    stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, BUFFERS)
                    stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, BUFFERS)
                pair = Pair(self, client, server)
                self.pairs.append(pair)
                try:
                    await pair.run()
                finally:
                    self.pairs.remove(pair)
                    with trio.CancelScope(shield=True):
                        await trio.aclose_forcefully(client)
                        await trio.aclose_forcefully(server)

    async def _connect(self) -> trio.SocketStream | None:
        target = self.target
        with trio.move_on_after(CONNECT):
            try:
                if isinstance(target, Path):
                    return await trio.open_unix_socket(target)
                return await trio.open_tcp_stream(*target)
            except OSError:
                return None
        return None


@asynccontextmanager
async def proxied(target: Target) -> AsyncIterator[Proxy]:
    """A proxy on a free loopback port for the length of the block."""
    proxy = Proxy(target)
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    proxy.port = listener.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, proxy.serve, [listener])
        yield proxy
        nursery.cancel_scope.cancel()
