"""The names of all keys and channels in Redis. All keys of a namespace share one hash tag, so that
every commit is legal on a Cluster.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

RING: Final = 64  # recorded answers of a session; at most this many unanswered events


class Keys:
    """The keys and channels of one namespace."""

    __slots__ = ("channel", "due", "master", "nodes", "prefix", "pulse", "sessions")

    def __init__(self, namespace: str, database: int = 0) -> None:
        self.prefix: Final = f"{{{namespace}}}:"
        # In Redis, channels belong to no database, so the number is in their names.
        self.channel: Final = f"{{{namespace}}}/{database}:"
        self.nodes: Final = f"{self.prefix}nodes"
        self.master: Final = f"{self.prefix}master"
        self.pulse: Final = f"{self.prefix}pulse"
        self.due: Final = f"{self.prefix}due:"
        self.sessions: Final = f"{self.prefix}sessions:"  # all of them

    def one_of_each(self) -> tuple[str, ...]:
        """Return a key of each kind: a user with rights to all of them has rights to every key."""
        named = (self.state, self.session, self.ring, self.node, self.sessions_of)
        topics = (self.meta, self.stream, self.members)
        keys = (key("name") for key in (*named, *topics))
        return (self.nodes, self.master, self.pulse, self.due, self.sessions, *keys)

    def state(self, key: str) -> str:
        """The value that handlers store under `key`."""
        return f"{self.prefix}k:{key}"

    def session(self, session: str) -> str:
        """The hash of a session."""
        return f"{self.prefix}s:{session}"

    def node(self, node: str) -> str:
        """The record of a node."""
        return f"{self.prefix}n:{node}"

    def ring(self, owner: str) -> str:
        """The hash of the recorded answers of a session, or of a node's own commits."""
        return f"{self.prefix}r:{owner}"

    def sessions_of(self, node: str) -> str:
        """The set of sessions that a node owns."""
        return f"{self.prefix}o:{node}"

    def meta(self, topic: str) -> str:
        """A topic's epoch, master and offset."""
        return f"{self.prefix}t:{topic}"

    def stream(self, topic: str) -> str:
        """A topic's last broadcasts."""
        return f"{self.prefix}h:{topic}"

    def members(self, topic: str) -> str:
        """The hash of a topic's members."""
        return f"{self.prefix}m:{topic}"


def topics_in(fields: Iterable[bytes]) -> frozenset[str]:
    """Return the topics that a session is in, from the fields of its hash."""
    return frozenset(field[2:].decode() for field in fields if field.startswith(b"t:"))
