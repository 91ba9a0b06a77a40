"""What both asyncio peers have over `redis.asyncio`: one script call per event, pipelined as
ioredis does by itself, and a subscription per room that somebody here is in. A broadcast goes out
as it came.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from itertools import count
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

import orjson
from redis.asyncio import Redis

Socket = TypeVar("Socket")

SAY = """
local n = redis.call('INCR', KEYS[1])
redis.call('PUBLISH', ARGV[1], ARGV[2] .. string.format('%.0f', n) .. ARGV[3])
return n
"""
# Sets the key if it is still what was read; else returns what it is.
SWAP = """
local now = redis.call('GET', KEYS[1]) or ''
if now ~= ARGV[1] then return now end
redis.call('SET', KEYS[1], ARGV[2])
return false
"""


class Pipe:
    """Sends what was asked for meanwhile as one pipeline, while the one before is under way."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.waiting: list[tuple[tuple[Any, ...], asyncio.Future[Any]]] = []
        self.task: asyncio.Task[None] | None = None

    def call(self, *command: Any) -> asyncio.Future[Any]:
        answer = asyncio.get_running_loop().create_future()
        self.waiting.append((command, answer))
        if self.task is None:
            self.task = asyncio.create_task(self._run())
        return answer

    async def _run(self) -> None:
        while self.waiting:
            batch, self.waiting = self.waiting, []
            try:
                pipeline = self.redis.pipeline(transaction=False)
                for command, _ in batch:
                    pipeline.execute_command(*command)
                results = await pipeline.execute(raise_on_error=False)
            except Exception as error:
                results = [error] * len(batch)
            for (_, answer), result in zip(batch, results, strict=True):
                if answer.cancelled():
                    continue
                if isinstance(result, Exception):
                    answer.set_exception(result)
                else:
                    answer.set_result(result)
        self.task = None


class Rooms(Generic[Socket]):
    """The members of each room on this node, and what they may ask for."""

    def __init__(self, url: str, broadcast: Callable[[set[Socket], bytes], None]) -> None:
        self.redis = Redis.from_url(url)
        self.pipe = Pipe(self.redis)
        self.pubsub = self.redis.pubsub()
        self.broadcast = broadcast
        self.members: dict[bytes, set[Socket]] = {}
        self.subscribed: dict[bytes, asyncio.Event] = {}
        self.locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.numbers = count(1)

    async def start(self) -> None:
        self.say_script = await self.redis.script_load(SAY)
        self.swap_script = await self.redis.script_load(SWAP)
        await self.pubsub.subscribe("all")  # else there is nothing to listen to
        self.listener = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for message in self.pubsub.listen():
            channel = message["channel"]
            if message["type"] == "message":
                if members := self.members.get(channel):
                    self.broadcast(members, message["data"])
            elif message["type"] == "subscribe" and channel in self.subscribed:
                self.subscribed[channel].set()

    def new_name(self) -> str:
        return f"{os.getpid()}-{next(self.numbers)}"

    async def join(self, socket: Socket, room: str) -> None:
        """Returns when broadcasts reach this node."""
        topic = room.encode()
        if topic in self.members:
            self.members[topic].add(socket)
        else:
            self.members[topic] = {socket}
            self.subscribed[topic] = asyncio.Event()
            await self.pubsub.subscribe(room)
        await self.subscribed[topic].wait()

    async def leave(self, socket: Socket, room: str) -> None:
        topic = room.encode()
        members = self.members.get(topic, set())
        members.discard(socket)
        if topic in self.members and not members:
            del self.members[topic], self.subscribed[topic]
            await self.pubsub.unsubscribe(room)

    async def handle(self, raw: bytes | str, name: str) -> str:
        """Do what a client asks for; returns the answer."""
        number = None
        try:
            message = orjson.loads(raw)
            number, data = message["id"], message["data"]
            if message["event"] == "say":
                n = await self.say(data["room"], data["text"], name)
            else:
                n = await self.deposit(data["account"], data["amount"])
        except Exception as error:
            return json.dumps({"event": "error", "re": number, "data": {"message": repr(error)}})
        return f'{{"event":"ok","re":{number},"data":{{"n":{n}}}}}'

    def say(self, room: str, text: str, name: str) -> asyncio.Future[int]:
        topic = f"room:{room}"
        head = f'{{"event":"said","topic":{_json(topic)},"data":{{"n":'
        tail = f',"by":"{name}","text":{_json(text)}}}}}'
        return self.pipe.call("EVALSHA", self.say_script, 1, f"count:{room}", topic, head, tail)

    async def deposit(self, account: str, amount: int) -> int:
        """Events of this process on one account wait for each other, so that only other
        processes' changes make one run again."""
        key = f"account:{account}"
        if (lock := self.locks.get(key)) is None:
            self.locks[key] = lock = asyncio.Lock()
        async with lock:
            read = await self.pipe.call("GET", key) or b""
            while True:
                balance: int = amount + (orjson.loads(read)["balance"] if read else 0)
                new = orjson.dumps({"balance": balance})
                now = await self.pipe.call("EVALSHA", self.swap_script, 1, key, read, new)
                if now is None:
                    return balance
                read = now


def _json(text: str) -> str:
    return orjson.dumps(text).decode()
