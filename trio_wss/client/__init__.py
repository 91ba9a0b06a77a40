"""A Trio client for the wire protocol; it outlives its connections:
`async with connect(url) as client`.
"""

from trio_wss.client.client import Client, connect
from trio_wss.client.errors import (
    ClientError,
    ConnectError,
    ConnectionLost,
    EventError,
    FellBehind,
    GaveUp,
    OutcomeUnknown,
    TooLong,
)
from trio_wss.client.frames import Answer, Event, Ticket, Welcome
from trio_wss.client.inbox import Connected, Disconnected, State
from trio_wss.client.pending import Pending

__all__ = [
    "Answer",
    "Client",
    "ClientError",
    "ConnectError",
    "Connected",
    "ConnectionLost",
    "Disconnected",
    "Event",
    "EventError",
    "FellBehind",
    "GaveUp",
    "OutcomeUnknown",
    "Pending",
    "State",
    "Ticket",
    "TooLong",
    "Welcome",
    "connect",
]
