"""What a run has shown, as a table for people and for docs/deployment.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.faults.judge import Verdict
from harness.faults.record import History
from harness.swarm.acts import Act
from harness.swarm.silence import heard, longest

STAYERS = ("worker", "listener")
"""Clients that stay connected of their own accord: movers and visitors come and go."""


def table(history: History, acts: Sequence[Act]) -> Iterator[str]:
    """The acts: how long until all was whole again, and the longest silence that a client saw."""
    times = heard(history, STAYERS)
    for record in history.of("deployed"):
        yield f"From `docker stack deploy` to three healthy nodes: {record['seconds']:.1f} s."
        yield ""
    yield "| what was done | until it was whole again | longest silence of a client |"
    yield "|---|---|---|"
    for act in acts:
        silence = longest(times, act.begun, act.ended)
        healing = act.healed - act.begun
        yield f"| {act.name} | {act.found}: {healing:.1f} s | {silence.seconds:.1f} s |"


def spread(history: History, until: float) -> int:
    """On how many nodes clients were at first."""
    return len(
        {
            record["node"]
            for records in history.views.values()
            for record in records
            if record["k"] == "welcome" and record["t"] < until
        }
    )


def write(verdict: Verdict, acts: Sequence[Act]) -> str:
    """The whole report."""
    history = verdict.history
    lines = [*table(history, acts), ""]
    if acts:
        lines += [f"At first clients were on {spread(history, acts[0].ended)} nodes.", ""]
    lines += [f"- {finding}" for finding in verdict.findings]
    return "\n".join(lines) + "\n"
