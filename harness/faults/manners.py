"""What clients are told, and how nodes end: nobody is told that the protocol is broken."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from harness.faults.checks import WRITES
from harness.faults.record import History, Op, Record
from harness.faults.talk import FAREWELL
from harness.faults.timing import Timelines
from harness.faults.trouble import Troubles
from tests.support.histories import Violation

AWAY: Final = 15.0  # seconds after which no trouble with Redis is felt any more
JAM: Final = 8.0  # seconds in which what waits for a client is taken, or too much
BEHIND: Final = "this client reads too slowly"
LARGE: Final = frozenset({"fetch", "gulp"})  # whose answers leave no room for what comes behind
SLOW: Final = "has not answered for"  # and so the link was dropped
FELT: Final = 5.0  # seconds until a node finds that its way to Redis is gone
RING: Final = 64  # answers that are kept for a session
COME_BACK: Final = frozenset({1000, 1001, 1006, 1012, 1013})


def check_protocol(history: History, timelines: Timelines) -> str:
    """No client is told that it broke the protocol, or finds that the server did; none is sent
    away for good; none gets an answer that it did not ask for, or another one the second time.
    """
    number, troubles = 0, Troubles(history)
    for client, records in history.views.items():
        node = ""
        for record in records:
            if record["k"] == "welcome":
                node = troubles.name(record["node"])
            elif record["k"] == "closed":
                number += 1
                if not _may_close(record, client, node, troubles, history):
                    raise Violation(f"{client} was closed: {dict(record)}")
            elif record["k"] == "unasked" or _is_error(record, client, node, troubles, history):
                raise Violation(f"{client} was told: {dict(record)}")
            elif record["k"] == "twice":
                _check_twice(history.ops[record["op"]], record, timelines)
    return f"{number} ends of connections"


def _may_close(
    record: Record, client: str, node: str, troubles: Troubles, history: History
) -> bool:
    """Whether a connection may end so: by what the client did, or by what was done to it."""
    time, code = record["t"], record["code"]
    if code == FAREWELL:
        return any(op.event == "bye" and op.called < time for op in _ops_of(history, client))
    if code == 1013 and record.get("why") == BEHIND:
        again = {r["op"] for r in history.views[client] if r["k"] == "repeat" and r["t"] <= time}
        large = any(
            op.event in LARGE
            and op.called <= time
            and (time <= (op.done or math.inf) + 1 or op.name in again)
            for op in _ops_of(history, client)
        )
        jammed = troubles.jammed(node, time - JAM, time)
        return large or jammed or troubles.slow(client, time - JAM, time)
    return code in COME_BACK


def _ops_of(history: History, client: str) -> Iterator[Op]:
    return (op for op in history.ops.values() if op.client == client)


def _is_error(record: Record, client: str, node: str, troubles: Troubles, history: History) -> bool:
    """An error that belongs to no event; but for Redis away as a session begins, or at a gap, and
    a conflict of what was sent with no id."""
    if record["k"] != "wss.error":
        return False
    if record["data"]["code"] == "conflict":
        return not any(op.how == "posted" for op in _ops_of(history, client))
    span = record["t"] - AWAY, record["t"]
    away = troubles.at(node, *span) if node else troubles.anywhere(*span)  # it had no welcome yet
    return bool(record["data"]["code"] != "unavailable" or not away)


def _check_twice(op: Op, record: Record, timelines: Timelines) -> None:
    """The second answer differs: only what wrote nothing and was not refused may run again; what is
    as old as a ring may be stale; and what was lost with its Redis was never there."""
    if op.event not in WRITES and record["first"][0] == "ok":
        return
    if record["second"][0] == "stale" and record.get("later", 0) >= RING:
        return
    first = op.done or op.called
    since = [line for line in timelines if first < line.begins <= record["t"]]
    if any(line.places.get(op.name, math.inf) >= line.kept for line in since):
        return
    raise Violation(f"{op.name} was answered otherwise the second time: {dict(record)}")


def check_nodes(history: History, _: Timelines) -> str:
    """No node ends but by a signal of ours, in time and with 0 after SIGTERM, or logs an error, or
    loses Redis while nothing is done to either."""
    done = Troubles(history).done
    for kind, felt in (("unlinked", FELT), ("refused", AWAY)):
        for lost in history.of(kind):
            node, at, why = lost["node"], lost["at"], lost["why"]
            if SLOW in why:
                continue  # a busy machine does that
            if not any(
                where in ("", node) and b <= at + 0.2 and at - felt <= e for where, b, e in done
            ):
                raise Violation(f"{node} lost Redis at {at}, to which nothing was done: {why}")
    full = [(f["begun"], f["t"] + FELT) for f in history.of("fault") if f["name"] == "full-redis"]
    for bare in history.of("bare"):
        if not any(begun <= bare["at"] <= end for begun, end in full):
            raise Violation(f"no room for the hook of {bare['session']}, in a Redis with room")
    for record in history.of("exit"):
        if record["code"] != record["wanted"]:
            raise Violation(f"at {record['t']} {record['node']} ended with {record['code']}")
    for record in history.of("error"):
        raise Violation(f"{record['node']} logged {record['text']}")
    return f"{sum(1 for _ in history.of('exit'))} ends of nodes"
