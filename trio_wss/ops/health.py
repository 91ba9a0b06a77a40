"""Whether a node lives and takes clients, over plain HTTP."""

from __future__ import annotations

from collections.abc import Callable

from trio_wss.wire import Head, Response


def health(head: Head, unready: Callable[[], str]) -> Response | None:
    """The answer of `/healthz` and `/readyz`; None for other paths. `unready` says why no client
    should come now; empty: it is ready.
    """
    if head.path == "/healthz":
        return Response(200, b"ok\n")
    if head.path == "/readyz":
        reason = unready()
        return Response(503, f"{reason}\n".encode()) if reason else Response(200, b"ready\n")
    return None
