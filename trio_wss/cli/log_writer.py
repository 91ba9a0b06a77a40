"""A thread of its own writes the lines of the log, so that a reader that is slow, or has stopped
reading, holds up no node. It drops lines that do not fit, counts them, and reports the number when
there is room.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, final

MAX_WAITING: Final = 1 << 20
"""The most bytes that wait for the reader."""

LAST_WORDS: Final = 1.0
"""The seconds for the waiting lines when the process ends."""


@final
class LogWriter:
    """Writes to a file descriptor. structlog's `WriteLogger` takes it as a file."""

    def __init__(
        self, descriptor: int, told: Callable[[int], None], most: int = MAX_WAITING
    ) -> None:
        """`told` is called with the number of lines that were dropped, once there is room again,
        in the thread that writes: it may write a line.
        """
        self._descriptor = descriptor
        self._told = told
        self._most = most
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def write(self, text: str) -> int:
        """Queue a line, or drop it if too much waits already. Never waits."""
        line = text.encode(errors="backslashreplace")
        with self._changed:
            if self._size and self._size + len(line) > self._most:
                self._dropped += 1
                return len(text)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
                atexit.register(self.finish)
            self._lines.append(line)
            self._size += len(line)
            self._changed.notify_all()
        return len(text)

    def flush(self) -> None:
        """Do nothing: structlog calls it, and all lines are on their way already."""

    def finish(self, patience: float = LAST_WORDS) -> None:
        """Wait until all lines are written, at most `patience` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._lines, patience)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines)
                line = self._lines[0]  # it counts until it is written
            self._put(line)
            with self._changed:
                dropped = self._dropped if self._size - len(line) <= self._most // 2 else 0
                self._dropped -= dropped
            if dropped:
                self._told(dropped)
            with self._changed:
                self._lines.popleft()
                self._size -= len(line)
                self._changed.notify_all()

    def _put(self, line: bytes) -> None:
        left = memoryview(line)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except (
            BrokenPipeError
        ):  # for good: whatever else is written there shall not fail at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._descriptor)
        except OSError:  # a full disk, say: it may have room again
            pass
