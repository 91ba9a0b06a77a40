"""What must hold of a run. Each check takes the whole history and the timelines of Redis, raises
Violation with the first thing that is wrong, and returns in a few words what it looked at.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Final

from harness.faults.record import History
from harness.faults.shelves import Shelves
from harness.faults.timing import Timelines, is_made_again, timed, welcomes
from tests.support.histories import Violation, check_sent_order

WRITES: Final = frozenset(
    {"add", "swap", "move", "say", "join", "leave", "enter", "hum", "bye", "census", *Shelves.DOES}
)
UNKNOWN: Final = frozenset({None, "lost", "posted"})  # `unavailable` is sent again
GRACE: Final = 2.0  # seconds, of the sessions of a run
REDIS_PATIENCE: Final = 3.0  # seconds, of the nodes of a run: then an event is `unavailable`
OUTCOMES: Final[Mapping[str, Collection[str]]] = {
    "add": ("ok",),
    "say": ("ok",),
    "join": ("ok",),
    "leave": ("ok",),
    "get": ("ok", "conflict"),
    "look": ("ok", "conflict"),
    "who": ("ok", "conflict"),
    "swap": ("ok", "conflict", "differs"),
    "move": ("ok", "conflict", "poor"),
    "refuse": ("on_purpose", "internal"),
    **dict.fromkeys(("enter", "hum", "bye", "tag", "erase", "brief", "stash", "gulp"), ("ok",)),
    **dict.fromkeys(
        ("census", "put", "drop", "turn", "mark", "wipe", "push", "flip"), ("ok", "conflict")
    ),
    **dict.fromkeys(("shelf", "glance", "fetch", "count"), ("ok", "conflict")),
}
"""What may come of each event, where it is known: a conflict only of those that read."""


def check_applied(history: History, timelines: Timelines) -> str:
    """What was acknowledged was applied, once; what was refused was not; nothing else was."""
    last, lost, acknowledged = timelines[-1], 0, 0
    for op in history.ops.values():
        if op.how in UNKNOWN or op.done is None:
            continue
        fails = op.data.get("fail") is True
        if op.how not in OUTCOMES.get(op.event, ()) or (op.how == "internal") != fails:
            raise Violation(f"{op.name} was answered {op.how} {op.answer}: {op.event} {op.data}")
        then = [line for line in timelines if op.called <= line.ends and line.begins <= op.done]
        if op.how != "ok" and any(
            op.name in line.places for line in timelines if line.ends > op.done
        ):
            raise Violation(f"{op.name} was answered {op.how}, and was applied")
        if op.how == "ok" and op.event in WRITES:
            acknowledged += 1
            if not any(op.name in line.places for line in then):
                raise Violation(f"{op.name} was acknowledged, and was never applied: {op}")
            lost += op.name not in last.places
    for timeline in timelines:
        for name in timeline.places:
            if (sent := history.ops.get(name)) is None:
                raise Violation(f"{name} was applied, and nobody sent it")
            by = timeline.lines[timeline.places[name]]["by"]
            if sent.session not in (None, by):
                raise Violation(f"{name} was sent for session {sent.session}, and {by} did it")
    return f"{acknowledged} acknowledged writes, {lost} of them lost with their Redis"


def check_answers(history: History, timelines: Timelines) -> str:
    """An answer says what the commit did, and no other."""
    number = 0
    for op in history.ops.values():
        if op.how == "ok" and op.event in WRITES:
            number += 1
            right = [
                line.answers[op.name]
                for line in timelines
                if op.name in line.answers and op.done and line.begins <= op.done
            ]
            if right and op.answer not in right:
                raise Violation(f"{op.name} was answered {op.answer!r}, not {right[-1]!r}: {op}")
    return f"{number} answers"


def check_order(history: History, timelines: Timelines) -> str:
    """What was answered before another was sent was applied before it; and of one session, what
    was sent first was applied first."""
    number = 0
    given_up = _perhaps_given_up(history)
    for timeline, windows in timed(history, timelines):
        seen: list[tuple[str, int]] = []
        for line in timeline.lines:
            op = history.ops.get(line.get("op", ""))
            if op is None:
                continue
            number += 1
            if windows.least(op.called) > timeline.places[op.name]:
                raise Violation(f"{op.name} was sent at {op.called}, and applied too early: {op}")
            if not (op.doubtful or op.name in given_up or is_made_again(op, timeline)):
                seen.append((line["by"], op.number))
        check_sent_order(seen)
    return f"{number} writes in {len(timelines)} timelines"


def _perhaps_given_up(history: History) -> set[str]:
    """The events that a node may have given up, and its word of that was lost with a connection.
    What is sent again then may come after what was sent behind it, as docs/protocol.md has it.
    """
    welcomes = {
        client: [view["t"] for view in views if view["k"] == "welcome"]
        for client, views in history.views.items()
    }
    names = set()
    for op in history.ops.values():
        times = welcomes.get(op.client, [])
        again = times[bisect(times, op.called) : bisect(times, op.done or math.inf)]
        if any(after - t >= REDIS_PATIENCE for t, after in pairwise([op.called, *again])):
            names.add(op.name)
    return names


def check_settled(history: History, _: Timelines) -> str:
    """When nothing is wrong any more, everything is answered, and every client hears its topics."""
    for quiet in history.of("quiet"):
        for op in history.ops.values():
            if op.called < quiet["t"] < (op.done or math.inf):
                raise Violation(f"at {quiet['t']} {op.name} was not answered: {op}")
    for level in history.of("level"):
        number = level.get("n")
        behind = number is not None and any(at[1] != number for at in level["at"].values())
        if behind or len({tuple(at) for at in level["at"].values()}) > 1:
            raise Violation(
                f"at {level['t']} members of {level['topic']} differ: {level['at']}, said"
                f" {number} times"
            )
    number = 0
    heard = {
        client: {record["op"]: record["t"] for record in records if record["k"] in ("said", "hum")}
        for client, records in history.views.items()
    }
    for marker in history.of("marker"):
        for client in marker["clients"]:
            number += 1
            if heard.get(client, {}).get(marker["op"], math.inf) > marker["t"]:
                raise Violation(
                    f"{client} is in {marker['topic']} and did not hear {marker['op']} at"
                    f" {marker['t']}"
                )
    return f"{number} times a client heard the last word in a topic"


def check_presence(history: History, _: Timelines) -> str:
    """No ghost, and nobody missing: the members are the clients that are there."""
    number = 0
    for seen in history.of("members"):
        number += 1
        ghosts = sorted(set(seen["seen"]) - set(seen["there"]))
        missing = sorted(set(seen["there"]) - set(seen["seen"]))
        if ghosts or missing:
            raise Violation(
                f"at {seen['t']} {seen['topic']} has the ghosts {ghosts} and lacks {missing}"
            )
    return f"{number} membership lists"


def check_hooks(history: History, timelines: Timelines) -> str:
    """Every session that began has ended with its hook, once, except those that still live.
    (That it ran once at most, and nothing after it, the timelines have shown.)"""
    known = {by for line in timelines for by in (*line.world.live, *line.world.ended)}
    for session, _, welcomed in welcomes(history):
        if session not in known:
            raise Violation(f"session {session} was welcomed at {welcomed} and never began")
    world = timelines[-1].world
    *_, end = ({"live": list(world.live)}, *history.of("end"))
    dead = world.live - set(end["live"]) - world.bare
    lacking = set(end["live"]) - world.live
    if dead or lacking:
        raise Violation(f"without their hook: {sorted(dead)}; ended though live: {sorted(lacking)}")
    return f"{len(world.ended)} sessions ended, {len(world.live)} live"
