"""A received frame as one line: the wire's own JSON for programs, words for people."""

from __future__ import annotations

from typing import Any

import orjson

from trio_wss.client import Answer, Connected, Disconnected, Event, EventError, State


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
    """The frame in words: `said room:lobby #3 {"n":3}`."""
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


def as_sentence(state: State) -> str:
    """The state of the connection: `connected to node f98a as session YJL6, resumed`."""
    match state:
        case Connected():
            resumed = ", resumed" if state.resumed else ""
            return f"connected to node {state.node} as session {state.session}{resumed}"
        case Disconnected():
            why = f": {state.reason}" if state.reason else ""
            wait = "" if state.wait is None else f"; next try in {state.wait:.1f} s"
            return f"no connection ({state.code}{why}){wait}"
