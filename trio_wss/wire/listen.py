"""Accept connections: many waiting ones in one turn of the loop, where Trio's own listener accepts
one. Connections that are accepted together share turns of the loop, and writes to Redis.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Final

import structlog
import trio

log = structlog.get_logger(__name__)

_BACKLOG: Final = 65_535  # the kernel cuts it to its own limit
_AT_ONCE: Final = 64  # connections before other tasks get their turn
_FULL: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)  # accept(2)
_REST: Final = 0.1  # seconds of pause when the system has no room for another one

Handle = Callable[[trio.SocketStream], Awaitable[None]]


async def listen(
    listeners: list[trio.SocketListener], handle: Handle, nursery: trio.Nursery
) -> None:
    """Run `handle`, which closes its stream, in `nursery` for each new connection, until cancelled;
    then close the listeners.
    """
    async with trio.open_nursery() as doors:
        for listener in listeners:
            doors.start_soon(_take_in, listener, handle, nursery)


async def listen_everywhere(port: int) -> trio.SocketListener:
    """Listen on all addresses of the machine, IPv4 and IPv6, with one socket; 0 takes a free port.

    Raises OSError.
    """
    door = trio.socket.socket(trio.socket.AF_INET6)
    try:
        door.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)
        door.setsockopt(trio.socket.IPPROTO_IPV6, trio.socket.IPV6_V6ONLY, 0)
        await door.bind(("::", port))
        door.listen(_BACKLOG)
    except BaseException:
        door.close()
        raise
    return trio.SocketListener(door)


async def _take_in(listener: trio.SocketListener, handle: Handle, nursery: trio.Nursery) -> None:
    door = listener.socket
    async with listener:
        with socket.fromfd(door.fileno(), door.family, door.type) as same_door:
            same_door.setblocking(False)
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    if error.errno not in _FULL:
                        raise
                    log.error("no room for another connection", reason=os.strerror(error.errno))
                    await trio.sleep(_REST)
                    continue
                nursery.start_soon(handle, stream)
                for other in _waiting(same_door):
                    nursery.start_soon(handle, other)


def _waiting(door: socket.socket) -> Iterator[trio.SocketStream]:
    """Yield the connections that wait already; the caller's next accept meets any error."""
    with suppress(OSError):
        for _ in range(_AT_ONCE):
            accepted, _ = door.accept()
            yield trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
