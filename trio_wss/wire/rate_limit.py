"""A token bucket that limits the events of a connection. The caller passes the time."""

from __future__ import annotations


class RateLimit:
    """Allow `rate` events per second in the long run, `burst` at once; `rate` 0 sets no limit."""

    __slots__ = ("_burst", "_left", "_rate", "_then")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._then = 0.0

    def take(self, now: float) -> bool:
        """Take one token; return False if there is none."""
        if not self._rate:
            return True
        self._left = min(self._burst, self._left + (now - self._then) * self._rate)
        self._then = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def borrow(self) -> float:
        """Take a token that is not there yet; return the seconds until it is."""
        self._left -= 1
        return -self._left / self._rate
