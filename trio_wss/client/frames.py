"""The frames of the wire protocol, version 1, as a client sees them, and what it must know to
resume. Pure: bytes in, values out.
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
    """The server sent what the protocol does not allow; the message says what."""


Place = tuple[str, int]
"""The last broadcast seen of a topic: its epoch and offset."""


@frozen
class Ticket:
    """What it takes to resume a session: its secret token, where the client was in each topic, the
    highest id that it used, and the number of its last attempt to resume it.
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
    """The one answer to an event that had an id: a reply, or `wss.ok` where there was none."""

    event: str
    data: Any = None


@frozen
class Event:
    """What the server sent on its own: a broadcast, `wss.joined`, `wss.left`, or a reply or
    `wss.error` to an event that had no id. Topic, epoch and offset are a broadcast's; a volatile
    broadcast has neither epoch nor offset.
    """

    event: str
    data: Any = None
    topic: str | None = None
    epoch: str | None = None
    offset: int | None = None


def encode(event: str, data: Any, number: int | None) -> str:
    """The frame of one event. Raises TypeError for data that JSON cannot hold."""
    frame: dict[str, Any] = {"event": event}
    if number is not None:
        frame["id"] = number
    if data is not None:
        frame["data"] = data
    return orjson.dumps(frame).decode()


BEGIN: Final = encode("wss.begin", None, None)
"""What a client says first in a session that is not the one that it asked for."""


def named(event: object) -> str:
    """An event's name. Raises TypeError for one that no app can have."""
    if not isinstance(event, str):
        raise TypeError(f"an event's name is text, not {type(event).__name__}")
    if event.startswith("wss."):
        raise TypeError(f"the name {event!a:.80} is the server's own")
    orjson.dumps(event)  # which refuses a lone surrogate
    return event


def raw(data: Any) -> orjson.Fragment | None:
    """Data as JSON, to be put into frames as it is now. Raises TypeError for what JSON cannot hold:
    it is never null in silence.
    """
    if data is None:
        return None
    found = orjson.dumps(data)
    if b"null" in found:  # orjson writes NaN so
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
    """The first frame of a client that goes on with a session."""
    topics = dict(ticket.topics)
    data = {"token": ticket.token, "topics": topics, "attempt": ticket.attempt}
    return encode("wss.resume", data, None)


def decode(message: str | bytes) -> tuple[int | None, Answer | EventError | Event]:
    """One frame from the server, with the id that it answers, if any. Raises BadFrame."""
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
    """The welcome that the first frame must be. Raises BadFrame, and EventError where it says why
    there is none.
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
