"""The result of a declared read: its version, and its value as JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson
from attrs import frozen

from trio_wss.commit.ops import DELETE, STORE, Key, Op
from trio_wss.errors import WssError
from trio_wss.reads import ReadRequest

_MARK = 0xFF  # reserved fields begin with it; valid UTF-8 cannot


class Unreadable(WssError):
    """A read that can never be answered; the app is at fault."""


class WrongType(Unreadable):
    """The app read a field of a key that is not a map."""


class TooLarge(Unreadable):
    """The reads of one event are larger than one answer may be."""


@frozen
class Entry:
    """One read. `version` names the content for the commit; `value` is JSON, or None if absent."""

    version: bytes
    value: bytes | None


def key_of(request: ReadRequest) -> Key:
    """Return the key that a request reads."""
    return ("m" if request.kind == "members" else "k", request.key)


def afterwards(
    requests: Sequence[ReadRequest], entries: Sequence[Entry], ops: Sequence[Op]
) -> tuple[Entry, ...]:
    """Return the entries as they are after `ops`; none if only Redis can tell."""
    found = list(entries)
    for index, request in enumerate(requests):
        key = key_of(request)
        for letter, keys, rest in ops:
            if key not in keys:
                continue
            if letter == STORE and request.kind == "value":
                value = rest[0]
                assert isinstance(value, bytes)
                version = hashlib.sha1(value, usedforsecurity=False).hexdigest().encode()
                found[index] = Entry(version, value)
            elif letter == DELETE:
                found[index] = Entry(b"", None)
            else:
                return ()
    return tuple(found)


def parse_entries(reply: Any) -> tuple[Entry, ...]:
    """Return the entries of a script's reply. Raises WrongType."""
    return tuple(_parse(entry) for entry in reply)


def _parse(entry: list[Any]) -> Entry:
    version, kind = entry[0], entry[1]
    match kind:
        case b"none":
            return Entry(version, None)
        case b"value":
            return Entry(version, entry[2])
        case b"list":
            return Entry(version, b"[%b]" % b",".join(entry[2]))
        case b"wrong":
            raise WrongType("a field was read of a key that is not a map")
    flat = entry[2]
    pairs = [(n, v) for n, v in zip(flat[::2], flat[1::2], strict=True) if n[0] != _MARK]
    if kind == b"map":
        fields = (b"%b:%b" % (orjson.dumps(name.decode()), value) for name, value in pairs)
        return Entry(version, b"{%b}" % b",".join(fields))
    if kind == b"set":
        return Entry(version, b"[%b]" % b",".join(name for name, _ in pairs))
    return Entry(version, b"[%b]" % b",".join(value for _, value in pairs))
