"""trio_wss/ops/health.py: what load balancers ask a node."""

import pytest

from trio_wss.ops.health import health
from trio_wss.wire import Head


@pytest.mark.parametrize(
    ("path", "reason", "status", "body"),
    [
        ("/healthz", "", 200, b"ok\n"),
        ("/healthz", "Redis is away", 200, b"ok\n"),  # a restart would not bring Redis back
        ("/readyz", "", 200, b"ready\n"),
        ("/readyz", "Redis is away", 503, b"Redis is away\n"),
    ],
)
def test_a_node_is_healthy_while_it_answers_and_ready_while_it_takes_clients(
    path: str, reason: str, status: int, body: bytes
) -> None:
    found = health(Head(path), lambda: reason)
    assert found is not None
    assert (found.status, found.body) == (status, body)


@pytest.mark.parametrize("path", ["/", "/healthz/", "/readyz.html", "/HEALTHZ"])
def test_other_paths_are_left_to_others(path: str) -> None:
    assert health(Head(path), lambda: "") is None
