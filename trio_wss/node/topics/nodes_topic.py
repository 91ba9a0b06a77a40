"""The topic on which all nodes report their condition. This node speaks and listens there, and the
sockets of the operations page watch it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import final

from trio_wss.node.topics.hub import Hub
from trio_wss.node.topics.topic import Topic
from trio_wss.ops.heartbeat import NODES, Heard
from trio_wss.store.history import NOWHERE, Cursor
from trio_wss.wire import Outbox


class NodesTopic:
    """One node's place in the topic, which it never leaves."""

    def __init__(self, hub: Hub, publish: Callable[[str, bytes], bool]) -> None:
        """`publish` gives a text to a topic's members on all nodes; False: it cannot now."""
        self._hub = hub
        self._publish = publish
        self._topic = hub.hold(NODES)

    def tell(self, text: bytes) -> None:
        """Send a text to all nodes, or at least to the watchers on this one."""
        if not self._publish(NODES, text):
            self._topic.give(text)

    def take_heard(self) -> Heard:
        """Return what was heard since the last call."""
        heard, self._hub.heard = self._hub.heard, {}
        cluster = heard.pop(self._topic, 0)
        return Heard(
            cluster, [(one.name, len(one.members), number) for one, number in heard.items()]
        )

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Return each topic that is followed, and its number of members here."""
        return ((topic.name, len(topic.members)) for topic in self._hub.topics())

    def watch(self, outbox: Outbox) -> Callable[[], None]:
        """Put every report into an outbox. Return a synchronous function that ends this."""
        return _Watcher(self._hub, outbox).leave


@final
class _Watcher:
    """An outbox that watches the cluster; for the hub, a member of the topic."""

    def __init__(self, hub: Hub, outbox: Outbox) -> None:
        self.outbox = outbox
        self._hub = hub
        self._topic = hub.hold(NODES)
        hub.enter(self._topic, self, NOWHERE)

    def tell_joined(self, topic: str, cursor: Cursor, *, recovered: bool) -> None:
        """Do nothing: the next second brings a full report."""

    def catch_up_alone(self, topic: Topic, cursor: Cursor) -> None:
        """Enter again at once: there is nothing to catch up with."""
        self._hub.enter(topic, self, cursor)

    def leave(self) -> None:
        """Leave the topic. Synchronous; called before the socket closes."""
        if self._topic.members.get(self.outbox) is self:
            self._hub.leave(self._topic, self)
            self._hub.release(self._topic)
