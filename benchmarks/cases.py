"""All cases: every shape with its numbers, in the order of the report. Pure."""

from __future__ import annotations

from typing import Final

from benchmarks.case import FAST, THROUGHPUT, TOO_LONG, Case

EVENTS: Final = [
    Case(
        name="events",
        title="Events: 10 members in one room, 80 in flight",
        unit="event",
        units="events",
        options={"members": 10, "in_flight": 80},
    )
]

FANOUT: Final = [
    Case(
        name="fanout-500",
        title="Fan-out: a room of 500, 80 events in flight",
        unit="delivery",
        units="deliveries",
        options={"members": 500, "in_flight": 80},
        smoke={"members": 50},
        columns=THROUGHPUT,
    ),
    Case(
        name="fanout-5000",
        title="Fan-out: a room of 5,000, 16 events in flight",
        unit="delivery",
        units="deliveries",
        options={"members": 5000, "in_flight": 16},
        smoke={"members": 100},
        rounds=2,
        columns=THROUGHPUT,
        extra=5.0,
    ),
    Case(
        name="fanout-single",
        title="Fan-out: a room of 500, one event at a time",
        rounds=2,
        peers=FAST,
        absent=TOO_LONG,
        unit="delivery",
        units="deliveries",
        options={"members": 500, "in_flight": 1},
        smoke={"members": 50},
        columns=THROUGHPUT,
    ),
]

ROOMS: Final = [
    Case(
        name="rooms",
        title="Many rooms: 1,000 rooms of 5, 80 events in flight",
        unit="event",
        units="events",
        options={"rooms": 1000, "members": 5, "in_flight": 80},
        smoke={"rooms": 20, "in_flight": 20},
        rounds=2,
        extra=3.0,
    )
]

PACED: Final = [
    Case(
        name="paced",
        title="Paced: 500 events/s to a room of 10",
        unit="event",
        units="events",
        options={"members": 10, "rate": 500},
        seconds=6,
        rounds=2,
        headline="p99_ms",
        columns=(
            "p50_ms",
            "p99_ms",
            "p999_ms",
            "reply_p50_ms",
            "reply_p99_ms",
            "cpu_us",
            "disorder",
        ),
    )
]

STATEFUL: Final = ("ours", "ws", "picows", "websockets")
STATELESS: Final = {
    "socketio": "it has no state of its own; what its user writes is the code of ws",
    "channels": "it has no state of its own; its user's is in Django's database",
    "coredis": "what its user writes is the code of picows and websockets",
}

RMW: Final = [
    Case(
        name="rmw-1",
        title="Read-modify-write: one key, 80 clients",
        unit="commit",
        units="commits",
        options={"clients": 80, "accounts": 1},
        peers=STATEFUL,
        absent=STATELESS,
        columns=THROUGHPUT,
    ),
    Case(
        name="rmw-1000",
        title="Read-modify-write: a thousand keys, 80 clients",
        unit="commit",
        units="commits",
        options={"clients": 80, "accounts": 1000},
        peers=STATEFUL,
        absent=STATELESS,
        columns=THROUGHPUT,
    ),
]

LARGE: Final = [
    Case(
        name="large-64k",
        title="Large messages: 64 KB to a room of 10, 8 in flight",
        unit="delivery",
        units="deliveries",
        options={"members": 10, "in_flight": 8, "size": 65_536},
        smoke={"members": 4},
        rounds=2,
        columns=THROUGHPUT,
    ),
    Case(
        name="large-1m",
        title="Large messages: 1 MB to a room of 10, one at a time",
        unit="delivery",
        units="deliveries",
        options={"members": 10, "in_flight": 1, "size": 1_000_000},
        smoke={"members": 4, "size": 500_000},
        rounds=2,
        columns=THROUGHPUT,
    ),
]

SLOW: Final = [
    Case(
        name="slow",
        title="Slow consumers: 3 of 30 do not read, 200 events/s of 8 KB",
        unit="event",
        units="events",
        options={"members": 27, "slow": 3, "rate": 200, "size": 8192},
        smoke={"members": 9, "slow": 1},
        seconds=12,
        headline="p99_ms",
        rounds=1,
        columns=("alone_p99_ms", "p50_ms", "p99_ms", "p999_ms", "cpu_us", "memory_mb", "closed"),
    )
]

IDLE: Final = [
    Case(
        name="idle",
        title="Idle: 10,000 connections",
        unit="connection and second",
        units="connection seconds",
        options={"clients": 10_000, "rooms": 1000, "settle": 3.0},
        smoke={"clients": 200, "rooms": 20, "settle": 0.1},
        seconds=20,
        rounds=1,
        headline="memory_kb",
        columns=("memory_kb", "busy_percent", "cpu_us"),
        extra=10.0,
    )
]

CONNECT: Final = [
    Case(
        name="handshakes",
        title="Connect: 5,000 clients get into their rooms, 64 at a time",
        unit="handshake",
        units="handshakes",
        options={"clients": 5000, "rooms": 100, "again": False},
        smoke={"clients": 100, "rooms": 5},
        rounds=2,
        columns=THROUGHPUT,
        extra=5.0,
    ),
    Case(
        name="reconnect",
        title="Connect: 5,000 clients come back at once",
        unit="return",
        units="returns",
        options={"clients": 5000, "rooms": 100, "again": True},
        smoke={"clients": 100, "rooms": 5},
        rounds=1,
        columns=("cpu_us", "per_s", "p50_ms", "p99_ms", "all_s", "redis_us", "caught_up"),
        extra=12.0,
    ),
]

GROWING: Final = ("ours", "ws", "picows")
LEFT_OUT: Final = {"socketio": TOO_LONG["channels"], **TOO_LONG}

GROWTH: Final = [
    Case(
        name=f"nodes-{nodes}",
        title=f"Growth: 10 members in one room on {nodes} node{'s'[: nodes > 1]}, 80 in flight",
        unit="event",
        units="events",
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
        units="deliveries",
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

CASES: Final[dict[str, list[Case]]] = {
    "events": EVENTS,
    "fanout": FANOUT,
    "rooms": ROOMS,
    "paced": PACED,
    "rmw": RMW,
    "large": LARGE,
    "slow": SLOW,
    "idle": IDLE,
    "connect": CONNECT,
    "growth": GROWTH,
}
"""By the name of the shape's module."""
