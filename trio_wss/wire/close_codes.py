"""The close codes that a node sends or reports, each with its meaning and its source."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class CloseCode(IntEnum):
    """Codes up to 1011 are from RFC 6455 §7.4.1, later ones from IANA's registry, and our own from
    docs/protocol.md.

    A handler's `Close` takes 1000, 1008 and any of 4000 to 4999.
    """

    NORMAL = 1000
    """Either side is done (RFC 6455 §7.4.1)."""
    GOING_AWAY = 1001
    """The server gives the connection up after a fault (RFC 6455 §7.4.1)."""
    PROTOCOL_ERROR = 1002
    """The client broke the WebSocket protocol (RFC 6455 §7.4.1)."""
    NO_CODE = 1005
    """A Close came without a code; it describes and is never sent (RFC 6455 §7.4.1)."""
    ABNORMAL = 1006
    """The connection ended without a Close; it is never sent (RFC 6455 §7.4.1)."""
    INVALID_TEXT = 1007
    """The client sent text that is not UTF-8 (RFC 6455 §7.4.1)."""
    POLICY = 1008
    """A handler closed the connection (RFC 6455 §7.4.1)."""
    TOO_BIG = 1009
    """A message was over the limit, or in too many fragments (RFC 6455 §7.4.1)."""
    INTERNAL_ERROR = 1011
    """on_connect failed (RFC 6455 §7.4.1)."""
    RESTART = 1012
    """The client should come back, to any node (IANA: Service Restart)."""
    AGAIN_LATER = 1013
    """The client fell behind, or its session cannot begin or be resumed now (IANA: Try Again
    Later)."""
    TLS_FAILED = 1015
    """The TLS handshake failed; it is never sent (RFC 6455 §7.4.1)."""
    REFUSED = 4403
    """The app's on_connect refused the connection (docs/protocol.md)."""
    REPLACED = 4409
    """The session is on another connection; do not come back (docs/protocol.md)."""


NEVER_SENT: Final = frozenset((CloseCode.NO_CODE, CloseCode.ABNORMAL, CloseCode.TLS_FAILED))
"""Codes that only describe an end and are never sent (RFC 6455 §7.4.1)."""
