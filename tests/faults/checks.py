"""What must hold of a run. Each check takes the whole history and the timelines of Redis, raises
Violation with the first thing that is wrong, and returns in a few words what it looked at.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, TypeAlias

from tests.faults.record import History, Op, Record
from tests.faults.world import Key, Timeline, Windows
from tests.histories import Violation, check_sent_order

Timelines: TypeAlias = Sequence[Timeline]
"""The histories of Redis, one after the other: a new one begins where commits were lost."""

WRITES: Final = frozenset({"add", "swap", "move", "say", "join", "leave"})
UNKNOWN: Final = frozenset({None, "lost", "posted", "unavailable"})
GRACE: Final = 2.0  # seconds, of the sessions of a run
REDIS_PATIENCE: Final = 3.0  # seconds, of the nodes of a run: then an event is `unavailable`
COME_BACK: Final = frozenset({1000, 1001, 1006, 1012, 1013})
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
}
"""What may come of each event, where it is known: a conflict only of those that read."""


def check_applied(history: History, timelines: Timelines) -> str:
    """What was acknowledged was applied, once; what was refused was not; nothing else was."""
    last, lost, acknowledged = timelines[-1], 0, 0
    for op in history.ops.values():
        if op.how in UNKNOWN:
            continue
        fails = op.data.get("fail") is True
        if op.how not in OUTCOMES.get(op.event, ()) or (op.how == "internal") != fails:
            raise Violation(f"{op.name} was answered {op.how} {op.answer}: {op.event} {op.data}")
        if op.how != "ok" and op.name in last.places:
            raise Violation(f"{op.name} was answered {op.how}, and was applied")
        if op.how == "ok" and op.event in WRITES:
            acknowledged += 1
            if not any(op.name in timeline.places for timeline in timelines):
                raise Violation(f"{op.name} was acknowledged, and was never applied: {op}")
            lost += op.name not in last.places
    for timeline in timelines:
        for name in timeline.places:
            if name not in history.ops:
                raise Violation(f"{name} was applied, and nobody sent it")
    return f"{acknowledged} acknowledged writes, {lost} of them lost with their Redis"


def check_answers(history: History, timelines: Timelines) -> str:
    """An answer says what the commit did, and no other."""
    number = 0
    for op in history.ops.values():
        if op.how == "ok" and op.event in WRITES:
            number += 1
            right = [line.answers[op.name] for line in timelines if op.name in line.answers]
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
            if not (op.doubtful or op.name in given_up):
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


def check_reads(history: History, timelines: Timelines) -> str:
    """Every value that was read was there between the question and the answer, and no pair of
    values was torn."""
    number = 0
    windows = timed(history, timelines)
    for op in history.ops.values():
        if op.done is None or (read := what_was_read(op)) is None:
            continue
        key, fits = read
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
        case "look", "ok":
            return ("balances", ""), lambda value: list(value) == op.answer
        case "move", "poor":
            at = "abcd".index(op.data["source"])
            return ("balances", ""), lambda value: str(value[at]) == op.answer
        case "who", "ok":
            return ("members", op.data["topic"]), lambda value: sorted(value) == op.answer
    return None


def timed(history: History, timelines: Timelines) -> list[tuple[Timeline, Windows]]:
    """Each timeline, and what real time says of it."""
    found = []
    begun = list(welcomes(history))
    for timeline in timelines:
        done: list[tuple[float, int]] = []
        called: list[tuple[float, int]] = []
        for name, place in timeline.places.items():
            op = history.ops.get(name)
            if op is not None:
                called.append((op.called, place))
                if op.how == "ok" and op.done is not None and not op.doubtful:
                    done.append((op.done, place))
        for session, dialled, welcomed in begun:
            if session in timeline.begun:
                called.append((dialled, timeline.begun[session]))
                done.append((welcomed, timeline.begun[session]))
        found.append((timeline, Windows(done, called)))
    return found


def welcomes(history: History) -> Iterator[tuple[str, float, float]]:
    """The sessions that clients were welcomed to: their names, when they dialled, when it came."""
    for records in history.views.values():
        for record in records:
            if record["k"] == "welcome" and not record["resumed"]:
                yield record["session"], record["since"], record["t"]


def check_settled(history: History, _: Timelines) -> str:
    """When nothing is wrong any more, everything is answered, and every client hears its topics."""
    for quiet in history.of("quiet"):
        for op in history.ops.values():
            if op.called < quiet["t"] < (op.done or math.inf):
                raise Violation(f"at {quiet['t']} {op.name} was not answered: {op}")
    for level in history.of("level"):
        if len({tuple(at) for at in level["at"].values()}) > 1:
            raise Violation(f"at {level['t']} members of {level['topic']} differ: {level['at']}")
    number = 0
    heard = {
        client: {record["op"]: record["t"] for record in records if record["k"] == "said"}
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
    dead, lacking = world.live - set(end["live"]), set(end["live"]) - world.live
    if dead or lacking:
        raise Violation(f"without their hook: {sorted(dead)}; ended though live: {sorted(lacking)}")
    return f"{len(world.ended)} sessions ended, {len(world.live)} live"


def check_protocol(history: History, timelines: Timelines) -> str:
    """No client is told that it broke the protocol, or finds that the server did; none is sent
    away for good; none gets an answer that it did not ask for, or another one the second time.
    """
    number = 0
    for client, records in history.views.items():
        for record in records:
            if record["k"] == "closed":
                number += 1
                if record["code"] not in COME_BACK:
                    raise Violation(f"{client} was closed: {dict(record)}")
            elif record["k"] == "unasked" or _is_error(record):
                raise Violation(f"{client} was told: {dict(record)}")
            elif record["k"] == "twice" and len(timelines) == 1:
                _check_twice(history.ops[record["op"]], record)
    return f"{number} ends of connections"


def _is_error(record: Record) -> bool:
    """An error that belongs to no event; but for Redis away as a session begins, or at a gap."""
    return bool(record["k"] == "wss.error" and record["data"]["code"] != "unavailable")


def _check_twice(op: Op, record: Record) -> None:
    """The second answer differs: only what wrote nothing and was not refused may run again."""
    if op.event in WRITES or record["first"][0] != "ok":
        raise Violation(f"{op.name} was answered otherwise the second time: {dict(record)}")


def check_nodes(history: History, _: Timelines) -> str:
    """No node ends but by a signal of ours, in time and with 0 after SIGTERM, or logs an error."""
    for record in history.of("exit"):
        if record["code"] != record["wanted"]:
            raise Violation(f"at {record['t']} {record['node']} ended with {record['code']}")
    for record in history.of("error"):
        raise Violation(f"{record['node']} logged {record['text']}")
    return f"{sum(1 for _ in history.of('exit'))} ends of nodes"
