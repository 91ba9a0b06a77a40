"""The commands that Redis has not answered: queued, then sent, in one order that never changes.

Each is answered exactly once. A sent one keeps its place until the connection ends, for Redis
answers by place and not by name.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final

from attrs import define, field

from trio_wss.errors import Unavailable

Answered = Callable[[Any], None]

_WRITE: Final = 1 << 20  # a write stops growing here: what waits behind it has not been sent
_BYTES: Final = 64 << 20  # at which the backlog is full


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
    urgent: bool = False  # goes before all that is not


@define(eq=False)
class Backlog:
    """Bounded by count and by bytes; `full` says so, nothing is refused here."""

    bound: int
    urgent: deque[Slot] = field(factory=deque)  # not sent on the present connection
    queued: deque[Slot] = field(factory=deque)  # nor these
    sent: deque[Slot] = field(factory=deque)
    size: int = 0  # bytes of all

    @property
    def full(self) -> bool:
        return self.unanswered >= self.bound or self.size >= _BYTES

    @property
    def free(self) -> int:
        """How many more commands fit by count."""
        return self.bound - self.unanswered

    @property
    def unanswered(self) -> int:
        return len(self.urgent) + len(self.queued) + len(self.sent)

    def put(self, slot: Slot) -> None:
        (self.urgent if slot.urgent else self.queued).append(slot)
        self.size += len(slot.packed)

    def put_sent(self, slot: Slot, now: float) -> None:
        """For a command that goes out ahead of the queue."""
        slot.sent = now
        self.sent.append(slot)
        self.size += len(slot.packed)

    def next_write(self, now: float, *, held: bool = False) -> bytes:
        """All that waits, at most about 1 MiB, as one write; from here on it counts as sent.

        `held`: only what is urgent.
        """
        parts: list[bytes] = []
        length = 0
        while length < _WRITE and (line := self.urgent or (not held and self.queued)):
            slot = line.popleft()
            slot.sent = now
            self.sent.append(slot)
            parts.append(slot.packed)
            length += len(slot.packed)
        return b"".join(parts)

    def answer_first(self, reply: Any) -> None:
        """Answer the oldest sent command and give its place free."""
        slot = self.sent.popleft()
        self.size -= len(slot.packed)
        if slot.answered is not None:
            slot.answered(reply)

    def expire(self, now: float) -> None:
        """Answer Unavailable to all whose time is over; forget those that were not sent."""
        late = [slot for slot in self._all() if slot.expires <= now]
        if not late:
            return
        self.urgent = deque(slot for slot in self.urgent if slot.expires > now)
        self.queued = deque(slot for slot in self.queued if slot.expires > now)
        self._measure()
        for slot in late:
            answered, slot.answered, slot.expires = slot.answered, None, math.inf
            if answered is not None:
                answered(Unavailable("Redis did not answer in time; the outcome is not known"))

    def disconnected(self) -> None:
        """Queue again what was sent, before what was not; forget what nobody waits for."""
        kept = [slot for slot in self._all() if slot.answered is not None and not slot.ours]
        self.urgent = deque(slot for slot in kept if slot.urgent)
        self.queued = deque(slot for slot in kept if not slot.urgent)
        self.sent.clear()
        self._measure()

    def _all(self) -> Iterator[Slot]:
        return chain(self.sent, self.urgent, self.queued)

    def _measure(self) -> None:
        self.size = sum(len(slot.packed) for slot in self._all())
