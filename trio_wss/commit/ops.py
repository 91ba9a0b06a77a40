"""The operations of the commit script: the keys and the arguments of each, in their order. They are
made here and nowhere else; commit.lua says the same beside each, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

Key = tuple[str, str]
"""A key in the terms of the language: what it is (`k` state, `m` members, `t` a topic's meta,
`h` its stream, `o` the sessions of a node, `r` a ring) and its name."""

Op = tuple[str, tuple[Key, ...], list[str | bytes]]
"""An operation: its letter, the keys it touches, its arguments. Where it has a result, its last
argument is the number of the placeholder that the result replaces, or empty."""

INCREMENT: Final = "I"
STORE: Final = "S"
PUT: Final = "P"
APPEND: Final = "A"
DELETE: Final = "D"
REMOVE: Final = "R"
JOIN_TOPIC: Final = "J"
LEAVE_TOPIC: Final = "L"
KEEP_BROADCAST: Final = "B"
VOLATILE_BROADCAST: Final = "V"
TELL_CURSOR: Final = "C"
BEGIN_SESSION: Final = "N"
END_SESSION: Final = "E"
TELL_CLOSE: Final = "K"


@frozen
class Layout:
    """What an operation's keys and arguments are, by the names that commit.lua gives them."""

    keys: tuple[str, ...]
    arguments: tuple[str, ...]


def _layout(keys: str, arguments: str) -> Layout:
    return Layout(tuple(filter(None, keys.split(", "))), tuple(arguments.split()))


LAYOUTS: Final[Mapping[str, Layout]] = {
    INCREMENT: _layout("key", "by ttl result"),
    STORE: _layout("key", "value ttl"),
    PUT: _layout("key", "kind field value ttl result"),
    APPEND: _layout("key", "value limit ttl result"),
    DELETE: _layout("key", ""),
    REMOVE: _layout("key", "kind field result"),
    JOIN_TOPIC: _layout("members, meta", "topic session member quoted"),
    LEAVE_TOPIC: _layout("members", "topic session quoted"),
    KEEP_BROADCAST: _layout("meta, stream", "topic head data length ttl"),
    VOLATILE_BROADCAST: _layout("", "topic head data"),
    TELL_CURSOR: _layout("meta", "quoted"),
    BEGIN_SESSION: _layout("own, all sessions", "session node client token"),
    END_SESSION: _layout("due, all sessions, ring", "session members-prefix sets-prefix"),
    TELL_CLOSE: _layout("", "change"),
}

# Times to live are milliseconds as text, empty for none; `kind` is `m` for a map and `s` for a set;
# `quoted` is a topic as JSON.


def increment(key: str, by: int, ttl: str) -> Op:
    """Add to a counter; its ttl counts from the key's creation. The result is its value."""
    return INCREMENT, (("k", key),), [str(by), ttl, ""]


def store(key: str, value: bytes, ttl: str) -> Op:
    """Set a value."""
    return STORE, (("k", key),), [value, ttl]


def put(key: str, kind: str, field: str | bytes, value: str | bytes, ttl: str) -> Op:
    """Set a field of a map, or add a member to a set. The result: 1 if it is new, else 0."""
    return PUT, (("k", key),), [kind, field, value, ttl, ""]


def append(key: str, value: bytes, limit: int, ttl: str) -> Op:
    """Put an item at the end of a list, which keeps its last `limit`. The result is its length."""
    return APPEND, (("k", key),), [value, str(limit), ttl, ""]


def delete(key: str) -> Op:
    """Take a key away."""
    return DELETE, (("k", key),), []


def remove(key: str, kind: str, field: str | bytes) -> Op:
    """Take a field out of a map, or a member out of a set. The result: 1 if it was there, else
    0.
    """
    return REMOVE, (("k", key),), [kind, field, ""]


def join_topic(topic: str, session: str, member: bytes, quoted: bytes) -> Op:
    """Let a session be in a topic; `member` is what is read of it there, as JSON."""
    return JOIN_TOPIC, (("m", topic), ("t", topic)), [topic, session, member, quoted]


def leave_topic(topic: str, session: str, quoted: bytes) -> Op:
    """Let a session be in a topic no longer."""
    return LEAVE_TOPIC, (("m", topic),), [topic, session, quoted]


def keep_broadcast(topic: str, head: bytes, data: bytes, length: int, ttl: str) -> Op:
    """Say something in a topic that keeps its last `length` broadcasts."""
    return KEEP_BROADCAST, (("t", topic), ("h", topic)), [topic, head, data, str(length), ttl]


def volatile_broadcast(topic: str, head: bytes, data: bytes) -> Op:
    """Say something in a topic that nobody keeps."""
    return VOLATILE_BROADCAST, (), [topic, head, data]


def tell_cursor(topic: str, quoted: bytes) -> Op:
    """Tell where a topic is that the connection is in by itself."""
    return TELL_CURSOR, (("t", topic),), [quoted]


def begin_session(node: str, session: str, client: bytes, token: str) -> Op:
    """Begin a session, which is a node's; `client` as JSON, and the hash of its token."""
    return BEGIN_SESSION, (("o", node), ("sessions", "")), [session, node, client, token]


def end_session(session: str, members_prefix: str, sets_prefix: str) -> Op:
    """End a session, and all its memberships, which only its hash knows: hence the prefixes of
    members and of the nodes' sets.
    """
    keys = (("due", ""), ("sessions", ""), ("r", session))
    return END_SESSION, keys, [session, members_prefix, sets_prefix]


def tell_close(change: bytes) -> Op:
    """Note that the connection is closed: `[code,reason]` as JSON."""
    return TELL_CLOSE, (), [change]
