"""What can go wrong for a client: no connection, a lost one, a late reader, an event refused."""

from trio_wss.errors import WssError


class ClientError(WssError):
    """The base of what `trio_wss.client` raises, beside `trio.TooSlowError` for a deadline."""


class ConnectError(ClientError):
    """No connection came about; `status` is the HTTP status if the server answered with one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ConnectionLost(ClientError):
    """The connection is over; `code` and `reason` are those of its Close (RFC 6455 §7.4).

    The outcome of events that were not answered is not known.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"the connection was closed with {code}{f': {reason}' if reason else ''}")
        self.code = code
        self.reason = reason


class FellBehind(ConnectionLost):
    """Events came faster than they were taken until the client's buffer was full."""


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
