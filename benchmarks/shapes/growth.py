"""Growth: what one event costs with one, two and four nodes, all on the same core; and what one
delivery costs in a room of ten to ten thousand. What grows well stays flat.
"""

from __future__ import annotations

from typing import Any, Final

from benchmarks.figures import Figures
from benchmarks.loading import Load
from benchmarks.shapes import events, fanout
from benchmarks.shapes.case import THROUGHPUT, TOO_LONG, Case

GROWING: Final = ("ours", "ws", "picows")
LEFT_OUT: Final = {"socketio": TOO_LONG["channels"], **TOO_LONG}

RUNS: Final = {"events": events.run, "fanout": fanout.run}

CASES: Final = [
    Case(
        name=f"nodes-{nodes}",
        title=f"Growth: 10 members in one room on {nodes} node{'s'[: nodes > 1]}, 80 in flight",
        unit="event",
        options={"shape": "events", "members": 10, "in_flight": 80},
        nodes=nodes,
        rounds=2,
        peers=GROWING,
        absent=LEFT_OUT,
        columns=THROUGHPUT,
    )
    for nodes in (1, 2, 4)
] + [
    Case(
        name=f"members-{members}",
        title=f"Growth: a room of {members:,} on 2 nodes, 16 events in flight",
        unit="delivery",
        options={"shape": "fanout", "members": members, "in_flight": 16},
        smoke={"members": min(members, 50)},
        rounds=2,
        peers=GROWING,
        absent=LEFT_OUT,
        columns=THROUGHPUT,
        extra=members / 1500,
    )
    for members in (10, 100, 1000, 10_000)
]


async def run(load: Load, *, shape: str, **options: Any) -> Figures:
    return await RUNS[shape](load, **options)
