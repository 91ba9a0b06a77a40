"""A Redis that does what the test says, over memory streams: for what no real one does on demand,
and for tests under a jumping clock."""

import math
from typing import Any

import hiredis
import trio
import trio.testing
from attrs import field, frozen

from trio_wss.store.link.address import Address

HELLO = b"%1\r\n$7\r\nversion\r\n$5\r\n9.1.2\r\n"
INFO = b"# Replication\r\nrole:master\r\nmaster_replid:abc\r\n"
ANSWERS = {
    b"HELLO": HELLO,
    b"SELECT": b"+OK\r\n",
    b"CLIENT": b"+OK\r\n",
    b"INFO": b"$%d\r\n%s\r\n" % (len(INFO), INFO),
    b"SCRIPT": b"+00\r\n",
    b"CONFIG": b"%1\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n",
}


class Peer:
    """Redis' side of one connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.reader = hiredis.Reader()

    async def take(self) -> list[bytes]:
        """The next command."""
        while (command := self.reader.gets()) is False:
            data = bytes(await self.stream.receive_some())
            if not data:
                raise trio.EndOfChannel
            self.reader.feed(data)
        items: list[bytes] = command
        return items

    async def put(self, raw: bytes) -> None:
        """Send bytes as they are."""
        await self.stream.send_all(raw)

    async def hello(self, **instead: bytes) -> None:
        """Answer a whole hello as Redis does, or as `instead` says by the command's name."""
        name = b""
        while name != b"CONFIG":
            name = (await self.take())[0]
            await self.put(instead.get(name.decode(), ANSWERS[name]))


@frozen
class ScriptedRedis(Address):
    """An address; each connection made to it is a `Peer` to accept."""

    _ends: Any = field(factory=lambda: trio.open_memory_channel[Peer](math.inf), repr=False)

    async def open(self) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        self._ends[0].send_nowait(Peer(theirs))
        return ours

    async def accept(self) -> Peer:
        """The next connection."""
        peer: Peer = await self._ends[1].receive()
        return peer
