"""Decide whether and when to connect again: by the code of a Close and the wait in its reason, else
after a random back-off. Pure: nothing here waits.
"""

from __future__ import annotations

import math
import random
from typing import Final

import orjson

from trio_wss.client.errors import ConnectError, ConnectionLost, TooLong

VANISHED: Final = 1006
"""There was no Close (RFC 6455 §7.1.5)."""

COME_BACK: Final = frozenset({1001, 1005, 1006, 1011, 1012, 1013, 1014})
"""Codes that do not blame this client (RFC 6455 §7.4.1 and its registry). After any other code, a
handler's own included, another connection would be wrong or in vain."""

UNAVAILABLE: Final = (0.2, 5.0)
"""Seconds until an event that was `unavailable` is sent again: the first wait and the longest."""

MAX_HINT: Final = 60.0
"""The most seconds that a server may make us wait; a longer wait is cut."""


def is_too_big(loss: ConnectionLost) -> bool:
    """Return True if a message of ours was over the server's limit (RFC 6455 §7.4.1)."""
    return loss.code == 1009 and not isinstance(loss, TooLong)


def comes_back(loss: ConnectionLost) -> bool:
    """Return True to connect again after a connection that had its welcome. That includes a message
    that was too big: it is not sent again. (Before the welcome it would be our first frame, which
    never changes.)
    """
    return loss.code in COME_BACK or is_too_big(loss)


def is_final(error: ConnectError) -> bool:
    """Return True if another try is in vain: the server has refused this client."""
    if error.code is not None:
        return error.code not in COME_BACK
    return error.status in (401, 403)


def read_reason(text: str) -> tuple[str, float | None]:
    """Parse a Close's reason; return its text for people, and the seconds to wait, if it has them.

    A server that sends clients away writes `{"retry": 1.7, "why": "…"}`; any other reason is text.
    """
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text, None
    if not isinstance(found, dict):
        return text, None
    why, retry = found.get("why", text), found.get("retry")
    wait = None
    if isinstance(retry, int | float) and not isinstance(retry, bool) and retry >= 0:
        wait = min(float(retry), MAX_HINT)
    return why if isinstance(why, str) else text, wait


def retry_delay(tries: int) -> float:
    """Return the seconds until an event that was `unavailable` `tries` times (at least once) is
    sent again."""
    first, most = UNAVAILABLE
    bound = min(most, math.ldexp(first, min(tries - 1, 64)))
    return random.uniform(bound / 2, bound)


class BackOff:
    """The wait before each try: random, up to a bound that doubles from try to try."""

    def __init__(self, first: float, most: float) -> None:
        """`first` and `most` bound the first wait, and every wait, in seconds."""
        self._first = first
        self._most = most
        self._tries = 0

    @property
    def bound(self) -> float:
        """The longest that the next wait can be."""
        return min(self._most, math.ldexp(self._first, min(self._tries, 64)))

    def next(self) -> float:
        """Return the time to wait now, in seconds."""
        wait = random.uniform(0, self.bound)
        self._tries += 1
        return wait

    def connection_lasted(self, seconds: float) -> None:
        """Start again at the first wait, unless the connection was shorter than the next wait."""
        if seconds >= self.bound:
            self._tries = 0
