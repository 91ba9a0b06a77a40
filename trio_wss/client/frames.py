"""The frames of the wire protocol, version 1, on the client's side, and the ticket to resume a
session. Pure: bytes in, values out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from math import isfinite
from typing import Any, Final

import orjson
from attrs import field, frozen

from trio_wss.client.errors import EventError


class BadFrame(Exception):
    """The server sent a frame that the protocol does not allow; the message names the fault."""


Place = tuple[str, int]
"""The last broadcast seen of a topic: its epoch and offset."""


@frozen
class Ticket:
    """All that a client needs to resume a session: its secret token, its place in each topic, the
    highest id used, and the number of the last attempt to resume it.
    """

    token: str = field(repr=False)
    topics: Mapping[str, Place]
    last: int = 0
    attempt: int = 0


@frozen
class Welcome:
    """The first frame of every connection."""

    session: str
    token: str = field(repr=False)
    node: str
    resumed: bool
    last: int
    protocol: int


@frozen
class Answer:
    """The only answer to an event with an id: a reply, or `wss.ok` if there was none."""

    event: str
    data: Any = None


@frozen
class Event:
    """A frame that answers no id: a broadcast, `wss.joined`, `wss.left`, or a reply or `wss.error`
    to an event without an id. Only a broadcast has topic, epoch and offset; a volatile broadcast
    has neither epoch nor offset.
    """

    event: str
    data: Any = None
    topic: str | None = None
    epoch: str | None = None
    offset: int | None = None


def encode(event: str, data: Any, number: int | None) -> str:
    """Return the frame of one event. Raises TypeError for data that JSON cannot hold."""
    frame: dict[str, Any] = {"event": event}
    if number is not None:
        frame["id"] = number
    if data is not None:
        frame["data"] = data
    return orjson.dumps(frame).decode()


BEGIN: Final = encode("wss.begin", None, None)
"""A client's first frame in a session other than the one that it asked to resume."""


def named(event: object) -> str:
    """Return an event's name. Raises TypeError for a name that no app can have."""
    if not isinstance(event, str):
        raise TypeError(f"an event's name is text, not {type(event).__name__}")
    if event.startswith("wss."):
        raise TypeError(f"the name {event!a:.80} is the server's own")
    orjson.dumps(event)  # refuses a lone surrogate
    return event


def raw(data: Any) -> orjson.Fragment | None:
    """Return data as JSON, as it is now. Raises TypeError for a value that JSON cannot hold, and
    never silently turns one into null.
    """
    if data is None:
        return None
    found = orjson.dumps(data)
    if b"null" in found:  # orjson writes NaN as null
        _refuse_not_finite(data)
    return orjson.Fragment(found)


def _refuse_not_finite(data: Any) -> None:
    rest = [data]
    while rest:
        item = rest.pop()
        if isinstance(item, float) and not isfinite(item):
            raise TypeError(f"{item} is no JSON number")
        if isinstance(item, dict):
            rest.extend(item.values())
        elif isinstance(item, list | tuple):
            rest.extend(item)
        elif isinstance(item, Enum):
            rest.append(item.value)
        elif is_dataclass(item):
            rest.extend(getattr(item, one.name) for one in fields(item))


def resume(ticket: Ticket) -> str:
    """Return the first frame of a client that resumes a session."""
    topics = dict(ticket.topics)
    data = {"token": ticket.token, "topics": topics, "attempt": ticket.attempt}
    return encode("wss.resume", data, None)


def decode(message: str | bytes) -> tuple[int | None, Answer | EventError | Event]:
    """Parse one frame from the server; return the id that it answers, if any, and its content.
    Raises BadFrame."""
    try:
        frame = orjson.loads(message)
    except orjson.JSONDecodeError as error:
        raise BadFrame(f"not JSON: {error}") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("event"), str):
        raise BadFrame("a frame without an event")
    event, number, data = frame["event"], frame.get("re"), frame.get("data")
    if number is None:
        topic, epoch, offset = frame.get("topic"), frame.get("epoch"), frame.get("offset")
        return None, Event(event, data, topic, epoch, offset)
    if not isinstance(number, int):
        raise BadFrame("an answer whose `re` is no integer")
    if event != "wss.error":
        return number, Answer(event, data)
    return number, _error(data)


def _error(data: Any) -> EventError:
    if not isinstance(data, dict) or not isinstance(data.get("code"), str):
        raise BadFrame("an error without a code")
    return EventError(data["code"], data.get("message", ""), data.get("path", ""))


def welcome(message: str | bytes) -> Welcome:
    """Parse the first frame, which must be a welcome. Raises BadFrame; and EventError if the frame
    is an error instead.
    """
    _, frame = decode(message)
    if isinstance(frame, Event) and frame.event == "wss.error":
        raise _error(frame.data)
    if not isinstance(frame, Event) or frame.event != "wss.welcome":
        raise BadFrame("the first frame is no wss.welcome")
    data = frame.data if isinstance(frame.data, dict) else {}
    missing = {"session", "token", "node", "resumed", "last", "protocol"} - data.keys()
    if missing:
        raise BadFrame(f"a welcome without {', '.join(sorted(missing))}")
    if data["protocol"] != 1:
        raise BadFrame(f"protocol {data['protocol']}, but this client speaks 1")
    return Welcome(
        data["session"],
        data["token"],
        data["node"],
        data["resumed"],
        data["last"],
        data["protocol"],
    )
