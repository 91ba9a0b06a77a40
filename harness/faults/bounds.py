"""What Redis holds is bounded: streams by their history, rings by their slots, and both by time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import redis

from harness.faults.ledger import app
from harness.faults.record import History
from harness.faults.world import Timeline
from tests.support.histories import Violation

RING: Final = 64  # answers of a session
MARGIN: Final = 86_400_000 + 1000  # milliseconds that a topic's place outlives its stream, and some


def measure(client: redis.Redis, prefix: str) -> Mapping[str, Any]:
    """What is there under a prefix, in a few numbers."""

    def keys(kind: str) -> list[bytes]:
        return [*client.scan_iter(f"{prefix}{kind}:*".encode(), count=1000)]

    streams, metas, rings = keys("h"), keys("t"), keys("r")
    slots = [sum(field[:1] == b"r" for field in client.hkeys(key)) for key in rings]
    return {
        "longest": max((client.xlen(key) for key in streams), default=0),
        "streams": [client.pttl(key) for key in streams],
        "metas": [client.pttl(key) for key in metas],
        "slots": max(slots, default=0),
        # That of a node that was buried stays for a day.
        "rings": sum(client.pttl(key) == -1 for key in rings),
        "owners": len(keys("s")) + len(keys("n")),
        "nodes": len(keys("n")),
    }


def check_bounds(history: History, _: Sequence[Timeline]) -> str:
    """Nothing in Redis grows without end."""
    most, seconds = app.history("room:tea")
    for held in history.of("held"):
        if held["longest"] > most:
            raise Violation(f"a stream of {held['longest']} entries at {held['t']}")
        if held["slots"] > RING:
            raise Violation(f"a ring of {held['slots']} answers at {held['t']}")
        if any(not -2 <= ttl <= seconds * 1000 or ttl == -1 for ttl in held["streams"]):
            raise Violation(f"streams that live {held['streams']} at {held['t']}")
        if any(ttl == -1 or ttl > seconds * 1000 + MARGIN for ttl in held["metas"]):
            raise Violation(f"topics that live {held['metas']} at {held['t']}")
        if held["rings"] > held["owners"]:
            raise Violation(f"{held['rings']} rings of {held['owners']} owners at {held['t']}")
        if held["nodes"] > held["living"]:
            raise Violation(f"{held['nodes']} nodes have a record, {held['living']} live")
    longest = max((held["longest"] for held in history.of("held")), default=0)
    return f"streams of {longest} entries at most"
