"""The servers that are compared: how each is started, and which dialect its clients speak."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Final

from attrs import frozen

from benchmarks.processes import ROOT

HERE: Final = Path(__file__).parent / "peers"
NODE_MODULES: Final = ROOT / ".cache" / "bench" / "node" / "node_modules"
ENVIRONMENT: Final = {"NODE_PATH": str(NODE_MODULES)}


@frozen(kw_only=True)
class Peer:
    """A server to compare with; its command gets the URL of Redis as its last argument."""

    name: str
    title: str
    command: tuple[str, ...]
    dialect: str = "plain"
    packages: tuple[str, ...] = ()
    """What its figures depend on; the report tells their versions."""
    count: str = "count:{room}"
    """The key in Redis that holds how many events a room had."""

    def missing(self) -> str | None:
        """What this machine lacks for it, or None."""
        program = self.command[0]
        if not shutil.which(program):
            return f"{program} is not installed"
        if program == "node" and not NODE_MODULES.is_dir():
            return "npm is not installed"
        return None


def _python(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"benchmarks.peers.{name}")


def _node(name: str) -> tuple[str, ...]:
    return ("node", str(HERE / f"{name}.js"))


PEERS: Final = {
    peer.name: peer
    for peer in (
        Peer(
            name="ours",
            title="trio-wss",
            command=_python("ours"),
            dialect="trio-wss",
            packages=("trio-wss", "trio", "hiredis"),
            count="{{wss}}:k:count:{room}",
        ),
        Peer(
            name="ws",
            title="Node: ws + ioredis",
            command=_node("ws"),
            packages=("ws", "ioredis"),
        ),
        Peer(
            name="socketio",
            title="Socket.IO + Redis adapter",
            command=_node("socketio"),
            dialect="socket.io",
            packages=("socket.io", "@socket.io/redis-adapter", "ioredis"),
        ),
        Peer(
            name="picows",
            title="picows + redis.asyncio",
            command=_python("asyncio_picows"),
            packages=("picows", "redis", "uvloop"),
        ),
        Peer(
            name="websockets",
            title="websockets + redis.asyncio",
            command=_python("asyncio_websockets"),
            packages=("websockets", "redis", "uvloop"),
        ),
        Peer(
            name="channels",
            title="Django Channels on uvicorn",
            command=_python("django_channels"),
            packages=("django", "channels", "channels_redis", "uvicorn", "uvloop"),
        ),
        Peer(
            name="coredis",
            title="trio-websocket + coredis",
            command=_python("trio_coredis"),
            packages=("trio-websocket", "coredis", "trio"),
        ),
    )
}
