"""The log: structlog on stderr, as text for people or as JSON for machines. A reader that stops, or
a full disk, neither ends a node nor holds it up.
"""

from __future__ import annotations

import sys
from typing import TextIO, cast

import structlog
from structlog.typing import Processor

from trio_wss.cli.log_writer import LogWriter

_writer: LogWriter | None = None


def configure(log_format: str) -> None:
    """Set structlog up for this process; `log_format` is `text` or `json`."""
    global _writer
    _writer = LogWriter(sys.stderr.fileno(), _tell)
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
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _writer)),
    )


def forget() -> None:
    """Write the waiting lines, if that takes but a moment, and undo `configure`."""
    global _writer
    if _writer is not None:
        _writer.finish()
    _writer = None


def tell(sentence: str) -> None:
    """Write one sentence on stderr beside the log. Like the log it never waits for a reader."""
    if _writer is None:
        print(sentence, file=sys.stderr, flush=True)
    else:
        _writer.write(f"{sentence}\n")


def _tell(dropped: int) -> None:
    structlog.get_logger().warning(
        "nobody read the log for a while, and lines were dropped", lines=dropped
    )
