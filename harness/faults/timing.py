"""Real time against the timelines: when what was sent and answered must, or may, have been made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from harness.faults.record import History, Op
from harness.faults.world import Timeline, Windows

Timelines: TypeAlias = Sequence[Timeline]
"""The histories of Redis, one after the other: a new one begins where commits were lost."""


def timed(history: History, timelines: Timelines) -> list[tuple[Timeline, Windows]]:
    """Each timeline, and what real time says of it."""
    found = []
    begun = list(welcomes(history))
    for timeline in timelines:
        done: list[tuple[float, int]] = []
        called: list[tuple[float, int]] = []
        for name, place in timeline.places.items():
            op = history.ops.get(name)
            if op is None:
                continue
            called.append((op.called, place))
            if op.how != "ok" or op.done is None or op.doubtful or is_made_again(op, timeline):
                continue
            done.append((op.done, place))
        for session, dialled, welcomed in begun:
            if session in timeline.begun:
                called.append((dialled, timeline.begun[session]))
                done.append((welcomed, timeline.begun[session]))
        found.append((timeline, Windows(done, called)))
    return found


def is_made_again(op: Op, timeline: Timeline) -> bool:
    """Whether an event was answered before, and lost, and was made here when its client sent it
    again on purpose."""
    answered = op.done is not None and op.done < timeline.begins
    return answered and timeline.places[op.name] >= timeline.kept


def welcomes(history: History) -> Iterator[tuple[str, float, float]]:
    """The sessions that clients were welcomed to: their names, when they dialled, when it came."""
    for records in history.views.values():
        for record in records:
            if record["k"] == "welcome" and not record["resumed"]:
                yield record["session"], record["since"], record["t"]
