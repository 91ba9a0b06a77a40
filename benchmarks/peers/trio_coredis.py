"""trio-websocket + coredis, as one would write it: a task reads a connection and does its events
one by one, a task writes what waits for it in a bounded channel, and one task hears the broadcasts
of all rooms.

Prints its port and runs until it is terminated.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from itertools import count
from urllib.parse import parse_qs, urlsplit

import coredis
import orjson
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from benchmarks.peers.collector import calm_collector

BEHIND = 1000  # messages that may wait for one client

SAY = """
local n = redis.call('INCR', KEYS[1])
redis.call('PUBLISH', ARGV[1], ARGV[2] .. string.format('%.0f', n) .. ARGV[3])
return n
"""


class Client:
    """One connection, and what waits to be written to it."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self.socket = socket
        self.waiting, self.messages = trio.open_memory_channel[str](BEHIND)
        self.scope = trio.CancelScope()

    def send(self, message: str) -> None:
        try:
            self.waiting.send_nowait(message)
        except trio.WouldBlock:
            self.scope.cancel()

    async def write(self) -> None:
        async for message in self.messages:
            await self.socket.send_message(message)

    async def ping(self) -> None:
        while True:
            await trio.sleep(20)
            with trio.fail_after(20):
                await self.socket.ping()


class Rooms:
    """The members of each room on this node."""

    def __init__(self, redis: coredis.Redis[str], pubsub: coredis.client.PubSub[str]) -> None:
        self.redis, self.pubsub = redis, pubsub
        self.say_script = redis.register_script(SAY)
        self.members: dict[str, set[Client]] = {}
        self.subscribed: dict[str, trio.Event] = {}
        self.numbers = count(1)

    async def listen(self) -> None:
        async for message in self.pubsub:
            if message["type"] == "message":
                for client in self.members.get(message["channel"], ()):
                    client.send(message["data"])

    async def join(self, client: Client, room: str) -> None:
        if room in self.members:
            self.members[room].add(client)
            await self.subscribed[room].wait()
            return
        self.members[room] = {client}
        self.subscribed[room] = trio.Event()
        await self.pubsub.subscribe(room)
        self.subscribed[room].set()

    async def leave(self, client: Client, room: str) -> None:
        self.members[room].discard(client)
        if not self.members[room]:
            del self.members[room], self.subscribed[room]
            await self.pubsub.unsubscribe(room)

    async def say(self, room: str, text: str, name: str) -> int:
        topic = f"room:{room}"
        head = f'{{"event":"said","topic":{_json(topic)},"data":{{"n":'
        tail = f',"by":"{name}","text":{_json(text)}}}}}'
        n: int = await self.say_script(keys=[f"count:{room}"], args=[topic, head, tail])
        return n

    async def serve(self, request: WebSocketRequest) -> None:
        query = parse_qs(urlsplit(request.path).query)
        room = f"room:{query.get('room', ['lobby'])[0]}"
        client = Client(await request.accept())
        with client.scope:
            try:
                await self.join(client, room)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(client.write)
                    nursery.start_soon(client.ping)
                    client.send('{"event":"joined"}')
                    await self.read(client, f"{os.getpid()}-{next(self.numbers)}")
            except* (ConnectionClosed, trio.TooSlowError):
                pass
            finally:
                with trio.move_on_after(5, shield=True):
                    await self.leave(client, room)

    async def read(self, client: Client, name: str) -> None:
        while True:
            message = orjson.loads(await client.socket.get_message())
            data = message["data"]
            n = await self.say(data["room"], data["text"], name)
            client.send(f'{{"event":"ok","re":{message["id"]},"data":{{"n":{n}}}}}')


def _json(text: str) -> str:
    return orjson.dumps(text).decode()


async def main(url: str) -> None:
    redis = coredis.Redis.from_url(url, decode_responses=True)
    async with (
        redis,
        redis.pubsub(channels=["all"], subscription_timeout=10) as pubsub,
        trio.open_nursery() as nursery,
    ):
        rooms = Rooms(redis, pubsub)
        nursery.start_soon(rooms.listen)
        serve = partial(
            serve_websocket, rooms.serve, "127.0.0.1", 0, None, max_message_size=4 << 20
        )
        server = await nursery.start(serve)
        print(server.port, flush=True)
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                os._exit(0)  # nothing is kept


if __name__ == "__main__":
    calm_collector()
    trio.run(main, sys.argv[1])
