"""trio_wss/client/transport.py: ears hear bytes, and the end of a stream, however it ends."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock, memory_stream_pair

from trio_wss.client.transport import Ears


async def test_when_bytes_came_is_noted_and_the_end_is_told(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    ends: list[int] = []
    ears = Ears(ours, lambda: ends.append(1))
    await trio.sleep(5)
    await theirs.send_all(b"hello")
    assert await ears.receive_some() == b"hello"
    assert (ears.heard, ends) == (5, [])
    await trio.sleep(5)
    await theirs.send_eof()
    assert await ears.receive_some() == b""
    assert (ears.heard, ends) == (5, [1])


async def test_who_waits_for_the_next_bytes_is_told(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    ears = Ears(ours)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ears.hear)
        nursery.start_soon(ears.hear)
        await trio.testing.wait_all_tasks_blocked()
        await theirs.send_all(b"hello")
        await ears.receive_some()
    await theirs.send_eof()
    with trio.move_on_after(5) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ears.hear)
            await trio.testing.wait_all_tasks_blocked()
            await ears.receive_some()
    assert scope.cancelled_caught, "the end is no sign of life"


async def test_a_broken_and_a_closed_stream_have_ended_too(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    ends: list[int] = []
    ears = Ears(ours, lambda: ends.append(1))
    await ears.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await ears.receive_some()
    assert ends == [1]
    assert Ears(theirs).heard == trio.current_time()
