"""trio_wss/client/line.py: ears hear bytes, and the end of a stream, however it ends."""

import pytest
import trio
from trio.testing import memory_stream_pair

from trio_wss.client.line import Ears


async def test_bytes_are_counted_and_the_end_is_told() -> None:
    ours, theirs = memory_stream_pair()
    ends: list[int] = []
    ears = Ears(ours, lambda: ends.append(1))
    await theirs.send_all(b"hello")
    assert await ears.receive_some() == b"hello"
    await theirs.send_all(b"hi")
    assert await ears.receive_some(1) == b"h"
    assert (ears.heard, ends) == (6, [])
    assert await ears.receive_some(1) == b"i"
    await theirs.send_eof()
    assert await ears.receive_some() == b""
    assert (ears.heard, ends) == (7, [1])


async def test_a_broken_and_a_closed_stream_have_ended_too() -> None:
    ours, theirs = memory_stream_pair()
    ends: list[int] = []
    ears = Ears(ours, lambda: ends.append(1))
    await ears.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await ears.receive_some()
    assert ends == [1]
    assert Ears(theirs).heard == 0
