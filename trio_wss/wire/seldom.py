"""Warnings that anybody out there can cause, each said at most once a minute, with what others sent
escaped and cut: nobody fills a disk or forges a line of the log from afar.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, final

import structlog

log = structlog.get_logger(__name__)

REPEAT_PAUSE: Final = 60.0  # seconds
MAX_VALUE: Final = 128  # characters of a value


@final
class Seldom:
    """When each warning was said last. The warnings are texts of ours, so they are few."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[str, tuple[float, int]] = {}

    def warning(self, event: str, **values: str) -> None:
        """Log it, with how often it was left out since the last time; or count it as left out."""
        now = self._clock()
        last, left_out = self._said.get(event, (now - REPEAT_PAUSE, 0))
        if now - last < REPEAT_PAUSE:
            self._said[event] = last, left_out + 1
            return
        self._said[event] = now, 0
        shown = {name: _escaped(value) for name, value in values.items()}
        log.warning(event, **shown, **({"left_out": left_out} if left_out else {}))


def _escaped(text: str) -> str:
    return text[:MAX_VALUE].encode("unicode_escape").decode()[:MAX_VALUE]
