"""A WebSocket server for many nodes: handlers return effects, and all effects of an event are one
atomic commit in Redis. This module only re-exports the public names."""

from trio_wss.app import App, Identity, Request
from trio_wss.converting import converter
from trio_wss.effects import (
    Add,
    Append,
    Broadcast,
    Close,
    Delete,
    Drop,
    Effect,
    Effects,
    Increment,
    Join,
    Leave,
    Put,
    Remove,
    Reply,
    Result,
    Store,
)
from trio_wss.errors import (
    Invalid,
    PlanError,
    Refused,
    RegistrationError,
    SettingsError,
    Unavailable,
    WssError,
)
from trio_wss.reads import Client, Member, Members, Now, Read, Rng

__all__ = [
    "Add",
    "App",
    "Append",
    "Broadcast",
    "Client",
    "Close",
    "Delete",
    "Drop",
    "Effect",
    "Effects",
    "Identity",
    "Increment",
    "Invalid",
    "Join",
    "Leave",
    "Member",
    "Members",
    "Now",
    "PlanError",
    "Put",
    "Read",
    "Refused",
    "RegistrationError",
    "Remove",
    "Reply",
    "Request",
    "Result",
    "Rng",
    "SettingsError",
    "Store",
    "Unavailable",
    "WssError",
    "converter",
]
