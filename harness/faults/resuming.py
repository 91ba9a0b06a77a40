"""Sessions outlive connections: who comes back within the grace gets its session, and none is ended
before its grace is over.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, final

from harness.faults.bare import REFUSED
from harness.faults.checks import GRACE
from harness.faults.harm import FAULTS, LEASE
from harness.faults.record import History, Record
from harness.faults.timing import timed
from harness.faults.trouble import EVERYBODY, Stay, Troubles
from harness.faults.world import Timeline, Windows
from tests.support.histories import Violation

Timed = Sequence[tuple[Timeline, Windows]]
"""Each timeline, and what real time says of it."""

UNAWARE: Final = LEASE + GRACE + 2.0  # seconds from a lease's loss to what may come of it, at most
CROWD: Final = "room:crowd"  # of clients that say nothing, and never come back
AT_ONCE: Final = 1.2  # seconds: less than a grace
SOON: Final = 1.0  # seconds until a node has learnt that it was taken for dead
SENT_AWAY: Final = 1012  # close code: the node stops, or lost Redis, or its lease


def check_sessions(history: History, timelines: Sequence[Timeline]) -> str:
    """Who asks for a session that is there gets it; and it is there until its grace is over."""
    number = 0
    for client, records in history.views.items():
        for before, welcome in _returns(records):
            number += 1
            if not welcome["resumed"] and _was_there(before["session"], welcome, timelines):
                raise Violation(
                    f"{client} asked for session {before['session']}, which was there, and got"
                    f" another: {dict(welcome)}"
                )
    trouble, both = _Trouble(history), timed(history, timelines)
    spared = _check_spared(history, trouble, both)
    orphans, closed = _check_orphans(history, trouble, both), _check_closed(history, trouble, both)
    return (
        f"{number} times a client asked for its session, {spared} ends of sessions, {orphans} of"
        f" clients that died with their node, {closed} that the app closed"
    )


def _returns(records: Sequence[Record]) -> Iterator[tuple[Record, Record]]:
    """The welcomes of a client that had asked for its session, each with the one before it."""
    before: Record | None = None
    ends: list[Record] = []
    for record in records:
        if record["k"] == "closed":
            ends.append(record)
        elif record["k"] == "welcome":
            forbidden = any(end.get("final") or end["code"] in REFUSED for end in ends)
            if before is not None and record.get("asked", ends and not forbidden):
                yield before, record
            before, ends = record, []


def _was_there(session: str, welcome: Record, timelines: Sequence[Timeline]) -> bool:
    """Whether a session had begun, and was not over, when another was begun in its place; and the
    node had looked in this timeline."""
    new, since = welcome["session"], welcome["since"]
    return any(
        timeline.begins < since
        and session not in timeline.world.bare
        and timeline.kept <= (place := timeline.begun.get(new, -1))
        and timeline.begun.get(session, math.inf) < place < timeline.ended.get(session, math.inf)
        for timeline in timelines
    )


def _check_spared(history: History, trouble: _Trouble, both: Timed) -> int:
    """No session is ended, but by its client's goodbye, within its grace after a sign that it had
    a connection. Returns how many ends there were."""
    number = 0
    signs = _Signs(history)
    for timeline, windows in both:
        events = signs.of_events(timeline)
        for session, place in timeline.ended.items():
            if place < timeline.kept or session in signs.goodbyes or session in timeline.closed:
                continue
            number += 1
            over = min(windows.made(place), timeline.ends)  # by then
            found = []
            sign = signs.of_welcomes(session, timeline)
            if not trouble.lossy(sign, over):
                found.append(sign)
            sign = events.get(session, -math.inf)
            node = signs.node(session, sign)
            if not (trouble.buried(sign - UNAWARE, over, node) or trouble.lossy(sign, over)):
                found.append(sign + trouble.lease_left(sign, over, node, signs.ends(session)))
            if found and over < max(found) + GRACE:
                raise Violation(
                    f"session {session} had a connection at {max(found)}, and was over by {over}"
                )
    return number


def _check_orphans(history: History, trouble: _Trouble, both: Timed) -> int:
    """Sessions whose clients died with their node have its lease, and then their grace. Returns how
    many ends there were."""
    number = 0
    for orphans in history.of("orphans"):
        first = orphans["at"] + orphans["lease"] + GRACE  # what is left was asked for later
        for timeline, windows in both:
            for session in orphans["sessions"]:
                place = timeline.ended.get(session, -1)
                if place < timeline.kept or CROWD not in timeline.rooms(session):
                    continue
                over = min(windows.made(place), timeline.ends)  # by then
                number += 1
                if orphans["lease"] > 0 and over < first and not trouble.lossy(orphans["at"], over):
                    raise Violation(
                        f"session {session} lost its node at {orphans['at']}, whose lease had"
                        f" {orphans['lease']} s left, and was over by {over}"
                    )
    return number


def _check_closed(history: History, trouble: _Trouble, both: Timed) -> int:
    """What the app closes is over at once, and not after its grace. Returns how many were closed
    while nothing was wrong."""
    number = 0
    byes = [op for op in history.ops.values() if op.event == "bye" and op.how == "ok"]
    for timeline, windows in both:
        for bye in byes:
            done = bye.done
            if done is None or bye.name not in timeline.places:
                continue
            session = timeline.lines[timeline.places[bye.name]]["by"]
            last = done + AT_ONCE
            if timeline.ends < last or trouble.any_between(done - AT_ONCE, last):
                continue
            number += 1
            lines = len(timeline.lines)
            if timeline.ended.get(session, lines) >= windows.most(last, lines):
                raise Violation(f"the app closed session {session} by {done}; not over at {last}")
    return number


@final
class _Signs:
    """When sessions are sure to have had a connection, or to have got one later. Their grace counts
    from after that.

    A welcome says so from the dialling on. An event that was applied says so from its sending on,
    unless its node may have lost its lease without knowing it.
    """

    def __init__(self, history: History) -> None:
        self.goodbyes: Final[set[str]] = set()
        self._ops = history.ops
        self._welcomes: defaultdict[str, list[Record]] = defaultdict(list)
        self._stays: defaultdict[str, list[Stay]] = defaultdict(list)
        troubles = Troubles(history)
        for client, records in history.views.items():
            for stay in troubles.stays(client):
                self._stays[stay.session].append(stay)
            last = ""
            for record in records:
                if record["k"] == "welcome":
                    last = record["session"]
                    self._welcomes[last].append(record)
                elif record["k"] == "leaving":
                    self.goodbyes.add(last)

    def node(self, session: str, time: float) -> str:
        """The node that a session was on at a time."""
        found = [stay.node for stay in self._stays[session] if stay.since <= time]
        return found[-1] if found else EVERYBODY

    def ends(self, session: str) -> list[float]:
        """When the connections of a session ended."""
        return [stay.until for stay in self._stays[session]]

    def of_welcomes(self, session: str, timeline: Timeline) -> float:
        """The last of those that this timeline has made."""
        return max(
            (
                float(welcome["since"])
                for welcome in self._welcomes[session]
                if timeline.begins < welcome["since"] and welcome["t"] < timeline.ends
            ),
            default=-math.inf,
        )

    def of_events(self, timeline: Timeline) -> dict[str, float]:
        """The last of each session in a timeline."""
        found: dict[str, float] = {}
        for line in timeline.lines[timeline.kept :]:
            op = self._ops.get(line.get("op", ""))
            if op is not None and op.called > timeline.begins:
                found[line["by"]] = max(op.called, found.get(line["by"], -math.inf))
        return found


@final
class _Trouble:
    """When something was wrong with nodes or Redis: what was done to them, the time before a node
    sent a client away, and when nodes were taken for dead."""

    def __init__(self, history: History) -> None:
        self._all: Final[list[tuple[str, str, float, float]]] = []  # kind, where, from, until
        self._deaths = [one for one in history.of("exit") if one["wanted"] == -9]
        troubles = Troubles(history)
        self._burials = [
            (troubles.name(it["node"]) or it["node"], it["at"]) for it in history.of("buried")
        ]
        for fault in history.of("fault"):
            kind = FAULTS[fault["name"]].kind if fault["name"] in FAULTS else "node"
            where = fault["where"] if kind in ("node", "link", "client") else EVERYBODY
            self._all.append((kind, where, fault["begun"], fault["t"]))
        for client, records in history.views.items():
            stays = list(troubles.stays(client))
            for record in records:
                if record["k"] == "closed" and record["code"] == SENT_AWAY:
                    time = record["t"]
                    node = next((stay.node for stay in stays if stay.until == time), EVERYBODY)
                    self._all.append(("node", node, time - UNAWARE, time))

    def between(self, first: float, last: float, node: str) -> bool:
        """Whether there was any in this time for a node; of all nodes, if it is not known."""
        return any(
            kind != "client"
            and (EVERYBODY in (node, where) or node == where)
            and begun <= last
            and first <= end
            for kind, where, begun, end in self._all
        )

    def any_between(self, first: float, last: float) -> bool:
        """Whether there was any in this time, that of clients included."""
        return any(begun <= last and first <= end for _, _, begun, end in self._all)

    def buried(self, first: float, last: float, node: str) -> bool:
        """Whether a node was taken for dead in this time, or any, if it is not known; by the logs,
        its own or that of who did so."""
        return any(
            node in (EVERYBODY, name) and first <= time <= last + SOON
            for name, time in self._burials
        )

    def lossy(self, first: float, last: float) -> bool:
        """Whether there was any that may lose what Redis had been told, though nothing of the
        ledger."""
        return any(
            kind == "loss" and begun <= last and first <= end for kind, _, begun, end in self._all
        )

    def lease_left(self, sign: float, over: float, node: str, ends: Sequence[float]) -> float:
        """The seconds that a node's lease outlived it, at least, where its death was the end of a
        connection: its grace begins after that."""
        for death in self._deaths:
            time = death["t"]
            if death["node"] == node and sign < time < over:
                last = any(time - 0.05 <= end <= time + 1 for end in ends)
                if last and not self.between(sign - UNAWARE, time - 0.3, node):
                    return LEASE / 2
        return 0.0
