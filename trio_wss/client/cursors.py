"""Where a client is in each topic: what it has seen is dropped, and a gap is the server's fault."""

from __future__ import annotations

from collections.abc import Mapping

from trio_wss.client.frames import BadFrame, Event
from trio_wss.client.states import Place


class Cursors:
    """The last broadcast of each topic, by `[epoch, offset]`."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = dict(places)

    def copy(self) -> dict[str, Place]:
        """The place in each topic."""
        return dict(self._places)

    def clear(self) -> None:
        """A new session is in no topic yet."""
        self._places.clear()

    def is_new(self, event: Event) -> bool:
        """Whether it was not seen before. Raises BadFrame for one that leaves a gap."""
        match event:
            case Event("wss.joined", {"topic": str(), "epoch": str(), "offset": int()}):
                return True
            case Event("wss.left", {"topic": str()}):
                return True
            case Event("wss.joined" | "wss.left"):
                raise BadFrame(f"a {event.event} that does not say what")
            case Event(topic=str(topic), epoch=str(epoch), offset=int(offset)):
                last = self._places.get(topic)
                if last is None or offset == last[1] + 1:
                    return True
                if epoch == last[0] and offset <= last[1]:
                    return False
                raise BadFrame(f"{topic} went from {last[1]} to {offset}: something is missing")
        return True

    def follow(self, event: Event) -> None:
        """Go on from this event, which is new."""
        match event:
            case Event("wss.joined", {"topic": topic, "epoch": epoch, "offset": offset}):
                self._places[topic] = epoch, offset
            case Event("wss.left", {"topic": topic}):
                self._places.pop(topic, None)
            case Event(topic=str(topic), epoch=str(epoch), offset=int(offset)):
                self._places[topic] = epoch, offset
