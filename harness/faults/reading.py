"""Whether what was read was there: at some instant between the question and the answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from attrs import evolve

from harness.faults.record import History, Op
from harness.faults.shelf import BRIEF
from harness.faults.timing import Timelines, timed
from harness.faults.world import Key, Timeline, Windows
from tests.support.histories import Violation

SLACK: Final = 0.1  # seconds that a key may outlive its time


def check_reads(history: History, timelines: Timelines) -> str:
    """Every value that was read was there between the question and the answer, and no pair of
    values was torn."""
    number = 0
    bare = {one["session"] for one in history.of("bare")}
    windows = timed(history, timelines)
    for op in history.ops.values():
        if (op.event, op.how) == ("glance", "ok"):
            number += 1
            _check_brief(op, history, windows)
        if op.done is None or (read := what_was_read(op)) is None:
            continue
        key, fits = read
        if key[0] == "members" and bare:
            seen = evolve(op, answer=[one for one in op.answer if one not in bare])
            key, fits = what_was_read(seen) or read
        number += 1
        possible = {
            value
            for timeline, window in windows
            if timeline.begins <= op.done and op.called <= timeline.ends
            for value in timeline.values(
                key, window.least(op.called), window.most(op.done, len(timeline.lines))
            )
        }
        if not any(fits(value) for value in possible):
            raise Violation(f"{op.name} read {op.answer!r} of {key}, never so then: {op}")
    return f"{number} reads"


def what_was_read(op: Op) -> tuple[Key, Callable[[Any], bool]] | None:
    """What an operation tells of the state, if it does: a key, and which values would fit."""
    match op.event, op.how:
        case "get", "ok":
            return ("register", op.data["key"]), lambda value: value == op.answer
        case "swap", "differs":
            return ("register", op.data["key"]), lambda value: (value or "") == op.answer
        case "count", "ok":
            return ("said", op.data["topic"]), lambda value: value == op.answer
        case "shelf", "ok":
            return ("shelf", op.data["key"]), lambda value: _as_read(value) == op.answer
        case "fetch", "ok":
            return ("fat", op.data["key"]), lambda value: value == op.answer
        case "look", "ok":
            return ("balances", ""), lambda value: list(value) == op.answer
        case "move", "poor":
            at = "abcd".index(op.data["source"])
            return ("balances", ""), lambda value: str(value[at]) == op.answer
        case "who", "ok":
            return ("members", op.data["topic"]), lambda value: sorted(value) == op.answer
    return None


def _as_read(value: Any) -> list[Any]:
    one, two, three = value
    return [[list(pair) for pair in one], list(two), list(three)]


def _check_brief(op: Op, history: History, windows: list[tuple[Timeline, Windows]]) -> None:
    """A brief key holds what was stored last until its time is over, and nothing after that."""
    assert op.done is not None
    for timeline, window in windows:
        if timeline.begins <= op.done and op.called <= timeline.ends:
            values = timeline.values(
                ("brief", op.data["key"]),
                window.least(op.called),
                window.most(op.done, len(timeline.lines)),
            )
            for name in values:
                store = history.ops.get(str(name))
                if _may_find(op, store):
                    return
    raise Violation(f"{op.name} read {op.answer!r} of a brief key, never so then: {op}")


def _may_find(op: Op, store: Op | None) -> bool:
    """Whether a look at a brief key may have found what it did, with this store the last one."""
    assert op.done is not None
    if store is None:
        return op.answer is None
    if op.answer is None:
        return op.done - store.called >= BRIEF
    stored = store.done if store.how == "ok" and store.done is not None else math.inf
    return op.answer == store.name and op.called <= stored + BRIEF + SLACK
