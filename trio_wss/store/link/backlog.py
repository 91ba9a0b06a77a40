"""The commands that Redis has not answered: queued, then sent, in one order that never changes.

Each is answered exactly once. A sent command keeps its place until the connection ends, because
Redis answers in the order of the commands. The bytes of the answers on their way are bounded:
Redis cuts a connection that does not take its answers fast enough.
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

_WRITE: Final = 1 << 20  # bytes at which a write stops growing; commands behind it are not sent yet
_BYTES: Final = 64 << 20  # bytes at which the backlog is full
_ON_THEIR_WAY: Final = 16 << 20  # bytes of answers: half of Redis' default limit for subscribers
_LOSSES: Final = 2  # connections that one command may have been sent on
LIGHT: Final = 256  # bytes of an answer, unless the command has another weight

_LATE: Final = "Redis did not answer in time; the outcome is not known"
_LOST: Final = "the link was lost twice with it; the outcome is not known"
_OVERTAKEN: Final = "Redis had lost the scripts, and took a later command first; it was not applied"


@define(eq=False)
class Slot:
    """A command and the callback for its answer."""

    packed: bytes
    answered: Answered | None  # None: nobody waits (any more)
    expires: float = math.inf
    ours: bool = False  # the link's own: it ends with the connection
    confirmations: int = 0  # pushes still to come: they are the answer to an (un)subscription
    sent: float = 0.0
    retried: bool = False  # refused once already because Redis had lost the scripts
    urgent: bool = False  # is sent at once, before all commands that are not urgent
    weight: int = LIGHT  # bytes that its answer may have
    losses: int = 0  # connections that ended while its answer was due


@define(eq=False)
class Backlog:
    """A queue bounded by count and by bytes. At the bound it is `full`, but it refuses nothing.

    If Redis has lost the scripts, nothing more is written on that connection. The backlog is
    `drained` when all sent commands are answered. Commands that found no script are sent again on
    the next connection, unless Redis has executed a later command meanwhile (another node may have
    loaded the scripts): then they are given up.
    """

    bound: int
    urgent: deque[Slot] = field(factory=deque)  # not sent on the present connection
    queued: deque[Slot] = field(factory=deque)  # not sent on it either
    sent: deque[Slot] = field(factory=deque)
    refused: deque[Slot] = field(factory=deque)  # sent before those; Redis had lost the scripts
    draining: bool = False
    size: int = 0  # bytes of all commands
    due: int = 0  # the most bytes of the answers to sent commands
    patient: int = 0  # number of sent commands that are not urgent

    @property
    def full(self) -> bool:
        return self.unanswered >= self.bound or self.size >= _BYTES

    @property
    def free(self) -> int:
        """The number of commands that still fit, by count."""
        return self.bound - self.unanswered

    @property
    def unanswered(self) -> int:
        return len(self.urgent) + len(self.queued) + len(self.sent) + len(self.refused)

    @property
    def drained(self) -> bool:
        """True when no more answers will come on this connection."""
        return self.draining and not self.sent

    def put(self, slot: Slot) -> None:
        (self.urgent if slot.urgent else self.queued).append(slot)
        self.size += len(slot.packed)

    def put_sent(self, slot: Slot, now: float) -> None:
        """Add a command that the caller sends ahead of the queue."""
        self._send(slot, now)
        self.size += len(slot.packed)

    def next_write(self, now: float, *, held: bool = False) -> bytes:
        """Return the waiting commands, at most about 1 MiB, as one write; they now count as sent.

        `held`: return only urgent commands. Other commands also wait while the answers on their way
        are too large; but one of them is always let through, however large its answer. Urgent
        commands never make that one wait.
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
        """Answer the oldest sent command and free its place.

        `executed`: Redis has executed it, so commands that were refused before it must not be sent
        after it.
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
        """Keep the oldest sent command, which found no script, to send it again once."""
        slot = self._take_first()
        slot.retried = True
        self.refused.append(slot)
        self.draining = True

    def expire(self, now: float) -> None:
        """Answer Unavailable to all expired commands; forget those that were not sent."""
        late = [slot for slot in self._all() if slot.expires <= now]
        if not late:
            return
        self.urgent = deque(slot for slot in self.urgent if slot.expires > now)
        self.queued = deque(slot for slot in self.queued if slot.expires > now)
        self._measure()
        _give_up(late, _LATE)

    def disconnected(self) -> None:
        """Queue sent commands again, before the others; forget commands that nobody waits for.

        Commands with which two connections were lost are given up: one may be the reason.
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
    """Answer Unavailable to all commands that still have a callback."""
    for slot in slots:
        answered, slot.answered, slot.expires = slot.answered, None, math.inf
        if answered is not None:
            answered(Unavailable(why))
