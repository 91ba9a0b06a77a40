"""What a client tells of its connection, beside the frames that come over it; and what it takes to
go on with a session elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

Place = tuple[str, int]
"""The last broadcast seen of a topic: its epoch and offset."""


@frozen
class Connected:
    """A node has taken the client. `resumed`: the session goes on; otherwise it is a new one, and
    what the app knew of its topics is out of date.
    """

    resumed: bool
    session: str
    node: str


@frozen
class Disconnected:
    """The connection is over, or a try to get another has failed.

    `code` is that of the Close (RFC 6455 §7.4), 1006 if there was none. `wait` is the time in
    seconds until the next try; None: there will be none.
    """

    code: int
    reason: str
    wait: float | None


State = Connected | Disconnected


@frozen
class Ticket:
    """What it takes to resume a session: its secret token, where the client was in each topic, the
    highest id that it used, and the number of its last attempt to resume it.
    """

    token: str = field(repr=False)
    topics: Mapping[str, Place]
    last: int = 0
    attempt: int = 0
