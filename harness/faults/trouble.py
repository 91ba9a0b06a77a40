"""When something was wrong, and for whom: what was done to the cluster, node by node, and when a
client had a connection that nothing was done to.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, final

from attrs import frozen

from harness.faults.harm import FAULTS
from harness.faults.record import History, Record

Span = tuple[float, float]
EVERYBODY: Final = ""
ENDS: Final = frozenset({"closed", "away", "leaving", "over", "welcome"})


@frozen
class Stay:
    """A connection of a client to a node, from its welcome to its end."""

    node: str
    session: str
    since: float
    until: float


@final
class Troubles:
    """All that was done, as spans of time by the node that it was done to."""

    def __init__(self, history: History) -> None:
        self._spans: defaultdict[str, list[Span]] = defaultdict(list)
        self._fronts: defaultdict[str, list[Span]] = defaultdict(list)  # the way to the clients
        self._names: dict[str, str] = {node["id"]: node["node"] for node in history.of("started")}
        self._slow: defaultdict[str, list[Span]] = defaultdict(list)
        self._history = history
        self._end = max((float(end["t"]) for end in history.of("end")), default=math.inf)
        for fault in history.of("fault"):
            known = FAULTS.get(fault["name"])
            alone = known is not None and known.kind in ("node", "link", "client")
            where = fault["where"] if alone else EVERYBODY
            spans = self._fronts if known is not None and known.kind == "client" else self._spans
            spans[where].append((fault["begun"], fault["t"]))
        for deaf in history.of("deaf"):
            self._spans[deaf["node"]].append((deaf["begun"], deaf["t"]))
        for lost in history.of("unlinked"):
            self._spans[lost["node"]].append((lost["at"], lost["at"]))
        for end in history.of("exit"):
            self._spans[end["node"]].append((end["t"], end["t"]))
        self.done = [*self._done(history)]
        for client, records in history.views.items():
            self._note_slow(client, records)

    def _done(self, history: History) -> Iterator[tuple[str, float, float]]:
        """What the run did to nodes, their links and Redis: where, from when, until when."""
        for fault in history.of("fault"):
            if (known := FAULTS.get(fault["name"])) is None or known.kind != "client":
                alone = known is not None and known.kind in ("node", "link")
                yield fault["where"] if alone else EVERYBODY, fault["begun"], fault["t"]
        for deaf in history.of("deaf"):
            yield deaf["node"], deaf["begun"], deaf["t"]

    def _note_slow(self, client: str, records: Sequence[Record]) -> None:
        since = math.inf
        for record in records:
            if record["k"] == "slow":
                since = record["t"]
            elif record["k"] == "fast":
                self._slow[client].append((since, record["t"] + 5))
                since = math.inf
        if since < math.inf:
            self._slow[client].append((since, math.inf))

    def name(self, node: str) -> str:
        """The name of a node in the run, by its own of one life."""
        return self._names.get(node, EVERYBODY)

    def of(self, node: str) -> list[Span]:
        """What troubled a node, but for the way to its clients."""
        return [*self._spans[EVERYBODY], *self._spans[node]]

    def at(self, node: str, first: float, last: float) -> bool:
        """Whether something was wrong with a node, or its way to Redis, in this time."""
        return any(begun <= last and first <= end for begun, end in self.of(node))

    def anywhere(self, first: float, last: float) -> bool:
        """Whether something was wrong with any node, or its way to Redis, in this time."""
        return any(self.at(node, first, last) for node in [*self._spans])

    def jammed(self, node: str, first: float, last: float) -> bool:
        """Whether something was wrong there, or on the way to its clients."""
        spans = [*self.of(node), *self._fronts[EVERYBODY], *self._fronts[node]]
        return any(begun <= last and first <= end for begun, end in spans)

    def older(self, node: str, first: float, last: float, most: float) -> bool:
        """Whether something was wrong in this time that had begun so long before its end."""
        return any(
            begun <= last - most and first <= end for begun, end in self.of(node) if begun <= last
        )

    def slow(self, client: str, first: float, last: float) -> bool:
        """Whether a client did not take all that it was sent."""
        return any(begun <= last and first <= end for begun, end in self._slow[client])

    def stays(self, client: str) -> Iterator[Stay]:
        """The connections of a client."""
        now: Record | None = None
        for record in self._history.views[client]:
            if record["k"] not in ENDS:
                continue
            if now is not None:
                yield self._stay(now, record["t"])
            now = record if record["k"] == "welcome" else None
        if now is not None:
            yield self._stay(now, math.inf)

    def _stay(self, welcome: Record, until: float) -> Stay:
        name = self.name(welcome["node"])
        return Stay(name, welcome["session"], welcome["t"], min(until, self._end))

    def clear(self, client: str, stay: Stay, least: float) -> Iterator[Span]:
        """The times of a stay, so long at least, in which nothing was wrong for the client."""
        since = stay.since
        fronts = [*self._fronts[EVERYBODY], *self._fronts[stay.node]]
        spans = sorted([*self.of(stay.node), *fronts, *self._slow[client], (stay.until, math.inf)])
        for begun, end in spans:
            if min(begun, stay.until) - since >= least:
                yield since, min(begun, stay.until)
            since = max(since, end)


@final
class Series:
    """A number over time, as it was noted."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._values: list[int] = []

    def add(self, time: float, value: int) -> None:
        self._times.append(time)
        self._values.append(value)

    def at(self, time: float) -> int | None:
        """The last one that was noted by then."""
        place = bisect_right(self._times, time)
        return self._values[place - 1] if place else None

    def between(self, first: float, last: float) -> Iterator[tuple[float, int]]:
        """Those noted after `first` and no later than `last`."""
        for place in range(bisect_right(self._times, first), bisect_right(self._times, last)):
            yield self._times[place], self._values[place]
