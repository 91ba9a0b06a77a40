"""Python `websockets` + `redis.asyncio`, on uvloop: a loop over a connection's messages, and the
library's own `broadcast`. Prints its port and runs until it is terminated.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from urllib.parse import parse_qs, urlsplit

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from benchmarks.peers.asyncio_rooms import Rooms
from benchmarks.peers.collector import calm_collector


def send_to_all(members: set[ServerConnection], message: bytes) -> None:
    broadcast(members, message, text=True)


async def main(url: str) -> None:
    rooms: Rooms[ServerConnection] = Rooms(url, send_to_all)

    async def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        query = parse_qs(urlsplit(connection.request.path).query)
        room = f"room:{query.get('room', ['lobby'])[0]}"
        name = rooms.new_name()
        try:
            await rooms.join(connection, room)
            await connection.send(f'{{"event":"joined","data":{{"topic":"{room}"}}}}')
            async for message in connection:
                await connection.send(await rooms.handle(message, name))
        except ConnectionClosed:
            pass
        finally:
            await rooms.leave(connection, room)

    await rooms.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await serve(handle, "127.0.0.1", 0, compression=None, max_size=4 << 20, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stop.wait()


if __name__ == "__main__":
    calm_collector()
    uvloop.run(main(sys.argv[1]))
