"""What one client is told, written down: the same for every kind of client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

import trio
from attrs import define, field

from harness.faults.record import Recorder


@define(eq=False)
class Sent:
    """An operation that has no answer yet."""

    op: str
    event: str
    data: Mapping[str, Any]
    number: int = 0
    session: str | None = None
    settled: trio.Event = field(factory=trio.Event)
    how: str = ""
    answer: Any = None
    told: tuple[str, Any] | None = None  # the first answer, when it is sent again on purpose


@final
class View:
    """`topics` is where the client is in each of its topics."""

    def __init__(self, name: str, recorder: Recorder) -> None:
        self.topics: Final[dict[str, list[Any]]] = {}
        self.hums: Final[dict[str, str]] = {}  # the last volatile word in each
        self._name = name
        self._recorder = recorder

    def note(self, kind: str, **what: Any) -> None:
        """Write one record of this client."""
        self._recorder.note(kind, c=self._name, **what)

    def take(self, event: str, data: Any, topic: str | None, at: list[Any]) -> None:
        """Take what is no answer: a broadcast, `at` its place, or a word of the server's own."""
        match event:
            case "wss.joined":
                at = [data["epoch"], data["offset"]]
                self.topics[data["topic"]] = at
                self.note("joined", topic=data["topic"], at=at, whole=data["recovered"])
            case "wss.left":
                self.topics.pop(data["topic"], None)
                self.note("left", topic=data["topic"])
            case "said":
                assert topic is not None
                self.topics[topic] = at
                self.note("said", topic=topic, at=at, op=data["op"], n=data["n"])
            case "hum":
                assert topic is not None
                self.hums[topic] = data["op"]
                self.note("hum", topic=topic, op=data["op"])
            case "missed":
                self.note("missed", topic=data["topic"], n=data["n"])
            case _:
                self.note(event, data=data)


def short(data: Any) -> Any:
    """An answer as it is written down: not all of a large one."""
    if isinstance(data, dict) and data.keys() == {"n", "pad"}:
        return data["n"] if data["pad"] == "." * len(data["pad"]) else "torn"
    return data
