"""A client for the wire protocol, on Trio, that outlives its connections:
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
from trio_wss.client.frames import Answer, Event, Welcome
from trio_wss.client.pending import Pending
from trio_wss.client.states import Connected, Disconnected, State, Ticket

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
