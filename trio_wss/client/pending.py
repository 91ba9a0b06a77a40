"""The events without an answer: their ids, their order, and their fate when a connection or a
session is over. Their number is bounded: nothing enters while it is full.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from copy import copy
from typing import Any, Final, Literal, final

import trio
from attrs import define, field

from trio_wss.client import frames
from trio_wss.client.errors import ClientError, ConnectionLost, EventError, OutcomeUnknown
from trio_wss.client.frames import Answer, BadFrame

MAX_UNANSWERED: Final = 64
"""The most ids from the oldest unanswered one to the newest: the server keeps so many answers."""

OVERDUE: Final = (10.0, 60.0)
"""Seconds after which an event over a living connection will get no answer any more: if later
events have theirs, and in any case."""

MAX_QUEUED: Final = 64
"""The most frames that may wait to be written; beyond them an event without an id waits."""


@final
@define(eq=False)
class Pending:
    """An event on its way. `number` is its id; in a new session it gets another one."""

    event: str
    number: int
    again: bool = False
    place: Literal["queued", "out", "resting"] = "queued"
    sent: bool = False
    wanted: bool = True
    tries: int = 0
    position: int = 0  # its place among all written events
    since: float = 0.0  # when it was written
    _data: Any = field(default=None, repr=False)
    _done: trio.Event = field(factory=trio.Event, repr=False)
    _outcome: Answer | ClientError | None = None

    @property
    def settled(self) -> bool:
        """True if its outcome is set, be it an answer or an error."""
        return self._done.is_set()

    async def answer(self) -> Answer:
        """Wait for the answer. Raises EventError for an error answer, ConnectionLost if the event
        was never sent, and OutcomeUnknown.
        """
        await self._done.wait()
        if isinstance(self._outcome, Answer):
            return self._outcome
        assert self._outcome is not None
        raise self._outcome

    def settle(self, outcome: Answer | ClientError) -> None:
        """Set the outcome, whether or not somebody still waits for it."""
        self._outcome = outcome
        self._done.set()

    def frame(self) -> str:
        """Return its frame, with its present id."""
        return frames.encode(self.event, self._data, self.number)


@final
class PendingEvents:
    """The events that a client must send, and those that have no answer yet."""

    def __init__(self, last: int) -> None:
        """`last` is the highest id that the session has used."""
        self.number = last
        self._waiting: dict[int, Pending] = {}  # by id, hence in order
        self._latest: Pending | None = None  # the event that is being written
        self._written = 0  # number of events written so far
        self._answered = 0  # position of the last event that was answered in order
        self._dropped = 0  # the highest id whose answer may come too late on this connection
        self._queue: deque[Pending | str] = deque()
        self._adding = trio.StrictFIFOLock()  # events keep the order of the calls
        self._changed = trio.lowlevel.ParkingLot()
        self._end: ConnectionLost | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    # --- from the client

    async def add(self, event: str, data: Any, *, again: bool) -> Pending:
        """Add an event that gets an answer; wait while too many are unanswered. Raises TypeError
        for an invalid name and for data that is not JSON, and ConnectionLost.
        """
        event, raw = frames.named(event), frames.raw(data)
        async with self._adding:
            while self._end is None and self._is_full():
                await self._changed.park()
            self._raise_if_ended()
            self.number += 1
            pending = Pending(event, self.number, again, data=raw)
            self._waiting[self.number] = pending
            self._queue.append(pending)
            self._changed.unpark_all()
        return pending

    async def post(self, frame: str) -> None:
        """Add an event that gets no answer; wait while many frames wait. Raises ConnectionLost."""
        async with self._adding:
            while self._end is None and len(self._queue) >= MAX_QUEUED:
                await self._changed.park()
            self._raise_if_ended()
            self._queue.append(frame)
            self._changed.unpark_all()

    def forget(self, pending: Pending) -> None:
        """Give up an event whose answer nobody waits for: do not send it from now on."""
        if self._waiting.get(pending.number) is not pending:
            return
        if pending.place == "out":
            pending.wanted = False  # its answer will still come
            return
        if pending.place == "queued":
            self._queue.remove(pending)
        self._remove(pending)

    def _is_full(self) -> bool:
        oldest = next(iter(self._waiting), self.number)
        return self.number - oldest >= MAX_UNANSWERED - 1 or len(self._queue) >= MAX_QUEUED

    def _raise_if_ended(self) -> None:
        if self._end is not None:
            raise copy(self._end)

    # --- to the connection, and answers from it

    async def next_frame(self) -> str:
        """Wait for the next frame to write, and return it."""
        while not self._queue:
            await self._changed.park()
        item = self._queue.popleft()
        self._changed.unpark_all()
        if isinstance(item, str):
            self._latest = None
            return item
        self._latest = item
        self._written += 1
        item.place, item.sent = "out", True
        item.position, item.since = self._written, trio.current_time()
        return item.frame()

    def written(self) -> None:
        """The last frame is out: an answer to its event is due from now on."""
        if self._latest is not None:
            self._latest.since = trio.current_time()

    def answered(self, number: int, answer: Answer | EventError, *, retry: bool) -> Pending | None:
        """Settle an event with its answer. Raises BadFrame if no event waits for it.

        With `retry`, an event that is `unavailable` and still wanted is not settled: it rests and
        is returned, and the caller must call `send_again`.
        """
        pending = self._waiting.get(number)
        if pending is None and number <= self._dropped:
            return None
        if pending is None or pending.place != "out":
            raise BadFrame(f"an answer to {number}, which waits for none")
        code = answer.code if isinstance(answer, EventError) else ""
        # These may come out of order; all others come in the order in which the events were sent.
        if code not in ("unavailable", "rate_limited"):
            self._answered = pending.position
        if retry and code == "unavailable" and pending.wanted:
            pending.place = "resting"
            pending.tries += 1
            return pending
        self._remove(pending)
        pending.settle(answer)
        return None

    @property
    def answer_due_since(self) -> float | None:
        """Return when the oldest unanswered event was written, or None."""
        for oldest in self._waiting.values():
            return None if oldest.place == "queued" else oldest.since
        return None

    def send_again(self, pending: Pending) -> None:
        """Send an event that rested."""
        if pending.place == "resting" and self._waiting.get(pending.number) is pending:
            pending.place = "queued"
            self._queue.append(pending)
            self._changed.unpark_all()

    def drop_overdue(self, since: float) -> None:
        """Settle the events that will get no answer although the connection lives and has been read
        since the time `since`. Ids stay close to the oldest unanswered one, so these events would
        hold up all others.
        """
        while self._waiting:
            oldest = next(iter(self._waiting.values()))
            patience = OVERDUE[0 if oldest.position < self._answered else 1]
            waited = trio.current_time() - max(since, oldest.since)
            if oldest.place != "out" or waited < patience:
                return
            self._dropped = oldest.number
            self._remove(oldest)
            oldest.settle(OutcomeUnknown(0, "the server gives this event no answer"))

    def reject_largest(self) -> None:
        """Give up the largest event: the server found one too big, so at least the largest is."""
        out = [pending for pending in self._waiting.values() if pending.place == "out"]
        if out:
            largest = max(out, key=lambda pending: len(pending.frame().encode()))
            self._remove(largest)
            largest.settle(EventError("invalid", "the server takes nothing so large"))

    # --- a connection or a session is over

    def connection_over(self) -> None:
        """Let the sent events rest until there is another connection; they get no answer on this
        one. Events that nobody waits for are forgotten.
        """
        self._dropped = 0
        for pending in list(self._waiting.values()):
            if not pending.wanted:
                self._remove(pending)
            elif pending.place == "out":
                pending.place = "resting"

    def resume(self, last: int) -> None:
        """Resume the session: send the sent events again, in order, before all others."""
        self.number = max(self.number, last)
        sent, rest = self._parts()
        self._refill([*sent, *rest])

    def renew(self, last: int, loss: ConnectionLost) -> None:
        """Begin a new session. A sent event is sent under a new id if the caller asked for that;
        otherwise its outcome is unknown. Unsent events are kept.
        """
        sent, rest = self._parts()
        self._waiting.clear()
        self.number = last
        for pending in sent:
            if not pending.again:
                pending.settle(_unknown(loss))
        kept = [item for item in (*sent, *rest) if isinstance(item, str) or not item.settled]
        for item in kept:
            if isinstance(item, Pending):
                self.number += 1
                item.number = self.number
                self._waiting[item.number] = item
        self._refill(kept)

    def end(self, loss: ConnectionLost) -> None:
        """Settle all events with `loss`: there will be no other connection."""
        self._end = loss
        for pending in self._waiting.values():
            pending.settle(_unknown(loss) if pending.sent else copy(loss))
        self._waiting.clear()
        self._queue.clear()
        self._changed.unpark_all()

    def _parts(self) -> tuple[list[Pending], list[Pending | str]]:
        """Return the events that were ever sent, and the items that were not, both in order."""
        sent = [pending for pending in self._waiting.values() if pending.sent]
        rest = [item for item in self._queue if isinstance(item, str) or not item.sent]
        return sent, rest

    def _refill(self, items: Iterable[Pending | str]) -> None:
        self._queue = deque(items)
        for item in self._queue:
            if isinstance(item, Pending):
                item.place = "queued"
        self._changed.unpark_all()

    def _remove(self, pending: Pending) -> None:
        del self._waiting[pending.number]
        self._changed.unpark_all()


def _unknown(loss: ConnectionLost) -> OutcomeUnknown:
    return OutcomeUnknown(loss.code, loss.reason)
