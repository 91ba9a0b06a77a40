"""How the log looks: structlog on stderr, as text for people or as JSON for machines. That nobody
reads it any more, or that its disk is full, ends no node.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO, cast

import structlog
from structlog.typing import Processor


def configure(log_format: str) -> None:
    """Set structlog up for this process; `log_format` is `text` or `json`."""
    renderers: list[Processor]
    if log_format == "json":
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        renderers = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, Patient(sys.stderr))),
    )


class Patient:
    """A stream, but for its errors."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write it, if that can be."""
        with self._patience():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream, if that can be."""
        with self._patience():
            self._stream.flush()

    @contextmanager
    def _patience(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:  # for good: and what is in its buffer must not fail at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        except OSError:  # a full disk, say: it may have room again
            pass
