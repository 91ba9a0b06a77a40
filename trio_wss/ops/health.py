"""Whether a node lives and takes clients, over plain HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_wss.wire import Head, Response

if TYPE_CHECKING:
    from trio_wss.node.node import Node


def health(node: Node, head: Head) -> Response | None:
    """The answer of `/healthz` and `/readyz`; None for other paths."""
    if head.path == "/healthz":
        return Response(200, b"ok\n")
    if head.path == "/readyz":
        reason = node.unready()
        return Response(503, f"{reason}\n".encode()) if reason else Response(200, b"ready\n")
    return None
