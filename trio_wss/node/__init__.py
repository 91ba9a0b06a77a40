"""The parts of a running node."""

from trio_wss.node.node import Node
from trio_wss.node.supervisor import serve

__all__ = ["Node", "serve"]
