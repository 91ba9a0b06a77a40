"""Clients that keep every frame in the order in which it came, replies and broadcasts alike. They
speak bare bytes, so that nothing is hidden or mended on the way."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any, Final, TypeVar, final
from urllib.parse import urlencode, urlsplit

import trio

Frame = dict[str, Any]
T = TypeVar("T")

TEXT: Final = 0x81
CLOSE: Final = 0x88
PING: Final = 0x89
PONG: Final = 0x8A
VANISHED: Final = 1006  # the server closed with no Close frame, RFC 6455 §7.1.5
FAREWELL: Final = 5.0  # seconds for the server's Close at the end


class Rejected(Exception):
    """The handshake was answered with another status than 101."""

    def __init__(self, status: int, head: str, body: bytes) -> None:
        super().__init__(status, head, body)
        self.status = status
        self.head = head
        self.body = body


def frame(first: int, payload: bytes = b"") -> bytes:
    """A client's frame. Its mask is zero, which is a mask: the payload stays as it is."""
    size = len(payload)
    if size < 126:
        head = bytes((first, 128 | size))
    elif size < 65536:
        head = bytes((first, 254)) + size.to_bytes(2)
    else:
        head = bytes((first, 255)) + size.to_bytes(8)
    return head + bytes(4) + payload


def event(name: str, data: Any = None, number: int | None = None) -> bytes:
    """The frame of an event."""
    message = {"event": name, "id": number, "data": data}
    kept = {key: value for key, value in message.items() if value is not None}
    return text(json.dumps(kept, separators=(",", ":")))


def text(message: str) -> bytes:
    """The frame of a text, whatever it says."""
    return frame(TEXT, message.encode())


@final
class Member:
    """One client. `frames` is everything it was sent; `code` is its Close's, once it has come."""

    def __init__(self, stream: trio.SocketStream, early: bytes = b"") -> None:
        self.stream = stream
        self.frames: list[Frame] = []
        self.answers: dict[int, Frame] = {}
        self.code: int | None = None
        self.reason = ""
        self.pongs = 0
        self._topics: dict[str, list[Frame]] = defaultdict(list)
        self._numbers = count(1)
        self._buffer = bytearray(early)
        self._news = trio.lowlevel.ParkingLot()
        self._sending = trio.Lock()

    def __repr__(self) -> str:
        return f"<Member {len(self.frames)} frames, last {self.frames[-1:]}, closed {self.code}>"

    @property
    def session(self) -> str:
        session: str = self.frames[0]["data"]["session"]
        return session

    def of(self, topic: str) -> list[Frame]:
        """The broadcasts of a topic."""
        return self._topics[topic]

    def named(self, name: str) -> list[Frame]:
        """The frames with this event."""
        return [one for one in self.frames if one["event"] == name]

    # --- saying

    async def send(self, name: str, data: Any = None, number: int | None = None) -> None:
        """Send an event; without a number it gets no answer."""
        await self.raw(event(name, data, number))

    async def raw(self, *pieces: bytes) -> None:
        async with self._sending:
            await self.stream.send_all(b"".join(pieces))

    async def post(self, name: str, data: Any = None) -> int:
        """Send an event under the next number, which is returned."""
        number = next(self._numbers)
        await self.send(name, data, number)
        return number

    async def ask(self, name: str, data: Any = None) -> Frame:
        """Send an event and wait for its answer, an error too."""
        return await self.answer(await self.post(name, data))

    async def good(self, name: str, data: Any = None) -> Any:
        """Send an event and wait for the data of its answer, which must be no error."""
        answer = await self.ask(name, data)
        assert answer["event"] != "wss.error", answer
        return answer.get("data")

    async def again(self, name: str, data: Any, number: int) -> Frame:
        """Send an event under a number that was used, and wait for its answer."""
        del self.answers[number]
        await self.send(name, data, number)
        return await self.answer(number)

    def answers_to(self, number: int) -> list[Frame]:
        """All answers under a number."""
        return [one for one in self.frames if one.get("re") == number]

    # --- hearing

    async def until(self, condition: Callable[[], T | None]) -> T:
        """Wait until the condition holds; its value. Fails when the connection ends first."""
        while not (found := condition()):
            assert self.code is None, f"it ended with {self.code} {self.reason}"
            await self._news.park()
        return found

    async def answer(self, number: int) -> Frame:
        """The answer to an event."""
        return await self.until(lambda: self.answers.get(number))

    async def heard(self, name: str, number: int = 1) -> list[Frame]:
        """The first so many frames with this event."""
        await self.until(lambda: len(self.named(name)) >= number)
        return self.named(name)

    async def received(self, topic: str, number: int) -> list[Frame]:
        """The first so many broadcasts of a topic."""
        await self.until(lambda: len(self.of(topic)) >= number)
        return self.of(topic)

    async def joined(self, topic: str) -> Frame:
        """The last `wss.joined` of a topic."""
        return await self.until(lambda: self._last("wss.joined", topic))

    async def left(self, topic: str) -> Frame:
        return await self.until(lambda: self._last("wss.left", topic))

    async def closed(self) -> int:
        """Wait for the end; the code."""
        while self.code is None:
            await self._news.park()
        return self.code

    def _last(self, name: str, topic: str) -> Frame | None:
        fitting = (one for one in reversed(self.named(name)) if one["data"]["topic"] == topic)
        return next(fitting, None)

    async def read(self) -> None:
        """Take what comes until the connection ends. `member` runs it."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            self._parse()
            while self.code is None:
                chunk = await self.stream.receive_some(65536)
                if not chunk:
                    break
                self._buffer += chunk
                for pinged in self._parse():
                    await self.raw(frame(PONG, pinged))
            if self.code is not None:
                await self.raw(frame(CLOSE, self.code.to_bytes(2)))
        if self.code is None:
            self.code = VANISHED
        self._news.unpark_all()

    def _parse(self) -> list[bytes]:
        """Take whole frames off the buffer; what the pings among them hold."""
        pings = []
        buffer, at = self._buffer, 0
        while len(buffer) >= at + 2:
            size, start = buffer[at + 1], at + 2
            if size > 125:
                start += 2 if size == 126 else 8
                size = int.from_bytes(buffer[at + 2 : start])
            if len(buffer) < start + size:
                break
            first, payload = buffer[at], bytes(buffer[start : start + size])
            at = start + size
            if first == PING:
                pings.append(payload)
            else:
                self._take(first, payload)
        del buffer[:at]
        self._news.unpark_all()
        return pings

    def _take(self, first: int, payload: bytes) -> None:
        assert self.code is None, f"a frame behind the Close: {payload[:80]!r}"
        if first == CLOSE:
            self.code = int.from_bytes(payload[:2]) if payload else 1005
            self.reason = payload[2:].decode()
        elif first == PONG:
            self.pongs += 1
        else:
            assert first == TEXT, f"a frame of type {first:#x}"
            self._sort(json.loads(payload))

    def _sort(self, message: Frame) -> None:
        self.frames.append(message)
        number, topic = message.get("re"), message.get("topic")
        if number is not None:
            self.answers[number] = message
        if topic is not None:
            self._topics[topic].append(message)

    # --- the end

    async def vanish(self) -> None:
        """Be gone, with no word."""
        await trio.aclose_forcefully(self.stream)

    async def leave(self) -> int:
        """Say Close and wait for the server's; its code."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self.raw(frame(CLOSE, (1000).to_bytes(2)))
        return await self.closed()


async def eventually(condition: Callable[[], object]) -> None:
    """Wait for what nobody tells: look again and again."""
    while not condition():  # noqa: ASYNC110 - there is no event to wait for
        await trio.sleep(0.005)


async def dial(url: str) -> trio.SocketStream:
    """A bare connection to a node."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return await trio.open_tcp_stream(parts.hostname, parts.port)


def request(url: str, query: Mapping[str, str] = {}, headers: Mapping[str, str] = {}) -> bytes:
    """A handshake's head."""
    lines = {
        "Host": urlsplit(url).netloc,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        **headers,
    }
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"GET /?{urlencode(query)} HTTP/1.1\r\n{text}\r\n".encode()


async def shake_hands(stream: trio.SocketStream, head: bytes) -> bytes:
    """Upgrade a connection; the bytes behind the answer's head. Raises Rejected."""
    await stream.send_all(head)
    answer = b""
    while b"\r\n\r\n" not in answer:
        chunk = await stream.receive_some(65536)
        if not chunk:
            raise Rejected(0, "", answer)
        answer += chunk
    top, _, rest = bytes(answer).partition(b"\r\n\r\n")
    status = int(top.split(b" ")[1])
    if status != 101:
        rest += b"".join([bytes(chunk) async for chunk in stream])
        raise Rejected(status, top.decode(), rest)
    return rest


async def http(url: str, path: str) -> tuple[int, str]:
    """GET a page of a node: status and body."""
    async with await dial(url) as stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        answer = b"".join([bytes(chunk) async for chunk in stream])
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body.decode()


@asynccontextmanager
async def member(
    url: str,
    query: Mapping[str, str] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    reads: bool = True,
) -> AsyncIterator[Member]:
    """A client whose welcome has come; one that does not `reads` waits for nothing. Raises
    Rejected."""
    stream = await dial(url)
    try:
        early = await shake_hands(stream, request(url, query or {}, headers or {}))
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    async with stream, trio.open_nursery() as nursery:
        client = Member(stream, early)
        if reads:
            nursery.start_soon(client.read)
            await client.until(lambda: client.frames)
        yield client
        if reads and client.code is None:
            with trio.move_on_after(FAREWELL):
                await client.leave()
        nursery.cancel_scope.cancel()
