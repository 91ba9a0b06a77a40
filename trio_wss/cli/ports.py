"""Sockets to listen on. We bind them ourselves, so that a taken port or a wrong host is one
sentence.

With `shared`, several processes listen on one port (SO_REUSEPORT). The parent holds the port by a
socket that is bound and never listens, so that the port stays theirs while they restart.
"""

from __future__ import annotations

import errno
import socket

import trio

from trio_wss.errors import SettingsError
from trio_wss.settings import host_and_port

_BACKLOG = 65_535  # the kernel cuts it to its own limit
EVERY = "::"
"""The address that takes IPv4 too, whatever the machine's own setting says."""

_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def bind(
    host: str, port: int, *, shared: bool = False, option: str = "--port"
) -> list[socket.socket]:
    """A bound socket for each address of the host, all on one port. Raises SettingsError, which
    names the option of the port.
    """
    sockets: list[socket.socket] = []
    try:
        for family, address in _addresses(host, port):
            try:
                bound = _bind(family, (address, port), shared=shared)
            except OSError as error:
                if error.errno in _NOT_HERE and host != address:
                    continue  # such as localhost's ::1 on a machine without IPv6
                raise
            sockets.append(bound)
            port = bound.getsockname()[1]
        if not sockets:
            raise OSError(errno.EADDRNOTAVAIL, "")
    except OSError as error:
        for bound in sockets:
            bound.close()
        raise SettingsError(_explain(error, host, port, option)) from None
    return sockets


def hold(host: str, port: int) -> list[socket.socket]:
    """Take a port for processes that will share it. Raises SettingsError if it is taken."""
    if port:
        for probe in bind(host, port):  # SO_REUSEPORT alone would let us join a stranger's port
            probe.close()
    return bind(host, port, shared=True)


def listeners(sockets: list[socket.socket], *, option: str = "--port") -> list[trio.SocketListener]:
    """Listen on bound sockets. Raises SettingsError, which names their option."""
    try:
        for bound in sockets:
            bound.listen(_BACKLOG)
    except OSError as error:  # two that bound at the same moment: the first to listen has it
        host, port = sockets[0].getsockname()[:2]
        raise SettingsError(_explain(error, host, port, option)) from None
    return [trio.SocketListener(trio.socket.from_stdlib_socket(bound)) for bound in sockets]


def urls(host: str, port: int) -> str:
    """The WebSocket URLs of the listening sockets."""
    return f"{url(host, port)} and {url('0.0.0.0', port)}" if host == EVERY else url(host, port)


def url(host: str, port: int) -> str:
    """The WebSocket URL of an address."""
    return f"ws://{host_and_port(host, port)}"


def _addresses(host: str, port: int) -> list[tuple[int, str]]:
    flags = socket.AI_PASSIVE | socket.AI_NUMERICSERV
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return list(dict.fromkeys((family, str(address[0])) for family, *_, address in found))


def _bind(family: int, address: tuple[str, int], *, shared: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != EVERY)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def _explain(error: OSError, host: str, port: int, option: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken: choose another with {option}, or 0 for a free one."
    if error.errno == errno.EACCES:
        return f"port {port} is not allowed to this user: choose one above 1023 with {option}."
    host_option = option.replace("port", "host")
    return (
        f"host {host} is no address of this machine: choose one with {host_option}, such as"
        " 127.0.0.1."
    )
