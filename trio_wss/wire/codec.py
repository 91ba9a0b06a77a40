"""The wire protocol's JSON: one event in, and every text that goes out. Version 1."""

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
    """What a client sent: an event, the id it wants an answer under, and its data."""

    event: str
    id: int | None = None
    data: Any = None


class Malformed(Invalid):
    """Not an event. `number` is the message's id, where it has a good one."""

    def __init__(self, message: str, path: str = "", number: int | None = None) -> None:
        super().__init__(message, path)
        self.number = number


def parse_message(text: str | bytes) -> Message:
    """Read one frame from a client. Unknown keys are ignored. Raises Malformed."""
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
    # Of 19 digits in a row, the fewest of an integer beyond 64 bits, one is here.
    if not _DIGITS.isdisjoint(text[18::19]) and (path := find_beyond(text)) is not None:
        raise Malformed(BEYOND, path, number)
    return Message(event, number, found.get("data"))


def _unreadable(text: str, message: str) -> Malformed:
    fault = look_again(text)
    return Malformed(fault.message or message, fault.path, fault.number)


@frozen
class Resume:
    """A client's wish to go on with its session: its token, its cursor in each topic, and a number
    that is greater at each of its attempts, if it counts them.
    """

    token: str
    cursors: dict[str, tuple[str, int]]
    attempt: int | None = None


def parse_resume(text: str | bytes) -> Resume | None:
    """Read a `wss.resume`; None if it is something else. A cursor that is none is left out, and so
    is an attempt.
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
    """A handler's Reply; `data` is JSON."""
    if number is None:
        return b'{"event":%b,"data":%b}' % (orjson.dumps(event), data)
    return b'{"event":%b,"re":%d,"data":%b}' % (orjson.dumps(event), number, data)


def ok(number: int) -> bytes:
    """Committed, and the handler had nothing to say."""
    return b'{"event":"wss.ok","re":%d}' % number


def error(number: int | None, code: str, message: str, path: str = "") -> bytes:
    """An error answer; without a number it belongs to an event that had no id."""
    data = {"code": code, "message": message}
    if path:
        data["path"] = path
    return _own("wss.error", number, data)


def joined(topic: str, epoch: str, offset: int, *, recovered: bool) -> bytes:
    """In a topic: what comes next there is offset + 1."""
    data = {"topic": topic, "epoch": epoch, "offset": offset, "recovered": recovered}
    return _own("wss.joined", None, data)


def left(topic: str) -> bytes:
    """No longer in a topic."""
    return _own("wss.left", None, {"topic": topic})


def pong() -> bytes:
    """The answer to a `wss.ping`, for clients that see no pings of their own (browsers)."""
    return b'{"event":"wss.pong"}'


def restart_reason(why: str, retry: float = 0.0) -> str:
    """The reason of a Close 1012: how many seconds to wait before coming back, and why."""
    return encode({"retry": round(retry, 2), "why": why}).decode()


def welcome(session: str, token: str, node: str, *, resumed: bool, last: int) -> bytes:
    """The first frame of every connection."""
    data = {
        "session": session, "token": token, "node": node,
        "resumed": resumed, "last": last, "protocol": PROTOCOL,
    }  # fmt: skip
    return _own("wss.welcome", None, data)


def _own(event: str, number: int | None, data: dict[str, Any]) -> bytes:
    return reply(event, number, encode(data))
