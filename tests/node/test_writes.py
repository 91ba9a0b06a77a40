"""trio_wss/node/writes.py: when outboxes are flushed, and that other tasks get their turn."""

from __future__ import annotations

from typing import cast

import trio
import trio.testing

from trio_wss.node.writes import SLICE, Writes
from trio_wss.wire import Outbox


class Box:
    """Counts its flushes."""

    def __init__(self) -> None:
        self.flushes = 0

    def flush(self) -> None:
        self.flushes += 1


class Boxes:
    """A node's writes, and so many outboxes."""

    def __init__(self, number: int) -> None:
        self.wrote: list[float] = []
        self.writes = Writes(self.wrote.append)
        self.all = [Box() for _ in range(number)]

    def mark(self) -> None:
        for box in self.all:
            self.writes.mark_dirty(cast(Outbox, box))

    @property
    def flushed(self) -> int:
        return sum(box.flushes for box in self.all)


def test_what_one_read_brought_is_written_once_at_its_end() -> None:
    boxes = Boxes(3)
    boxes.writes.begin_batch()
    boxes.mark()
    assert (boxes.flushed, boxes.wrote) == (0, [])
    boxes.writes.end_batch()
    assert [box.flushes for box in boxes.all] == [1, 1, 1]
    assert len(boxes.wrote) == 1
    boxes.writes.begin_batch()
    boxes.writes.end_batch()
    assert (boxes.flushed, len(boxes.wrote)) == (3, 1)


async def test_what_no_read_brought_is_written_soon() -> None:
    boxes = Boxes(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(boxes.writes.run)
        await trio.testing.wait_all_tasks_blocked()
        boxes.mark()
        assert boxes.flushed == 0
        await trio.testing.wait_all_tasks_blocked()
        assert (boxes.flushed, len(boxes.wrote)) == (1, 1)
        nursery.cancel_scope.cancel()


async def test_a_large_batch_is_written_in_slices_with_turns_for_others_between() -> None:
    boxes = Boxes(10 * SLICE)
    seen: set[int] = set()  # how much was written at the turns of another task, one in each round

    async def other() -> None:
        while boxes.flushed < 10 * SLICE:
            seen.add(boxes.flushed)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(boxes.writes.run)
        await trio.testing.wait_all_tasks_blocked()
        boxes.writes.begin_batch()
        boxes.mark()
        boxes.writes.end_batch()
        assert (boxes.flushed, boxes.wrote) == (SLICE, [])
        nursery.start_soon(other)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    # Tasks run in any order in a round, so two of its turns may be three slices apart.
    assert len(seen) >= 4
    assert (boxes.flushed, len(boxes.wrote)) == (10 * SLICE, 1)
