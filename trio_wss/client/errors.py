"""The errors of a client: no connection, a lost one, an unknown outcome, a slow reader, a refused
event.
"""

from __future__ import annotations

from typing import Any

from trio_wss.errors import WssError


class ClientError(WssError):
    """The base of the errors of `trio_wss.client`, except `trio.TooSlowError` for a deadline."""


class ConnectError(ClientError):
    """No connection could be made.

    `status` is the HTTP status if the server answered with one; `code` is that of its Close if it
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
    """An event was sent and its answer did not come: it may or may not have been applied. Either
    its session is over, and `code` and `reason` are those of the lost connection; or the connection
    lives and the server gave no answer, and `code` is 0.
    """


class FellBehind(ConnectionLost):
    """Events came faster than the app took them, until the client's buffer was full."""


class TooLong(ConnectionLost):
    """The server sent a message that is longer than `max_message`."""


class GaveUp(ConnectionLost):
    """No server accepted the client again within `give_up`, or one refused it for good. `status` is
    the HTTP status if a server answered with one.
    """

    def __init__(self, code: int, reason: str = "", status: int | None = None) -> None:
        super().__init__(code, reason)
        self.status = status

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, self.reason, self.status)


class EventError(ClientError):
    """The server answered an event with `wss.error`.

    `code` is the kind of error; `path` is the place in the event's data, or "". Nothing was
    applied, except that with `unavailable` the outcome is not known.
    """

    def __init__(self, code: str, message: str, path: str = "") -> None:
        place = f" ({path})" if path and path not in message else ""
        super().__init__(f"{code}: {message}{place}")
        self.code = code
        self.message = message
        self.path = path
