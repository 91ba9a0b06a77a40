"""A client's socket that several tasks may write to, and that can be read slowly."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import final

import trio

from tests.support.members import Member, request, shake_hands


@final
class Wire(trio.abc.Stream):
    """One write at a time, in order; and as slow a reader as is wanted."""

    def __init__(self, stream: trio.SocketStream, rate: Callable[[], float]) -> None:
        """`rate`: bytes a second."""
        self._stream = stream
        self._rate = rate
        self._writing = trio.Lock()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        async with self._writing:
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        rate = self._rate()
        chunk = bytes(await self._stream.receive_some(max_bytes if rate == math.inf else 1024))
        await trio.sleep(len(chunk) / rate)
        return chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def greet(
    stream: trio.SocketStream, url: str, query: Mapping[str, str], rate: Callable[[], float]
) -> Member:
    """Upgrade a connection. Raises Rejected."""
    early = await shake_hands(stream, request(url, query))
    # A Member needs no more of a stream than a Wire is.
    return Member(Wire(stream, rate), early)  # type: ignore[arg-type]
