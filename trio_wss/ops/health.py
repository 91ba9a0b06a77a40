"""Tells over plain HTTP whether a node lives, and whether it takes clients."""

from __future__ import annotations

from collections.abc import Callable

from trio_wss.wire import Head, Response


def health(head: Head, unready: Callable[[], str]) -> Response | None:
    """Return the answer to `/healthz` or `/readyz`; None for other paths. `unready` returns why no
    client should come now; empty: the node is ready.
    """
    if head.path == "/healthz":
        return Response(200, b"ok\n")
    if head.path == "/readyz":
        reason = unready()
        return Response(503, f"{reason}\n".encode()) if reason else Response(200, b"ready\n")
    return None
