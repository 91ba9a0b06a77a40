"""Django Channels on uvicorn, with channels_redis' layer over Redis' pub/sub, which its docs advise
for broadcasts: the older layer drops what goes beyond a channel's capacity.
Prints its port and runs until it is terminated.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any
from urllib.parse import parse_qs

import django
import uvicorn
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from redis.asyncio import Redis

from benchmarks.peers.collector import calm_collector

redis: Redis


class Room(AsyncWebsocketConsumer):
    """One connection."""

    async def connect(self) -> None:
        query = parse_qs(self.scope["query_string"].decode())
        self.room = query.get("room", ["lobby"])[0]
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()
        await self.send(json.dumps({"event": "joined"}, separators=(",", ":")))

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.room, self.channel_name)

    async def receive(self, text_data: str = "", bytes_data: bytes | None = None) -> None:
        message = json.loads(text_data)
        room, text = message["data"]["room"], message["data"]["text"]
        n = await redis.incr(f"count:{room}")
        said = {
            "event": "said",
            "topic": f"room:{room}",
            "data": {"n": n, "by": self.channel_name, "text": text},
        }
        # The frame is made once, by who sends it, not by every member.
        frame = json.dumps(said, separators=(",", ":"))
        await self.channel_layer.group_send(room, {"type": "said", "frame": frame})
        answer = {"event": "ok", "re": message["id"], "data": {"n": n}}
        await self.send(json.dumps(answer, separators=(",", ":")))

    async def said(self, message: dict[str, Any]) -> None:
        await self.send(message["frame"])


class Server(uvicorn.Server):
    """Says when it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        calm_collector()  # here uvicorn has imported all that it needs
        await super().startup(sockets)
        assert sockets is not None
        print(sockets[0].getsockname()[1], flush=True)


def main(url: str) -> None:
    global redis  # as a Django project has it in a module
    layer = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [url]}}
    settings.configure(CHANNEL_LAYERS={"default": layer})
    django.setup()
    redis = Redis.from_url(url)
    config = uvicorn.Config(
        Room.as_asgi(),
        access_log=False,
        backlog=4096,  # else it sets its own on the socket that it is given
        lifespan="off",
        log_level="critical",
        timeout_graceful_shutdown=1,
        ws_max_size=4 << 20,
        ws_per_message_deflate=False,
    )
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    Server(config).run([listener])


if __name__ == "__main__":
    main(sys.argv[1])
