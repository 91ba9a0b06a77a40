"""Log warnings that any client can cause: each at most once a minute, with the client's data
escaped and cut, so that nobody can fill the disk or forge a line of the log.
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
    """The time of each warning's last log line. The texts are our own, so they are few."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[str, tuple[float, int]] = {}

    def warning(self, event: str, **values: str) -> None:
        """Log a warning with the number of those left out since the last one, or leave it out."""
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
