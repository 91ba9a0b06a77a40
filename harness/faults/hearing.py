"""What clients heard, held against what was said: one order per topic that all agree on, no gap and
no repetition, unless the client was told `recovered: false`; and it was told so of a loss only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from attrs import define

from harness.faults.ledger import app
from harness.faults.record import History, Op, Record
from harness.faults.world import Timeline
from tests.support.histories import Violation

Cursor: TypeAlias = tuple[str, int]


@define
class Stretch:
    """Broadcasts of one topic that one client was given as an unbroken row.

    `of` are the timelines in which the row is to be found; a row that mixes two is in none.
    """

    cursor: Cursor
    of: list[Timeline]
    announced: bool = True  # since the last welcome


@define
class Listener:
    """One client's hearing, record by record."""

    client: str
    ops: Mapping[str, Op]
    timelines: Sequence[Timeline]
    places: dict[tuple[str, str, int], str]  # shared by all: topic, epoch, offset: operation
    stretches: dict[str, Stretch]
    told: int = 0  # gaps that it was told of
    heard: int = 0
    resumed: bool = False

    def take(self, record: Record) -> None:
        match record["k"]:
            case "welcome":
                self._welcomed(record)
            case "joined":
                self._joined(record)
            case "left":
                self.stretches.pop(record["topic"], None)
            case "said":
                self._said(record)

    def _fault(self, record: Record, what: str) -> Violation:
        return Violation(f"at {record['t']} {self.client} {what}: {dict(record)}")

    def _welcomed(self, record: Record) -> None:
        self.resumed = record["resumed"]
        if not self.resumed:
            self.stretches.clear()
        for stretch in self.stretches.values():
            stretch.announced = False

    def _joined(self, record: Record) -> None:
        topic, cursor = record["topic"], _cursor(record)
        before = self.stretches.get(topic)
        if record["whole"] and before is not None:
            if before.announced:
                raise self._fault(record, "was told twice that it had joined")
            if before.cursor != cursor:
                raise self._fault(record, f"was at {before.cursor}, and is told to be elsewhere")
            before.announced = True
            return
        if not record["whole"]:
            self.told += 1
            if before is not None and self._is_all_kept(topic, before.cursor, record):
                raise self._fault(record, f"was at {before.cursor}, and all since is kept")
        self.stretches[topic] = Stretch(cursor, list(self.timelines))

    def _is_all_kept(self, topic: str, cursor: Cursor, told: Record) -> bool:
        """Whether the broadcast at a cursor, and so all that follow it, were surely in the topic's
        stream when this was told: neither too many nor too old, nor lost with their Redis."""
        if _cursor(told) == cursor:
            return True  # there was nothing to miss
        op = self._word_at(topic, cursor)
        most, seconds = app.history(topic)
        if op is None or told["at"][1] - cursor[1] >= most or told["t"] - op.called >= seconds:
            return False
        since = [line for line in self.timelines if op.called < line.begins <= told["t"]]
        return all(line.places.get(op.name, math.inf) < line.kept for line in since)

    def _word_at(self, topic: str, cursor: Cursor) -> Op | None:
        """The broadcast that a cursor stands behind, or before: at 0 it is the first one. If nobody
        has heard it, it is the one of this place in all timelines, if that is but one."""
        word = self.places.get((topic, *cursor))
        if word is None:
            place = topic, max(cursor[1], 1)
            words = {line.words[place] for line in self.timelines if place in line.words}
            if len(words) != 1:
                return None
            [word] = words
        return self.ops.get(word.partition("/")[0])

    def _said(self, record: Record) -> None:
        topic, (epoch, offset) = record["topic"], _cursor(record)
        self.heard += 1
        stretch = self.stretches.get(topic)
        if stretch is None or not stretch.announced:
            raise self._fault(record, "heard a topic that it was not told to be in")
        if offset != stretch.cursor[1] + 1:
            raise self._fault(record, f"was at {stretch.cursor}")
        if record["n"] not in (None, offset):
            raise self._fault(record, f"heard number {record['n']} at offset {offset}")
        other = self.places.setdefault((topic, epoch, offset), record["op"])
        if other != record["op"]:
            raise self._fault(record, f"heard at this place what others heard as {other}")
        stretch.cursor = (epoch, offset)
        stretch.of = [line for line in stretch.of if line.spoken[topic].get(record["op"]) == offset]
        if not stretch.of:
            raise self._fault(record, "heard what was not committed, or beyond a tail that is lost")


def check_hearing(history: History, timelines: Sequence[Timeline]) -> str:
    """Every client has each broadcast of its topics once, in the one order, or was told."""
    places: dict[tuple[str, str, int], str] = {}
    listeners = [
        Listener(client, history.ops, timelines, places, stretches={})
        for client in sorted(history.views)
    ]
    for listener in listeners:
        for record in history.views[listener.client]:
            listener.take(record)
    heard, told = (sum(getattr(one, what) for one in listeners) for what in ("heard", "told"))
    return f"{heard} broadcasts heard by {len(listeners)} clients, {told} times told of a gap"


def _cursor(record: Record) -> Cursor:
    epoch, offset = record["at"]
    return epoch, offset
