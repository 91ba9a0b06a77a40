"""The operations listener serves metrics, health and a page, never on the public port. The page is
itself a client: its WebSocket is a member of the topic on which all nodes report their condition.

It knows no users: everybody who can connect to it can read everything, and can change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, final

import trio
from attrs import evolve

import trio_wss
from trio_wss.ops.health import health
from trio_wss.ops.metrics import CONTENT_TYPE, Metrics
from trio_wss.ops.snapshot import Snapshot
from trio_wss.web.static_files import StaticFiles
from trio_wss.wire import (
    Closed,
    Head,
    KeepAlive,
    Outbox,
    Reception,
    Response,
    WebSocket,
    WireLimits,
    listen,
)

PAGE: Final = Path(trio_wss.__file__).parent / "web" / "ops"
MAX_SOCKETS: Final = 64  # sockets at once
MAX_MESSAGE: Final = 1024  # bytes of a message: no client needs to send one here


@final
class Operations(Reception[None]):
    """Answers on the operations listener of one node."""

    def __init__(
        self,
        node: str,
        limits: WireLimits,
        keep_alive: KeepAlive,
        mark_dirty: Callable[[Outbox], None],
        *,
        take_snapshot: Callable[[], Snapshot],
        unready: Callable[[], str],
        watch: Callable[[Outbox], Callable[[], None]],
    ) -> None:
        """`watch` puts all nodes' reports into an outbox, and returns a function that ends this."""
        small = evolve(limits, message_bytes=MAX_MESSAGE)
        super().__init__(node, small, keep_alive, mark_dirty, most=MAX_SOCKETS)
        self._unready = unready
        self._watch = watch
        self._metrics = Metrics(take_snapshot)
        self._page = StaticFiles(PAGE)

    async def run(self, listeners: list[trio.SocketListener]) -> None:
        """Answer on these listeners, for ever."""
        async with trio.open_nursery() as nursery:
            await listen(listeners, self.handle, nursery)

    def plain(self, head: Head) -> Response:
        """Answer requests for metrics, health and the page."""
        if head.path == "/metrics":
            return Response(200, self._metrics.page(), content_type=CONTENT_TYPE)
        found = health(head, self._unready) or self._page.answer(head)
        assert found is not None  # there is a folder, so a file that is not in it is a 404
        return found

    async def admit(self, head: Head) -> None:
        """Let everybody in."""
        await trio.lowlevel.checkpoint()

    async def talk(self, socket: WebSocket, admitted: None) -> None:
        """Show the cluster to a client until it closes. Ignore its messages."""
        socket.before_close(self._watch(socket.outbox))
        with suppress(Closed):
            while True:
                await socket.receive()
