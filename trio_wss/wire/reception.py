"""The sockets of one listener: bound their number, and let a failure end only its own connection.

This is one of the places that catch every exception: an error inside a connection ends that
connection and no other.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from trio_wss.wire.keep_alive import KeepAlive
from trio_wss.wire.limits import WireLimits
from trio_wss.wire.outbox import Outbox
from trio_wss.wire.socket import AdmittedT, Host, serve_stream

log = structlog.get_logger(__name__)


class Reception(Host[AdmittedT]):
    """A host that counts its sockets. Subclasses define the answers and admit clients."""

    def __init__(
        self,
        node: str,
        limits: WireLimits,
        keep_alive: KeepAlive,
        mark_dirty: Callable[[Outbox], None],
        *,
        most: int,
        origins: tuple[str, ...] = (),
    ) -> None:
        """`node`: the node's name, for the log. `most`: sockets at once; further ones are closed
        without an answer.
        """
        self.limits = limits
        self.keep_alive = keep_alive
        self.mark_dirty = mark_dirty
        self.origins = origins
        self.sockets = 0
        self._node = node
        self._most = most

    async def handle(self, stream: trio.abc.Stream) -> None:
        """Serve one socket from its first byte to its end."""
        if self.sockets >= self._most:
            await trio.aclose_forcefully(stream)
            return
        self.sockets += 1
        try:
            await serve_stream(stream, self)
        except Exception:
            log.exception("connection failed", node=self._node)
        finally:
            self.sockets -= 1
