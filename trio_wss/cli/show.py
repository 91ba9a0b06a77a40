"""What a client receives, as one line: the wire's own JSON for programs, words for people."""

from typing import Any

import orjson

from trio_wss.client import Answer, Event, EventError


def as_json(shown: Answer | EventError | Event, number: int | None = None) -> str:
    """The frame; `number` is the id that an answer or an error answers."""
    frame: dict[str, Any]
    match shown:
        case EventError():
            data = {"code": shown.code, "message": shown.message}
            if shown.path:
                data["path"] = shown.path
            frame = {"event": "wss.error", "re": number, "data": data}
        case Answer():
            frame = {"event": shown.event, "re": number, "data": shown.data}
        case Event():
            place = {"topic": shown.topic, "epoch": shown.epoch, "offset": shown.offset}
            frame = {"event": shown.event, **place, "data": shown.data}
    return orjson.dumps({key: value for key, value in frame.items() if value is not None}).decode()


def as_text(shown: Answer | EventError | Event) -> str:
    """As a person reads it: `said room:lobby #3 {"n":3}`."""
    if isinstance(shown, EventError):
        return f"error {shown}"
    words = [shown.event]
    if isinstance(shown, Event):
        if shown.topic is not None:
            words.append(shown.topic)
        if shown.offset is not None:
            words.append(f"#{shown.offset}")
    if shown.data is not None:
        words.append(orjson.dumps(shown.data).decode())
    return " ".join(words)
