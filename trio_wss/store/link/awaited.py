"""Pass one answer from a callback of the link's reader to the task that waits for it."""

from __future__ import annotations

from typing import Generic, TypeVar, final

import trio
from outcome import Value

T = TypeVar("T")


@final
class Awaited(Generic[T]):
    """A value that comes once, before or while one task waits for it."""

    __slots__ = ("_found", "_task")

    def __init__(self) -> None:
        self._found: list[T] = []
        self._task: trio.lowlevel.Task | None = None

    def come(self, value: T) -> None:
        """Deliver the value, without waiting. Call it once."""
        self._found.append(value)
        if self._task is not None:
            trio.lowlevel.reschedule(self._task, Value(None))
            self._task = None

    async def wait(self) -> T:
        """Wait for the value and return it. After a cancellation the value may still come."""
        if not self._found:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abandon)
        return self._found[0]

    def _abandon(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED
