"""Bare clients for shapes that need very many: sockets that shake hands, get into their room, and
then do no more than answer pings. They cost the load's process next to nothing.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from benchmarks.crowd import PATIENCE, Failed
from benchmarks.dialects import Plain

TEXT: Final = 0x1
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA


def masked(opcode: int, payload: bytes) -> bytes:
    """A client's frame; the mask is zero, which is a mask (RFC 6455 §5.3)."""
    if len(payload) < 126:
        return b"%c%c\0\0\0\0%b" % (0x80 | opcode, 0x80 | len(payload), payload)
    return b"%c\xfe%b\0\0\0\0%b" % (0x80 | opcode, len(payload).to_bytes(2, "big"), payload)


def frames(data: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take the whole frames of a server off the front of `data`."""
    while len(data) >= 2:
        size, start = data[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            return
        frame = data[0] & 0xF, bytes(data[start : start + size])
        del data[: start + size]
        yield frame


class Caller:
    """One bare client."""

    def __init__(self, dialect: Plain, port: int, room: str) -> None:
        self.dialect, self.port, self.room = dialect, port, room
        self.socket: socket.socket | None = None
        self.data = bytearray()
        self.heard = self.answered = 0
        self.token = self.epoch = ""
        self.offset = 0

    def connect(self) -> socket.socket:
        """Begin to connect; returns the socket."""
        self.began = time.perf_counter()
        self.upgraded = self.joined = False
        self.greeted = not self.dialect.greeting
        self.data = bytearray()
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex(("127.0.0.1", self.port))
        return self.socket

    def request(self) -> bytes:
        """The handshake, and what goes right behind it."""
        path, more = self.dialect.path(self.room), b""
        if self.token:
            path += "&resume=1"
            topic = f"room:{self.room}"
            more = masked(TEXT, self.dialect.resume(self.token, topic, self.epoch, self.offset))
        head = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        return head.encode() + more

    def receive(self) -> bool:
        """Take what has come; returns whether the client is in its room. Raises Failed."""
        assert self.socket is not None
        data = self.socket.recv(65536)
        if not data:
            raise Failed(f"a server hung up: {bytes(self.data)!r}")
        self.data += data
        if not self.upgraded:
            head, blank, rest = self.data.partition(b"\r\n\r\n")
            if not blank:
                return False
            if not head.startswith(b"HTTP/1.1 101"):
                raise Failed(f"no handshake: {bytes(head)!r}")
            self.upgraded, self.data = True, rest
        for opcode, payload in frames(self.data):
            self._take(opcode, payload)
        return self.joined

    def send(self, payload: bytes, opcode: int = TEXT) -> None:
        assert self.socket is not None
        self.socket.send(masked(opcode, payload))

    def hang_up(self) -> None:
        """Be gone without a Close, as after a lost network."""
        assert self.socket is not None
        self.socket.close()

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.send(payload, PONG)
        elif opcode == CLOSE:
            raise Failed(f"a server closed: {payload!r}")
        elif payload == self.dialect.ping:
            self.send(self.dialect.pong)
        elif payload.startswith(self.dialect.said):
            self.heard += 1
        elif payload.startswith(self.dialect.ok):
            self.answered += 1
        elif not self.greeted:
            self.greeted = True
            self.send(self.dialect.greeting)
        elif not self.joined:
            self._enter(payload)

    def _enter(self, payload: bytes) -> None:
        self.joined = self.dialect.joined(payload, self.room)
        if not self.dialect.resumes:
            return
        data = json.loads(payload)["data"]
        if "token" in data:
            if self.token and not data["resumed"]:
                raise Failed("a session was not resumed")
            self.token = data["token"]
        elif self.joined:
            if not data["recovered"]:
                raise Failed("a session has lost what was said meanwhile")
            self.epoch, self.offset = data["epoch"], data["offset"]


class Switchboard:
    """Attends to many callers with one epoll."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.callers: dict[int, Caller] = {}

    def connect(self, callers: Sequence[Caller], at_once: int) -> list[float]:
        """Connect all, so many at the same time; returns how long each took until it was in."""
        waits: list[float] = []
        waiting = iter(callers)
        connecting: set[int] = set()
        deadline = time.monotonic() + PATIENCE * 2
        for caller in islice(waiting, at_once):
            connecting.add(self._begin(caller))
        while connecting:
            if time.monotonic() > deadline:
                raise Failed(f"{len(connecting)} clients did not get in")
            for number, what in self.epoll.poll(1):
                if not self._ready(number, what) or number not in connecting:
                    continue
                connecting.remove(number)
                waits.append(time.perf_counter() - self.callers[number].began)
                if (another := next(waiting, None)) is not None:
                    connecting.add(self._begin(another))
        return waits

    def attend(self, seconds: float) -> None:
        """Answer pings for so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for number, what in self.epoll.poll(left):
                self._ready(number, what)

    def hang_up(self, callers: Iterable[Caller]) -> None:
        for caller in callers:
            assert caller.socket is not None
            del self.callers[caller.socket.fileno()]
            caller.hang_up()

    def _begin(self, caller: Caller) -> int:
        number = caller.connect().fileno()
        self.callers[number] = caller
        self.epoll.register(number, select.EPOLLOUT)
        return number

    def _ready(self, number: int, what: int) -> bool:
        """A socket is connected or can be read; returns whether its client is in its room."""
        caller = self.callers[number]
        assert caller.socket is not None
        if what & select.EPOLLOUT:
            caller.socket.send(caller.request())
            self.epoll.modify(number, select.EPOLLIN)
            return False
        return caller.receive()
