"""How long clients heard nothing: pure, over what was recorded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from attrs import frozen

from harness.faults.record import History

HEARING: Final = frozenset({"said", "joined", "welcome"})
"""What a client is sent of its own accord; answers are beside it."""


@frozen
class Silence:
    """A client's longest wait for a sign of the server, and when it began."""

    seconds: float = 0.0
    client: str = ""
    since: float = 0.0


def heard(history: History, kinds: Iterable[str]) -> dict[str, list[float]]:
    """When each client heard something, for clients of these kinds (the beginnings of names)."""
    beginnings = tuple(kinds)
    times: defaultdict[str, list[float]] = defaultdict(list)
    for client, records in history.views.items():
        times[client] += [record["t"] for record in records if record["k"] in HEARING]
    for op in history.ops.values():
        if op.done is not None and op.how not in ("lost", "posted"):
            times[op.client].append(op.done)
    return {client: sorted(at) for client, at in times.items() if client.startswith(beginnings)}


def longest(times: dict[str, list[float]], begin: float, end: float) -> Silence:
    """The longest silence of all that began before `end` and ended after `begin`. One that has
    no end is taken to last until `end`.
    """
    worst = Silence()
    for client, at in times.items():
        for since, until in pairwise([*at, max([end, *at[-1:]])]):
            if since < end and until > begin and until - since > worst.seconds:
                worst = Silence(round(until - since, 3), client, since)
    return worst
