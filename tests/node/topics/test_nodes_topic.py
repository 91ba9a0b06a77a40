"""trio_wss/node/topics/nodes_topic.py: what a node says to all nodes and hears, and who watches."""

from __future__ import annotations

from tests.support.fakes import Box, FakeHub
from trio_wss.node.topics.nodes_topic import NodesTopic
from trio_wss.ops.heartbeat import NODES
from trio_wss.wire import text_frame


class Stage:
    """A hub whose link is down, and the topic in it."""

    def __init__(self, *, publishes: bool) -> None:
        self.published: list[bytes] = []
        self.hub = FakeHub()

        def publish(topic: str, text: bytes) -> bool:
            assert topic == NODES
            self.published.append(text)
            return publishes

        self.topic = NodesTopic(self.hub, publish)

    def hear(self, topic: str, text: bytes) -> None:
        """As Redis pushes it: nothing of it is kept."""
        self.hub.said(topic, b"\n" + text)


WORD = b'{"event":"wss.node","data":1}'


def test_what_is_told_goes_through_redis_and_to_who_watches() -> None:
    stage = Stage(publishes=True)
    box = Box()
    leave = stage.topic.watch(box.outbox)
    stage.topic.tell(WORD)
    assert (stage.published, box.frames) == ([WORD], [])
    stage.hear(NODES, WORD)
    assert box.frames == [text_frame(WORD)]
    leave()
    leave()
    stage.hear(NODES, WORD)
    assert len(box.frames) == 1


def test_without_redis_those_who_look_at_this_node_are_told_all_the_same() -> None:
    stage = Stage(publishes=False)
    box = Box()
    stage.topic.watch(box.outbox)
    stage.topic.tell(WORD)
    assert box.frames == [text_frame(WORD)]


def test_what_was_heard_is_counted_once() -> None:
    stage = Stage(publishes=True)
    stage.hub.hold("room")
    for _ in range(3):
        stage.hear("room", WORD)
    stage.hear(NODES, WORD)
    heard = stage.topic.take_heard()
    assert (heard.nodes, [*heard.topics]) == (1, [("room", 0, 3)])
    heard = stage.topic.take_heard()
    assert (heard.nodes, [*heard.topics]) == (0, [])
    assert sorted(stage.topic.sizes()) == [("room", 0), (NODES, 0)]
