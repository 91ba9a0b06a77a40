"""A token bucket: how many events a connection may send. Given the time, it does the sum."""

from __future__ import annotations


class RateLimit:
    """`rate` events per second in the long run, `burst` at once; a rate of 0 sets no limit."""

    __slots__ = ("_burst", "_left", "_rate", "_then")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._then = 0.0

    def take(self, now: float) -> bool:
        """Take one token. False: there is none."""
        if not self._rate:
            return True
        self._left = min(self._burst, self._left + (now - self._then) * self._rate)
        self._then = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def borrow(self) -> float:
        """Take a token that is not there yet. Returns the seconds until it is."""
        self._left -= 1
        return -self._left / self._rate
