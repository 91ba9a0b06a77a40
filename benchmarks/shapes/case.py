"""A case: one shape with its numbers, as a table of the report shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import Factory, frozen

EVERYONE = ("ours", "ws", "socketio", "websockets", "picows", "channels", "coredis")
FEW = ("ours", "ws")


@frozen(kw_only=True)
class Case:
    """What is run against each peer, and how to show what it gave."""

    name: str
    title: str
    unit: str
    """What the CPU is divided by: event, delivery, handshake, …"""
    options: Mapping[str, Any] = Factory(dict)
    smoke: Mapping[str, Any] = Factory(dict)
    """Options that make it small."""
    nodes: int = 2
    peers: tuple[str, ...] = EVERYONE
    seconds: float | None = None
    """Its own time to measure, where a few seconds are not enough."""
