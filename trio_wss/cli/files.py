"""How many files this process may open: each connection is one, and what a process is given at
first, its soft limit, is often 1,024, though it may raise that itself up to the hard one.
"""

import resource
from typing import Final

import structlog

SPARE_FILES: Final = 256
"""Files beside the connections': Redis, listeners, the log, the app's own."""


def allow_files(connections: int) -> None:
    """Raise the limit so far that this many connections fit, and say so where they cannot."""
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
