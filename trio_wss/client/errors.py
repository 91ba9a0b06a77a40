"""The errors of a client: no connection, a lost one, an unknown outcome, a slow reader, a refused
event.
"""

from __future__ import annotations

from typing import Any

from trio_wss.errors import WssError


class ClientError(WssError):
    """The base of what `trio_wss.client` raises, beside `trio.TooSlowError` for a deadline."""


class ConnectError(ClientError):
    """No connection came about.

    `status` is the HTTP status if the server answered with one, `code` that of its Close if it
    closed before the welcome.
    """

    def __init__(self, message: str, status: int | None = None, code: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class ConnectionLost(ClientError):
    """The connection is over and there will be no other.

    `code` and `reason` are those of its Close (RFC 6455 §7.4); 1006 if there was none. An event
    whose `send` raises exactly this was never sent.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        closed = f"the connection was closed with {code}{f': {reason}' if reason else ''}"
        super().__init__(closed if code else reason)
        self.code = code
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, self.reason)


class OutcomeUnknown(ConnectionLost):
    """An event was sent, its answer did not come, and its session is over: it may or may not have
    been applied. `code` and `reason` are those of the connection that was lost; `code` is 0 if the
    connection lives and the server gave this event no answer.
    """


class FellBehind(ConnectionLost):
    """Events came faster than they were taken until the client's buffer was full."""


class TooLong(ConnectionLost):
    """The server sent a message that is longer than `max_message`."""


class GaveUp(ConnectionLost):
    """No server took the client back, for too long or for good; `status` is the HTTP status if
    one answered so.
    """

    def __init__(self, code: int, reason: str = "", status: int | None = None) -> None:
        super().__init__(code, reason)
        self.status = status

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, self.reason, self.status)


class EventError(ClientError):
    """The server answered an event with `wss.error`.

    `code` says why; `path` where in the event's data, or "". Nothing was applied, except that
    with `unavailable` the outcome is not known.
    """

    def __init__(self, code: str, message: str, path: str = "") -> None:
        place = f" ({path})" if path and path not in message else ""
        super().__init__(f"{code}: {message}{place}")
        self.code = code
        self.message = message
        self.path = path
