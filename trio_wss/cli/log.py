"""How the log looks: structlog on stderr, as text for people or as JSON for machines. That nobody
reads it, or that its disk is full, neither ends a node nor holds it up.
"""

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
    """Write what is left, if that takes but a moment, and be as before `configure`."""
    global _writer
    if _writer is not None:
        _writer.finish()
    _writer = None


def tell(sentence: str) -> None:
    """One sentence on stderr, which is no part of the log. It waits for nobody, as the log."""
    if _writer is None:
        print(sentence, file=sys.stderr, flush=True)
    else:
        _writer.write(f"{sentence}\n")


def _tell(dropped: int) -> None:
    structlog.get_logger().warning(
        "nobody read the log for a while, and lines were dropped", lines=dropped
    )
