"""The kit for people who write handlers: `play` runs one event on a state of plain Python, `World`
takes an app through many events, `cluster` starts real nodes. This module only re-exports."""

from trio_wss.testing.cluster import Cluster, cluster
from trio_wss.testing.kinds import List, Map, Set
from trio_wss.testing.memory import Sent
from trio_wss.testing.model import Error, Outcome, World, play

__all__ = ["Cluster", "Error", "List", "Map", "Outcome", "Sent", "Set", "World", "cluster", "play"]
