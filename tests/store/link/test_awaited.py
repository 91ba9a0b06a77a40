"""trio_wss/store/link/awaited.py: it comes before or while a task waits, and nobody has to wait."""

import trio
from trio.testing import wait_all_tasks_blocked

from trio_wss.store.link.awaited import Awaited


async def test_what_has_come_is_there_at_once() -> None:
    answer = Awaited[int]()
    answer.come(7)
    assert await answer.wait() == 7


async def test_what_comes_later_is_waited_for() -> None:
    answer = Awaited[str]()
    seen: list[str] = []

    async def wait() -> None:
        seen.append(await answer.wait())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        assert seen == []
        answer.come("here")
    assert seen == ["here"]


async def test_one_that_is_given_up_may_still_come() -> None:
    answer = Awaited[int]()
    with trio.move_on_after(0) as scope:
        await answer.wait()
    assert scope.cancelled_caught
    answer.come(7)
    assert await answer.wait() == 7
