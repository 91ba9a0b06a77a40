"""A real WebSocket server that follows a script: what the client's tests talk to."""

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    serve_websocket,
)

WELCOME = {
    "event": "wss.welcome",
    "data": {
        "session": "s1",
        "token": "t",
        "node": "n1",
        "resumed": False,
        "last": 5,
        "protocol": 1,
    },
}

Script = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The server's side of a connection."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self.socket = socket

    async def put(self, **frame: Any) -> None:
        await self.socket.send_message(json.dumps(frame))

    async def take(self) -> Any:
        return json.loads(await self.socket.get_message())

    async def until_closed(self) -> int:
        """The code that the client closed with; what it sent before is dropped."""
        with suppress(ConnectionClosed):
            while True:
                await self.socket.get_message()
        assert self.socket.closed is not None
        return self.socket.closed.code


async def nothing(peer: Peer) -> None:
    await peer.until_closed()


async def echo(peer: Peer) -> None:
    while True:
        frame = await peer.take()
        await peer.put(event="ok", re=frame["id"], data=frame.get("data"))


@asynccontextmanager
async def server(
    script: Script, *, greet: bool = True, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A server that runs the script for every connection; yields its URL."""

    async def handle(request: WebSocketRequest) -> None:
        socket = await request.accept()
        peer = Peer(socket)
        try:
            if greet:
                await peer.put(**WELCOME)
            await script(peer)
        except ConnectionClosed:
            pass

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            serve = partial(serve_websocket, handle, "127.0.0.1", 0, ssl_context=tls)
            served = await nursery.start(serve)
            yield f"wss://localhost:{served.port}" if tls else f"ws://127.0.0.1:{served.port}"
            nursery.cancel_scope.cancel()
