"""A case: one shape with its numbers, as a table of the report shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import Factory, frozen

EVERYONE: Final = ("ours", "ws", "socketio", "picows", "websockets", "channels", "coredis")
FAST: Final = ("ours", "ws", "socketio", "picows")

COST: Final = ("cpu_us", "per_s", "p50_ms", "p99_ms", "redis_us", "server_busy", "disorder")
THROUGHPUT: Final = ("cpu_us", "per_s", "p50_ms", "p99_ms", "redis_us", "server_busy")

TOO_LONG: Final = dict.fromkeys(
    ("websockets", "channels", "coredis"),
    "left out to keep the run short; fan-out and events show what it costs",
)


@frozen(kw_only=True)
class Case:
    """What is run against each peer, and how to show what it gave."""

    name: str
    title: str
    unit: str
    """What the CPU is divided by: event, delivery, handshake, …"""
    units: str
    """More than one of it."""
    options: Mapping[str, Any] = Factory(dict)
    smoke: Mapping[str, Any] = Factory(dict)
    """Options that make it small."""
    nodes: int = 2
    peers: tuple[str, ...] = EVERYONE
    absent: Mapping[str, str] = Factory(dict)
    """Why a peer is not among `peers`, by its name."""
    headline: str = "cpu_us"
    """The figure that counts most."""
    columns: tuple[str, ...] = COST
    """The figures that the report shows."""
    seconds: float | None = None
    """Its own time to measure, where a few seconds are not enough."""
    rounds: int | None = None
    """At most so many, where one takes long."""
    extra: float = 0.0
    """Seconds that one turn needs beside that, more than usual: to get its clients in, …"""
