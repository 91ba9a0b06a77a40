"""The demo on several nodes, of which its page can kill one: `trio-wss demo`. A kill is a broadcast
like any other; the process that started the nodes hears it, and reports which are up.
"""

from __future__ import annotations

import hmac
import os
from typing import Annotated, Final

from attrs import frozen

from trio_wss import Broadcast, Client, Effects, Identity, Join, Put, Read, Refused, Reply, Request
from trio_wss.demo import app as app

NODE_VARIABLE: Final = "TRIO_WSS_DEMO_NODE"
KEY_VARIABLE: Final = "TRIO_WSS_DEMO_KEY"
STARTER: Final = "starter"
"""The user name of the process that started the nodes."""

NODE: Final = os.environ.get(NODE_VARIABLE, "")
"""This node's name for people, the only difference between the nodes."""


@app.authenticate
def who(request: Request) -> Identity | None:
    """Identify the process that has the key; everybody else is anonymous."""
    key = os.environ.get(KEY_VARIABLE, "")
    given = request.headers.get("authorization", "")
    is_starter = key and hmac.compare_digest(given.encode(), key.encode())
    return Identity(STARTER) if is_starter else None


@app.on("cluster")
def cluster(nodes: Annotated[dict[str, bool], Read("cluster")]) -> Effects:
    """Tell which node this is and which others there are, and from now on every change of them."""
    return [Join("cluster"), Reply("cluster", {"here": NODE, "nodes": nodes})]


@frozen
class Kill:
    node: str


@app.on("kill")
def kill(
    event: Kill, client: Client, nodes: Annotated[dict[str, bool], Read("cluster")]
) -> Effects:
    """Have a node killed, unless it is the last one."""
    if not nodes.get(event.node):
        raise Refused("not_up", f"Node {event.node} is not up.")
    if sum(nodes.values()) == 1:
        raise Refused("last_one", "That would be the last node: wait until another is up again.")
    return [
        Put("cluster", event.node, False),
        Broadcast("cluster", "kill", {"node": event.node, "by": client.session}),
    ]


@frozen
class Report:
    node: str
    up: bool


@app.on("report")
def report(event: Report, client: Client) -> Effects:
    """Store that a node is up or down."""
    if client.user != STARTER:
        raise Refused("forbidden", "Only the process that started the nodes knows.")
    return [Put("cluster", event.node, event.up), Broadcast("cluster", "node", event)]
