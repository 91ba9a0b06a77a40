"""The events that have no answer yet: their ids, the order in which they go out, and what becomes
of them when a connection or a session is over. It is bounded: nothing enters while it is full.
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
"""Ids from the oldest unanswered one to the newest: the server keeps so many answers."""

OVERDUE: Final = (10.0, 60.0)
"""Seconds after which an event that has no answer over a living connection will have none: if later
ones have theirs, and at all."""

MAX_QUEUED: Final = 64
"""What may wait to be written before an event without an id has to wait too."""


@final
@define(eq=False)
class Pending:
    """An event on its way; `number` is its id, which is another one in another session."""

    event: str
    number: int
    again: bool = False
    place: Literal["queued", "out", "resting"] = "queued"
    sent: bool = False
    wanted: bool = True
    tries: int = 0
    position: int = 0  # among the events that were ever written
    since: float = 0.0  # when it was written
    _data: Any = field(default=None, repr=False)
    _done: trio.Event = field(factory=trio.Event, repr=False)
    _outcome: Answer | ClientError | None = None

    @property
    def settled(self) -> bool:
        """Whether its outcome is known, or known to be unknown."""
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
        """Its frame, under its present id."""
        return frames.encode(self.event, self._data, self.number)


@final
class PendingEvents:
    """The events that a client has to send, and those that have no answer yet."""

    def __init__(self, last: int) -> None:
        """`last` is the highest id that the session has used."""
        self.number = last
        self._waiting: dict[int, Pending] = {}  # by id, hence in order
        self._latest: Pending | None = None  # the event that is being written
        self._written = 0  # events so far
        self._answered = 0  # the last of these that was answered in its order
        self._dropped = 0  # the highest id for which this connection may bring an answer too late
        self._queue: deque[Pending | str] = deque()
        self._adding = trio.StrictFIFOLock()  # events keep the order in which they were given to us
        self._changed = trio.lowlevel.ParkingLot()
        self._end: ConnectionLost | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    # --- from the client

    async def add(self, event: str, data: Any, *, again: bool) -> Pending:
        """Take an event that is to be answered; wait while too many are not. Raises TypeError
        for a name that is none and for data that is no JSON, and ConnectionLost.
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
        """Take an event that is not answered; wait while too much waits. Raises ConnectionLost."""
        async with self._adding:
            while self._end is None and len(self._queue) >= MAX_QUEUED:
                await self._changed.park()
            self._raise_if_ended()
            self._queue.append(frame)
            self._changed.unpark_all()

    def forget(self, pending: Pending) -> None:
        """Nobody waits for this answer any more: do not send the event from now on."""
        if self._waiting.get(pending.number) is not pending:
            return
        if pending.place == "out":
            pending.wanted = False  # the answer comes all the same
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
        """What is to be written next; wait for it."""
        while not self._queue:
            await self._changed.park()
        item = self._queue.popleft()
        self._changed.unpark_all()
        if isinstance(item, str):
            return item
        self._written += 1
        item.place, item.sent = "out", True
        item.position, item.since = self._written, trio.current_time()
        self._latest = item
        return item.frame()

    def written(self) -> None:
        """The last frame is out: an answer to its event is due from now on."""
        if self._latest is not None:
            self._latest.since = trio.current_time()
            self._latest = None

    def answered(self, number: int, answer: Answer | EventError, *, retry: bool) -> Pending | None:
        """Take an answer. Raises BadFrame for one that no event waits for.

        With `retry`, an event that is `unavailable` and still wanted is not settled: it rests, is
        returned, and `send_again` is to be called.
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
        """When the oldest event without an answer was written, if there is one."""
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
        """Settle the events that get no answer though the connection lives and has been read
        `since` then: an id stays near the oldest unanswered one, so they would hold up all others.
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
        """A message was too big for the server: at the least the largest was, so it goes out no
        more.
        """
        out = [pending for pending in self._waiting.values() if pending.place == "out"]
        if out:
            largest = max(out, key=lambda pending: len(pending.frame().encode()))
            self._remove(largest)
            largest.settle(EventError("invalid", "the server takes nothing so large"))

    # --- a connection or a session is over

    def connection_over(self) -> None:
        """Events that are out get no answer now: they rest until there is another connection.
        Those that nobody waits for are forgotten.
        """
        self._dropped = 0
        for pending in list(self._waiting.values()):
            if not pending.wanted:
                self._remove(pending)
            elif pending.place == "out":
                pending.place = "resting"

    def resume(self, last: int) -> None:
        """The session goes on: send again what was sent, in order, before all else."""
        self.number = max(self.number, last)
        sent, rest = self._parts()
        self._refill([*sent, *rest])

    def renew(self, last: int, loss: ConnectionLost) -> None:
        """Another session: what was sent is sent under new ids where the caller asked for that, and
        its outcome is unknown otherwise. What was not sent is as good as before.
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
        """There will be no other connection."""
        self._end = loss
        for pending in self._waiting.values():
            pending.settle(_unknown(loss) if pending.sent else copy(loss))
        self._waiting.clear()
        self._queue.clear()
        self._changed.unpark_all()

    def _parts(self) -> tuple[list[Pending], list[Pending | str]]:
        """The events that were ever sent, and what has never left, both in order."""
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
