"""picows + `redis.asyncio`, on uvloop: callbacks instead of coroutines, a task for each event.
Prints its port and runs until it is terminated.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine
from typing import Any
from urllib.parse import parse_qs, urlsplit

import uvloop
from picows import (
    WSAutoPingStrategy,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)

from benchmarks.peers.asyncio_rooms import Rooms
from benchmarks.peers.collector import calm_collector

BEHIND = 1 << 20  # bytes that may wait for one client


class Client(WSListener):
    """One connection."""

    transport: WSTransport

    def __init__(self, rooms: Rooms[Client], room: str) -> None:
        self.rooms, self.room = rooms, room
        self.name = rooms.new_name()
        self.tasks: set[asyncio.Task[None]] = set()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.start(self.enter())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.TEXT:
            self.start(self.answer(frame.get_payload_as_bytes()))
        elif frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.start(self.rooms.leave(self, self.room))

    def start(self, what: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(what)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def enter(self) -> None:
        await self.rooms.join(self, self.room)
        self.send(b'{"event":"joined","data":{"topic":"%b"}}' % self.room.encode())

    async def answer(self, message: bytes) -> None:
        self.send((await self.rooms.handle(message, self.name)).encode())

    def send(self, message: bytes) -> None:
        if self.transport.underlying_transport.get_write_buffer_size() > BEHIND:
            self.transport.disconnect(graceful=False)
        else:
            self.transport.send(WSMsgType.TEXT, message)


def send_to_all(members: set[Client], message: bytes) -> None:
    for client in tuple(members):
        client.send(message)


async def main(url: str) -> None:
    rooms: Rooms[Client] = Rooms(url, send_to_all)

    def accept(request: WSUpgradeRequest) -> Client:
        query = parse_qs(urlsplit(request.path.decode()).query)
        return Client(rooms, f"room:{query.get('room', ['lobby'])[0]}")

    await rooms.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await ws_create_server(
        accept,
        "127.0.0.1",
        0,
        backlog=4096,
        max_frame_size=4 << 20,
        enable_auto_ping=True,
        auto_ping_strategy=WSAutoPingStrategy.PING_PERIODICALLY,
        auto_ping_idle_timeout=20,
        auto_ping_reply_timeout=20,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await stop.wait()


if __name__ == "__main__":
    logging.getLogger("picows").setLevel(logging.ERROR)  # it tells of every client that is slow
    calm_collector()
    uvloop.run(main(sys.argv[1]))
