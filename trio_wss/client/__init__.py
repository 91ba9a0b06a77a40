"""A small client for the wire protocol, on Trio: `async with connect(url) as client`."""

from trio_wss.client.connection import Client, Pending
from trio_wss.client.dial import connect
from trio_wss.client.errors import (
    ClientError,
    ConnectError,
    ConnectionLost,
    EventError,
    FellBehind,
)
from trio_wss.client.frames import Answer, Event, Welcome

__all__ = [
    "Answer",
    "Client",
    "ClientError",
    "ConnectError",
    "ConnectionLost",
    "Event",
    "EventError",
    "FellBehind",
    "Pending",
    "Welcome",
    "connect",
]
