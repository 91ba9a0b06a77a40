"""The contents of Redis in plain Python, with the commit script's checks and writes, operation by
operation: same kinds, same faults, same results, same times to live. No I/O and no clock."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import orjson
from attrs import define, field, frozen

from trio_wss.commit import ops
from trio_wss.commit.ops import Op
from trio_wss.commit.plan import EXACT
from trio_wss.data.json import decode
from trio_wss.reads import ReadRequest

DAY: Final = 86_400_000
"""Milliseconds: a topic's offset lives so much longer than its history."""

_PLACEHOLDER: Final = re.compile(rb"\xff(\d+)\xff")
_COUNTER: Final = re.compile(rb"0|-?[1-9]\d*")
_COLLECTIONS: Final = frozenset({ops.APPEND, ops.PUT, ops.REMOVE})
_HASHES: Final = {"m": "map", "s": "set"}


class ModelFault(Exception):
    """A check failed and nothing is written: `wrong_type KEY`, `overflow KEY` or `topics`."""


@define
class Cell:
    """The value of one key: JSON, or a list, map or set of JSON. `ttl` is in milliseconds."""

    kind: Literal["value", "list", "map", "set"]
    content: Any  # bytes; list[bytes]; dict[bytes, bytes], of a set with empty values
    ttl: int | None = None


@define
class Offset:
    """A topic's last offset, and the milliseconds for which it is remembered."""

    offset: int
    ttl: int


@frozen
class Sent:
    """A broadcast. Its offset in the topic is None if it is volatile."""

    topic: str
    event: str
    data: Any
    offset: int | None


@define
class Applied:
    """The result of a commit. `joined` has each topic's offset before the commit's broadcasts."""

    results: dict[bytes, bytes] = field(factory=dict)
    joined: dict[str, int] = field(factory=dict)
    left: list[str] = field(factory=list)
    sent: list[Sent] = field(factory=list)

    def splice(self, data: bytes) -> bytes:
        """`data` with the results in the place of their placeholders."""
        return _PLACEHOLDER.sub(lambda found: self.results[found[1]], data)


@define
class Memory:
    """A namespace: state by key, members by topic, offsets by topic, topics by session."""

    cells: dict[str, Cell] = field(factory=dict)
    members: dict[str, dict[str, bytes]] = field(factory=dict)
    offsets: dict[str, Offset] = field(factory=dict)
    sessions: dict[str, set[str]] = field(factory=dict)

    # --- reads

    def read(self, request: ReadRequest) -> bytes | None:
        """The JSON of one read, or None. Raises ModelFault for a field of what is no map."""
        if request.kind == "members":
            there = self.members.get(request.key)
            return b"[%b]" % b",".join(there.values()) if there else None
        cell = self.cells.get(request.key)
        if cell is None:
            return None
        if request.kind == "field":
            if cell.kind not in ("map", "set"):
                raise ModelFault(f"wrong_type {request.key}")
            found: bytes | None = cell.content.get((request.field or "").encode())
            return found
        return _json(cell)

    # --- commits

    def commit(self, session: str, made: Sequence[Op], most_topics: int) -> Applied:
        """Check every operation, then write every one. Raises ModelFault: nothing is written."""
        self._check(session, made, most_topics)
        applied = Applied()
        for letter, places, rest in made:
            name = places[0][1] if places else ""
            self._write(letter, name, [_bytes(argument) for argument in rest], session, applied)
        return applied

    def end(self, session: str) -> None:
        """End a session, which leaves its topics."""
        for topic in list(self.sessions.get(session, ())):
            self._leave(topic, session)
        self.sessions.pop(session, None)

    def wait(self, milliseconds: int) -> None:
        """Let time pass. Keys and offsets with a time to live may expire."""
        for name, cell in list(self.cells.items()):
            if cell.ttl is not None:
                cell.ttl -= milliseconds
                if cell.ttl <= 0:
                    del self.cells[name]
        for topic, offset in list(self.offsets.items()):
            offset.ttl -= milliseconds
            if offset.ttl <= 0:
                del self.offsets[topic]

    def _check(self, session: str, made: Iterable[Op], most_topics: int) -> None:
        counters: dict[str, int] = {}
        topics = self.sessions.get(session, set())
        new = 0
        for letter, places, rest in made:
            name = places[0][1] if places else ""
            cell = self.cells.get(name)
            if letter == ops.INCREMENT:
                value = counters[name] if name in counters else _counter(name, cell)
                counters[name] = value + int(rest[0])
                if abs(value) >= EXACT or abs(counters[name]) >= EXACT:
                    raise ModelFault(f"overflow {name}")
            elif letter in _COLLECTIONS:
                kind = "list" if letter == ops.APPEND else _HASHES[str(rest[0])]
                if cell is not None and cell.kind != kind:
                    raise ModelFault(f"wrong_type {name}")
            elif letter == ops.JOIN_TOPIC:
                new += name not in topics
            elif letter == ops.LEAVE_TOPIC:
                new -= name in topics
        if new > 0 and new + len(topics) > most_topics:
            raise ModelFault("topics")

    def _write(
        self, letter: str, name: str, rest: list[bytes], session: str, applied: Applied
    ) -> None:
        match letter, rest:
            case ops.STORE, [value, ttl]:
                self.cells[name] = Cell("value", value, _milliseconds(ttl))
            case ops.DELETE, []:
                self.cells.pop(name, None)
            case ops.INCREMENT, [by, ttl, number]:
                cell = self.cells.get(name) or Cell("value", b"0", _milliseconds(ttl))
                cell.content = b"%d" % (int(cell.content) + int(by))
                self.cells[name] = cell
                applied.results[number] = cell.content
            case ops.APPEND, [value, limit, ttl, number]:
                cell = self._cell(name, "list", [], ttl)
                cell.content = [*cell.content, value][-int(limit) :]
                applied.results[number] = b"%d" % len(cell.content)
            case ops.PUT, [mark, key, value, ttl, number]:
                cell = self._cell(name, _HASHES[mark.decode()], {}, ttl)
                applied.results[number] = b"%d" % (key not in cell.content)
                cell.content[key] = value
            case ops.REMOVE, [_, key, number]:
                applied.results[number] = b"%d" % self._remove(name, key)
            case ops.JOIN_TOPIC, [_, _, member, _]:
                self.sessions.setdefault(session, set()).add(name)
                self.members.setdefault(name, {})[session] = member
                applied.joined[name] = self._offset(name)
            case ops.LEAVE_TOPIC, _:
                self._leave(name, session)
                applied.left.append(name)
            case ops.VOLATILE_BROADCAST, [topic, head, data]:
                applied.sent.append(_sent(topic, head, applied.splice(data), None))
            case ops.KEEP_BROADCAST, [topic, head, data, _, ttl]:
                offset = self._offset(name) + 1
                self.offsets[name] = Offset(offset, int(ttl) + DAY)
                applied.sent.append(_sent(topic, head, applied.splice(data), offset))
            case _:
                raise NotImplementedError(f"the model does not know operation {letter!r}")

    def _cell(self, name: str, kind: Any, empty: Any, ttl: bytes) -> Cell:
        cell = self.cells.setdefault(name, Cell(kind, empty))
        if ttl:
            cell.ttl = _milliseconds(ttl)
        return cell

    def _remove(self, name: str, key: bytes) -> bool:
        cell = self.cells.get(name)
        if cell is None or key not in cell.content:
            return False
        del cell.content[key]
        if not cell.content:
            del self.cells[name]
        return True

    def _leave(self, topic: str, session: str) -> None:
        self.sessions.get(session, set()).discard(topic)
        there = self.members.get(topic, {})
        there.pop(session, None)
        if not there:
            self.members.pop(topic, None)

    def _offset(self, topic: str) -> int:
        return self.offsets[topic].offset if topic in self.offsets else 0


def _json(cell: Cell) -> bytes:
    match cell.kind:
        case "value":
            value: bytes = cell.content
            return value
        case "list":
            return b"[%b]" % b",".join(cell.content)
        case "set":
            return b"[%b]" % b",".join(cell.content)
        case "map":
            fields = (orjson.dumps(key.decode()) + b":" + raw for key, raw in cell.content.items())
            return b"{%b}" % b",".join(fields)


def _counter(name: str, cell: Cell | None) -> int:
    if cell is None:
        return 0
    if cell.kind != "value" or _COUNTER.fullmatch(cell.content) is None:
        raise ModelFault(f"wrong_type {name}")
    return int(cell.content)


def _sent(topic: bytes, head: bytes, data: bytes, offset: int | None) -> Sent:
    event: str = decode(head + b"}")["event"]
    return Sent(topic.decode(), event, orjson.loads(data), offset)


def _bytes(argument: str | bytes) -> bytes:
    return argument.encode() if isinstance(argument, str) else argument


def _milliseconds(ttl: bytes) -> int | None:
    return int(ttl) if ttl else None
