"""The JSON of the wire protocol, version 1: parse one event, and make every text that is sent."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson
from attrs import define, frozen

from trio_wss.data.json import MAX_DEPTH, TOO_DEEP, encode, is_deeper
from trio_wss.errors import Invalid
from trio_wss.wire.faulty import BEYOND, LARGEST_ID, find_beyond, look_again

PROTOCOL: Final = 1
RESUME_EVENT: Final = "wss.resume"
BEGIN_EVENT: Final = "wss.begin"
PING_EVENT: Final = "wss.ping"
_EPOCH: Final = re.compile(r"[!-~]{0,64}")  # visible ASCII, as the commit script makes them
_DIGITS: Final = frozenset("0123456789")


@define
class Message:
    """A client's message: an event, the id for its answer, and its data."""

    event: str
    id: int | None = None
    data: Any = None


class Malformed(Invalid):
    """A frame that is not an event. `number` is the message's id, if it has a good one."""

    def __init__(self, message: str, path: str = "", number: int | None = None) -> None:
        super().__init__(message, path)
        self.number = number


def parse_message(text: str | bytes) -> Message:
    """Parse one frame from a client; ignore unknown keys. Raises Malformed."""
    if isinstance(text, bytes):
        message = "binary frames are not part of the protocol: send JSON text"
        raise Malformed(message, number=look_again(text).number)
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _unreadable(text, f"not JSON: {error}") from None
    if len(text) > 2 * MAX_DEPTH and is_deeper(text, MAX_DEPTH):
        raise _unreadable(text, TOO_DEEP)
    if type(found) is not dict:
        raise Malformed('a message is a JSON object like {"event": "say", "id": 1, "data": {}}')
    number = found.get("id")
    if number is not None and (type(number) is not int or not 0 < number < LARGEST_ID):
        raise Malformed("an id is a whole number from 1 to 2^53 - 1", "id")
    event = found.get("event")
    if type(event) is not str:
        raise Malformed("an event's name is text", "event", number)
    # An integer beyond 64 bits has at least 19 digits, so one of them is at such a place.
    if not _DIGITS.isdisjoint(text[18::19]) and (path := find_beyond(text)) is not None:
        raise Malformed(BEYOND, path, number)
    return Message(event, number, found.get("data"))


def _unreadable(text: str, message: str) -> Malformed:
    fault = look_again(text)
    return Malformed(fault.message or message, fault.path, fault.number)


@frozen
class Resume:
    """A client's request to resume its session: its token, its cursor in each topic, and, if the
    client counts its attempts, a number that grows with each.
    """

    token: str
    cursors: dict[str, tuple[str, int]]
    attempt: int | None = None


def parse_resume(text: str | bytes) -> Resume | None:
    """Parse a `wss.resume`; return None for any other frame. Leave out invalid cursors and an
    invalid attempt.
    """
    try:
        message = parse_message(text)
    except Malformed:
        return None
    data = message.data
    token = data.get("token") if type(data) is dict else None
    if message.event != RESUME_EVENT or type(token) is not str:
        return None
    topics = data.get("topics")
    cursors: dict[str, tuple[str, int]] = {}
    for topic, place in topics.items() if type(topics) is dict else ():
        match place:
            case [str(epoch), int(offset)] if _is_cursor(epoch, offset):
                cursors[topic] = (epoch, offset)
    attempt = data.get("attempt")
    return Resume(token, cursors, attempt if _is_count(attempt) else None)


def _is_cursor(epoch: str, offset: int) -> bool:
    return _is_count(offset) and _EPOCH.fullmatch(epoch) is not None


def _is_count(number: object) -> bool:
    return type(number) is int and 0 <= number < LARGEST_ID  # True is an int, too


def reply(event: str, number: int | None, data: bytes) -> bytes:
    """Return the frame of a handler's Reply; `data` is JSON."""
    if number is None:
        return b'{"event":%b,"data":%b}' % (orjson.dumps(event), data)
    return b'{"event":%b,"re":%d,"data":%b}' % (orjson.dumps(event), number, data)


def ok(number: int) -> bytes:
    """Return the answer to an event that is committed and had no Reply."""
    return b'{"event":"wss.ok","re":%d}' % number


def error(number: int | None, code: str, message: str, path: str = "") -> bytes:
    """Return an error answer; without a number it is for an event that had no id."""
    data = {"code": code, "message": message}
    if path:
        data["path"] = path
    return _own("wss.error", number, data)


def joined(topic: str, epoch: str, offset: int, *, recovered: bool) -> bytes:
    """Return the news that the client is in a topic; its next broadcast has offset + 1."""
    data = {"topic": topic, "epoch": epoch, "offset": offset, "recovered": recovered}
    return _own("wss.joined", None, data)


def left(topic: str) -> bytes:
    """Return the news that the client is no longer in a topic."""
    return _own("wss.left", None, {"topic": topic})


def pong() -> bytes:
    """Return the answer to a `wss.ping`, for clients that cannot send pings (browsers)."""
    return b'{"event":"wss.pong"}'


def restart_reason(why: str, retry: float = 0.0) -> str:
    """Return the reason of a Close 1012: the seconds to wait before coming back, and why."""
    return encode({"retry": round(retry, 2), "why": why}).decode()


def welcome(session: str, token: str, node: str, *, resumed: bool, last: int) -> bytes:
    """Return the first frame of every connection."""
    data = {
        "session": session, "token": token, "node": node,
        "resumed": resumed, "last": last, "protocol": PROTOCOL,
    }  # fmt: skip
    return _own("wss.welcome", None, data)


def _own(event: str, number: int | None, data: dict[str, Any]) -> bytes:
    return reply(event, number, encode(data))
