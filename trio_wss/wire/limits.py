"""What one connection may cost: every bound and every deadline of the wire in one frozen record."""

from __future__ import annotations

from typing import Final

from attrs import field, frozen
from attrs.validators import gt

from trio_wss.settings import Settings

_SETTINGS: Final = Settings()
"""Whose defaults are those of the limits that can be set."""


@frozen(kw_only=True)
class WireLimits:
    """Bounds in bytes, deadlines in seconds. Five of them can be set: see Settings."""

    head_bytes: int = field(default=16 * 1024, validator=gt(0))
    """The longest request head."""

    handshake_seconds: float = field(default=_SETTINGS.handshake_timeout, validator=gt(0))
    """For the request head and for admitting the client."""

    message_bytes: int = field(default=_SETTINGS.max_message, validator=gt(0))
    """The longest message from a client; a longer one closes with 1009."""

    fragments: int = field(default=65536, validator=gt(0))
    """The most fragments of one message; more of them close with 1009."""

    outbox_bytes: int = field(default=_SETTINGS.outbox, validator=gt(0))
    """What may wait for a client that reads slowly; beyond it the client gets 1013."""

    stall_seconds: float = field(default=20.0, validator=gt(0))
    """How long a client may take nothing at all while something waits for it."""

    close_seconds: float = field(default=5.0, validator=gt(0))
    """From the moment a Close is queued until the socket is closed whatever the peer does."""

    ping_seconds: float = field(default=_SETTINGS.ping_interval, validator=gt(0))
    """A peer is sent a ping before it has been silent for so long, after four fifths at least."""

    pong_seconds: float = field(default=_SETTINGS.ping_timeout, validator=gt(0))
    """A peer that is silent for so long after a ping is gone (at most 2 % of the above later)."""

    @classmethod
    def of(cls, settings: Settings) -> WireLimits:
        """Those of a node."""
        return cls(
            handshake_seconds=settings.handshake_timeout,
            message_bytes=settings.max_message,
            outbox_bytes=settings.outbox,
            ping_seconds=settings.ping_interval,
            pong_seconds=settings.ping_timeout,
        )
