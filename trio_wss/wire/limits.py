"""The limits of one connection: all bounds and deadlines of the wire, in one frozen record."""

from __future__ import annotations

from typing import Final

from attrs import field, frozen
from attrs.validators import gt

from trio_wss.settings import Settings

_SETTINGS: Final = Settings()
"""The defaults of the limits that can be set."""


@frozen(kw_only=True)
class WireLimits:
    """Bounds in bytes, deadlines in seconds. Five of them can be set: see Settings."""

    head_bytes: int = field(default=16 * 1024, validator=gt(0))
    """The longest request head."""

    handshake_seconds: float = field(default=_SETTINGS.handshake_timeout, validator=gt(0))
    """Time for the request head and for admitting the client."""

    message_bytes: int = field(default=_SETTINGS.max_message, validator=gt(0))
    """The longest message from a client; a longer one closes the connection with 1009."""

    fragments: int = field(default=65536, validator=gt(0))
    """The most fragments of one message; more of them close the connection with 1009."""

    outbox_bytes: int = field(default=_SETTINGS.outbox, validator=gt(0))
    """The most bytes that may wait for a slow client; beyond them the client gets 1013."""

    stall_seconds: float = field(default=20.0, validator=gt(0))
    """The longest time in which a client may take nothing while bytes wait for it."""

    close_seconds: float = field(default=5.0, validator=gt(0))
    """Time from the queuing of a Close until the socket is closed, whatever the peer does."""

    ping_seconds: float = field(default=_SETTINGS.ping_interval, validator=gt(0))
    """A silent peer is pinged before this time is over, but not before four fifths of it."""

    pong_seconds: float = field(default=_SETTINGS.ping_timeout, validator=gt(0))
    """A peer that is silent for this time after a ping is given up (at most 2 % of `ping_seconds`
    later)."""

    @classmethod
    def of(cls, settings: Settings) -> WireLimits:
        """Return the limits of a node with these settings."""
        return cls(
            handshake_seconds=settings.handshake_timeout,
            message_bytes=settings.max_message,
            outbox_bytes=settings.outbox,
            ping_seconds=settings.ping_interval,
            pong_seconds=settings.ping_timeout,
        )
