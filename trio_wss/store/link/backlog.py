"""The commands that Redis has not answered: queued, then sent, in one order that never changes.

Each is answered exactly once. A sent one keeps its place until the connection ends, for Redis
answers by place and not by name. The answers that are on their way are bounded by their bytes:
Redis cuts a connection that does not take them fast enough.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, Final

from attrs import define, field

from trio_wss.errors import Unavailable

Answered = Callable[[Any], None]

_WRITE: Final = 1 << 20  # a write stops growing here: what waits behind it has not been sent
_BYTES: Final = 64 << 20  # at which the backlog is full
_ON_THEIR_WAY: Final = 16 << 20  # bytes of answers: half of what Redis by itself allows our kind
_LOSSES: Final = 2  # connections that one command may have been sent on
LIGHT: Final = 256  # bytes of the answer to a command of which nobody said more

_LATE: Final = "Redis did not answer in time; the outcome is not known"
_LOST: Final = "the link was lost twice with it; the outcome is not known"
_OVERTAKEN: Final = "Redis had lost the scripts, and took a later command first; it was not applied"


@define(eq=False)
class Slot:
    """A command and who waits for its answer."""

    packed: bytes
    answered: Answered | None  # None: nobody waits (any more)
    expires: float = math.inf
    ours: bool = False  # the link's own: it ends with the connection
    confirmations: int = 0  # pushes still to come: a (un)subscription has no other answer
    sent: float = 0.0
    retried: bool = False  # refused once already because Redis had lost the scripts
    urgent: bool = False  # goes before all that is not, and at once
    weight: int = LIGHT  # bytes that its answer may have
    losses: int = 0  # connections that ended while its answer was due


@define(eq=False)
class Backlog:
    """Bounded by count and by bytes; `full` says so, nothing is refused here.

    Where Redis has lost the scripts, nothing more is written on that connection: it is `drained`
    when all that was sent is answered, and what had no script goes out again on the next one, but
    not behind a later command that another node's scripts were there for.
    """

    bound: int
    urgent: deque[Slot] = field(factory=deque)  # not sent on the present connection
    queued: deque[Slot] = field(factory=deque)  # nor these
    sent: deque[Slot] = field(factory=deque)
    refused: deque[Slot] = field(factory=deque)  # sent before those, and there was no script
    draining: bool = False
    size: int = 0  # bytes of all
    due: int = 0  # bytes of the answers to what is sent, at most
    patient: int = 0  # how many of those that are sent are not urgent

    @property
    def full(self) -> bool:
        return self.unanswered >= self.bound or self.size >= _BYTES

    @property
    def free(self) -> int:
        """How many more commands fit by count."""
        return self.bound - self.unanswered

    @property
    def unanswered(self) -> int:
        return len(self.urgent) + len(self.queued) + len(self.sent) + len(self.refused)

    @property
    def drained(self) -> bool:
        """All that will be answered on this connection is."""
        return self.draining and not self.sent

    def put(self, slot: Slot) -> None:
        (self.urgent if slot.urgent else self.queued).append(slot)
        self.size += len(slot.packed)

    def put_sent(self, slot: Slot, now: float) -> None:
        """For a command that goes out ahead of the queue."""
        self._send(slot, now)
        self.size += len(slot.packed)

    def next_write(self, now: float, *, held: bool = False) -> bytes:
        """All that waits, at most about 1 MiB, as one write; from here on it counts as sent.

        `held`: only what is urgent. What is not waits, too, while the answers that are due are
        heavy: but for one, which may weigh more than all of them should. What is urgent, and comes
        all the time, keeps that one not waiting.
        """
        parts: list[bytes] = []
        length = 0
        while length < _WRITE and not self.draining:
            line = self.urgent
            if not line:
                if held or not self.queued or not self._bears(self.queued[0]):
                    break
                line = self.queued
            slot = line.popleft()
            self._send(slot, now)
            parts.append(slot.packed)
            length += len(slot.packed)
        return b"".join(parts)

    def _bears(self, slot: Slot) -> bool:
        return not self.patient or self.due + slot.weight <= _ON_THEIR_WAY

    def _send(self, slot: Slot, now: float) -> None:
        slot.sent = now
        self.sent.append(slot)
        self.due += slot.weight
        self.patient += not slot.urgent

    def _take_first(self) -> Slot:
        slot = self.sent.popleft()
        self.due -= slot.weight
        self.patient -= not slot.urgent
        return slot

    def answer_first(self, reply: Any, *, executed: bool = True) -> None:
        """Answer the oldest sent command and give its place free.

        `executed`: it was, so those that were refused before it must not go out behind it.
        """
        slot = self._take_first()
        self.size -= len(slot.packed)
        overtaken: deque[Slot] = deque()
        if self.refused and executed and not slot.ours:
            overtaken, self.refused = self.refused, overtaken
            self.size -= sum(len(one.packed) for one in overtaken)
        _give_up(overtaken, _OVERTAKEN)
        if slot.answered is not None:
            slot.answered(reply)

    def refuse_first(self) -> None:
        """The oldest sent command had no script: it shall go out again, once."""
        slot = self._take_first()
        slot.retried = True
        self.refused.append(slot)
        self.draining = True

    def expire(self, now: float) -> None:
        """Answer Unavailable to all whose time is over; forget those that were not sent."""
        late = [slot for slot in self._all() if slot.expires <= now]
        if not late:
            return
        self.urgent = deque(slot for slot in self.urgent if slot.expires > now)
        self.queued = deque(slot for slot in self.queued if slot.expires > now)
        self._measure()
        _give_up(late, _LATE)

    def disconnected(self) -> None:
        """Queue again what was sent, before what was not; forget what nobody waits for.

        Not what two connections were lost with: it may be the reason.
        """
        for slot in self.sent:
            slot.losses += 1
        overtaken = [*self.refused] if any(not slot.ours for slot in self.sent) else []
        lost = [slot for slot in self.sent if slot.losses >= _LOSSES]
        gone = {*overtaken, *lost}
        kept = [slot for slot in self._all() if slot.answered is not None and not slot.ours]
        self.urgent = deque(slot for slot in kept if slot.urgent and slot not in gone)
        self.queued = deque(slot for slot in kept if not slot.urgent and slot not in gone)
        self.sent.clear()
        self.refused.clear()
        self.draining = False
        self._measure()
        _give_up(overtaken, _OVERTAKEN)
        _give_up(lost, _LOST)

    def _all(self) -> Iterator[Slot]:
        return chain(self.refused, self.sent, self.urgent, self.queued)

    def _measure(self) -> None:
        self.size = sum(len(slot.packed) for slot in self._all())
        self.due = sum(slot.weight for slot in self.sent)
        self.patient = sum(not slot.urgent for slot in self.sent)


def _give_up(slots: Iterable[Slot], why: str) -> None:
    """Answer Unavailable to all who still wait."""
    for slot in slots:
        answered, slot.answered, slot.expires = slot.answered, None, math.inf
        if answered is not None:
            answered(Unavailable(why))
