"""A real WebSocket server that follows a script: what the client's tests talk to."""

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio
from attrs import define, field
from trio.testing import memory_stream_pair
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    serve_websocket,
    wrap_server_stream,
)

from trio_wss.client import Client, connect

WELCOME: Any = {
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
    """The server's side of a connection. `number` counts them, from 0; `resume` is the data of the
    client's `wss.resume`, if it sent one.
    """

    def __init__(self, socket: WebSocketConnection, number: int = 0, resume: Any = None) -> None:
        self.socket = socket
        self.number = number
        self.resume = resume

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


async def vanish(peer: Peer) -> None:
    await peer.socket._stream.aclose()


async def echo(peer: Peer) -> None:
    while True:
        frame = await peer.take()
        await peer.put(event="ok", re=frame["id"], data=frame.get("data"))


@define(eq=False)
class House:
    """What runs the script for each connection. With `greet` it says the welcome first; a client
    that wants to resume may do so if `resumes`, and gets a new session otherwise.
    """

    script: Script
    greet: bool = True
    resumes: bool = True
    requests: list[WebSocketRequest] = field(factory=list)

    async def receive(self, request: WebSocketRequest) -> None:
        number = len(self.requests)
        self.requests.append(request)
        peer = Peer(await request.accept(), number)
        with suppress(ConnectionClosed):
            if self.greet and "resume" in urlsplit(request.path).query.split("&"):
                peer.resume = (await peer.take())["data"]
                await peer.put(
                    **welcome(resumed=self.resumes, session="s1" if self.resumes else "s2")
                )
                if not self.resumes:
                    assert await peer.take() == {"event": "wss.begin"}
            elif self.greet:
                await peer.put(**WELCOME)
            await self.script(peer)


def welcome(**data: Any) -> Any:
    return {"event": "wss.welcome", "data": WELCOME["data"] | data}


@asynccontextmanager
async def server(
    script: Script,
    *,
    greet: bool = True,
    resumes: bool = True,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[str]:
    """A server that runs the script for every connection; yields its URL."""
    house = House(script, greet, resumes)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            serve = partial(serve_websocket, house.receive, "127.0.0.1", 0, ssl_context=tls)
            served = await nursery.start(serve)
            yield f"wss://localhost:{served.port}" if tls else f"ws://127.0.0.1:{served.port}"
            nursery.cancel_scope.cancel()


@define(eq=False)
class Street:
    """Houses that are reached over memory streams, so that a test's clock may jump. Each host's
    name is its house; nobody lives at a name that is not here.
    """

    houses: dict[str, House]
    calls: list[tuple[float, str]] = field(factory=list)
    """When each connection was tried, and where."""
    open: list[trio.abc.Stream] = field(factory=list)
    """The clients' ends."""

    @asynccontextmanager
    async def live(self, patch: pytest.MonkeyPatch) -> AsyncIterator[None]:
        """While this lasts, trio's TCP connections lead here."""
        async with trio.open_nursery() as nursery:

            async def open_tcp_stream(host: str, port: int) -> trio.abc.Stream:
                self.calls.append((trio.current_time(), host))
                await trio.lowlevel.checkpoint()
                if host not in self.houses:
                    raise OSError("nobody lives there")
                ours, theirs = memory_stream_pair()
                self.open.append(ours)
                nursery.start_soon(self._serve, self.houses[host], theirs)
                return ours

            patch.setattr(trio, "open_tcp_stream", open_tcp_stream)
            yield
            nursery.cancel_scope.cancel()

    async def _serve(self, house: House, stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, stream)
            await house.receive(request)
            await request._connection.aclose()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def one_house(
    patch: pytest.MonkeyPatch, script: Script, **options: Any
) -> AsyncIterator[tuple[Client, House]]:
    """A client of a house that it comes back to. Options of the house, and of the client."""
    house = House(script, resumes=options.pop("resumes", True), greet=options.pop("greet", True))
    async with Street({"a": house}).live(patch), connect("ws://a", **options) as client:
        yield client, house
