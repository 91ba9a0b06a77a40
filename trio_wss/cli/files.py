"""The limit of open files: each connection is one. A process begins with its soft limit, which is
often 1,024, and may raise that itself up to the hard limit.
"""

from __future__ import annotations

import resource
from typing import Final

import structlog

SPARE_FILES: Final = 256
"""Files beside the connections': Redis, listeners, the log, the app's own."""


def allow_files(connections: int) -> None:
    """Raise the limit until this many connections fit, and log it if they cannot."""
    wanted = connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    reached = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (reached, hard))
    if reached < connections:
        structlog.get_logger().warning(
            "fewer files than connections are allowed",
            files=reached,
            max_connections=connections,
            cure="raise the limit of files (ulimit -n), or lower max_connections",
        )
