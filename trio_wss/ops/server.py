"""The operations listener, never on the public port: metrics, health, and a page that is itself a
client. Its WebSocket is a member of the topic on which all nodes tell how they are.

It knows no users: who can connect to it can read it all, and can change nothing.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import trio
from attrs import evolve

import trio_wss
from trio_wss.node.admission import Reception
from trio_wss.ops.health import health
from trio_wss.ops.metrics import CONTENT_TYPE, Metrics
from trio_wss.ops.snapshot import NODES
from trio_wss.store.outcome import NOWHERE, Cursor
from trio_wss.web.static_files import StaticFiles
from trio_wss.wire import Closed, Head, Response, listen

if TYPE_CHECKING:
    from trio_wss.node.node import Node
    from trio_wss.node.topics.topic import Topic
    from trio_wss.wire import Outbox, WebSocket

PAGE: Final = Path(trio_wss.__file__).parent / "web" / "ops"
MOST: Final = 64  # sockets at once
LONGEST: Final = 1024  # bytes of a message: nobody has anything to say here


@final
class Watcher:
    """A WebSocket that watches the cluster, as the hub sees it."""

    def __init__(self, node: Node, socket: WebSocket) -> None:
        self._hub = node.hub
        self._socket = socket
        self._topic = node.hub.hold(NODES)
        node.hub.enter(self._topic, self, NOWHERE)

    @property
    def outbox(self) -> Outbox:
        """Where the nodes' words go."""
        return self._socket.outbox

    def tell_joined(self, topic: str, cursor: Cursor, *, recovered: bool) -> None:
        """It need not know: the next second brings everything anew."""

    def catch_up_alone(self, topic: Topic, cursor: Cursor) -> None:
        """There is nothing to catch up with."""
        self._hub.enter(topic, self, cursor)

    async def run(self) -> None:
        """Watch until the client closes. What it says is not listened to."""
        with suppress(Closed):
            while True:
                await self._socket.receive()

    def leave(self) -> None:
        """Synchronous, before the socket closes."""
        if self._topic.members.get(self.outbox) is self:
            self._hub.leave(self._topic, self)
            self._hub.release(self._topic)


async def serve_ops(node: Node, listeners: list[trio.SocketListener]) -> None:
    """Answer on these listeners, for ever."""
    operations = Operations(node)
    async with trio.open_nursery() as nursery:
        await listen(listeners, operations.handle, nursery)


class Operations(Reception[None]):
    """What the listener answers for one node."""

    def __init__(self, node: Node) -> None:
        super().__init__(node, evolve(node.wire_limits, message_bytes=LONGEST), (), MOST)
        self._metrics = Metrics(node)
        self._page = StaticFiles(PAGE)

    def plain(self, head: Head) -> Response:
        """Metrics, health and the page."""
        if head.path == "/metrics":
            return Response(200, self._metrics.page(), content_type=CONTENT_TYPE)
        found = health(self.node, head) or self._page.answer(head)
        assert found is not None  # there is a folder, so whatever is not in it is a 404
        return found

    async def admit(self, head: Head) -> None:
        """Let everybody in."""
        await trio.lowlevel.checkpoint()

    async def talk(self, socket: WebSocket, admitted: None) -> None:
        """Show the cluster to a client."""
        watcher = Watcher(self.node, socket)
        socket.before_close(watcher.leave)
        await watcher.run()
