"""trio_wss/client/inbox.py: bounded, in order, and it holds back who brings too much."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_wss.client import ConnectionLost, Event, FellBehind
from trio_wss.client.inbox import Inbox

ONE, TWO, THREE = Event("one"), Event("two"), Event("three")


async def test_what_is_kept_is_taken_in_order_and_then_comes_the_end() -> None:
    inbox = Inbox(2, waits=True)
    assert await inbox.keep(ONE)
    assert await inbox.keep(TWO)
    inbox.close(ConnectionLost(1012, "gone"))
    assert [await inbox.take(), await inbox.take()] == [ONE, TWO]
    for _ in range(2):
        with pytest.raises(ConnectionLost, match="1012: gone"):
            await inbox.take()
    assert not await inbox.keep(THREE)


async def test_who_brings_more_waits(autojump_clock: MockClock) -> None:
    inbox = Inbox(1, waits=True)
    assert inbox.freed < 0
    await trio.sleep(5)
    await inbox.keep(ONE)
    full = [inbox.full]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.keep, TWO)
        await wait_all_tasks_blocked()
        full.append(inbox.full)
        await trio.sleep(5)
        assert await inbox.take() == ONE
    assert inbox.freed == 10
    assert [*full, inbox.full] == [False, True, False]
    assert await inbox.take() == TWO


async def test_who_waits_learns_that_it_is_closed() -> None:
    inbox = Inbox(1, waits=True)
    await inbox.keep(ONE)
    kept: list[bool] = []

    async def bring() -> None:
        kept.append(await inbox.keep(TWO))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(bring)
        await wait_all_tasks_blocked()
        inbox.close(ConnectionLost(1000))
    assert kept == [False]
    assert await inbox.take() == ONE
    with pytest.raises(ConnectionLost):
        await inbox.take()


async def test_cancelling_who_waits_leaves_it_usable() -> None:
    inbox = Inbox(1, waits=True)
    await inbox.keep(ONE)
    with trio.move_on_after(0):
        await inbox.keep(TWO)
    assert not inbox.full
    assert await inbox.take() == ONE
    await inbox.keep(THREE)
    assert await inbox.take() == THREE


async def test_where_nobody_may_wait_it_says_so() -> None:
    inbox = Inbox(1, waits=False)
    await inbox.keep(ONE)
    with pytest.raises(FellBehind, match="1 events waited"):
        await inbox.keep(TWO)


async def test_none_is_kept_where_none_is_wanted() -> None:
    inbox = Inbox(0, waits=True)
    for _ in range(1000):
        assert await inbox.keep(ONE)
    with trio.move_on_after(0) as scope:
        await inbox.take()
    assert scope.cancelled_caught
